"""Names as a real browser and Node send them, and as the browser saves them again."""

import asyncio
import json
import re
import uuid
from pathlib import Path

import pytest
from playwright.async_api import FilePayload, Page

from tests.fixtures.live_service import LiveService
from tests.fixtures.node_packages import NODE
from tests.fixtures.pictures import png

# What is sent, and what it is called afterwards.
NAMES = {
    "отчёт 写真.png": "отчёт 写真.png",
    "100%25.png": "100%25.png",
    "50%.png": "50%.png",
    "my%20photo.png": "my%20photo.png",
    "می\u200cروم 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f.png": (
        "می\u200cروم 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f.png"
    ),
    "🫨 👨\u200d👩\u200d👧.png": "🫨 👨\u200d👩\u200d👧.png",
    "AC⧸DC.png": "AC⧸DC.png",
    'a"b.png': "a_b.png",
    "a;b=c'd.png": "a;b=c'd.png",
    "": "blob.png",
}
# Uploads the same bytes under each name; an empty one is a Blob that has none. Node and the browser both run it.
SEND = """async ([url, names, bytes, authorization]) => {
    const answers = [];
    for (const name of names) {
        const form = new FormData();
        const blob = new Blob([new Uint8Array(bytes)], {type: 'image/png'});
        form.append('metadata', new Blob(['{"title": "é"}'], {type: 'application/json'}));
        if (name) form.append('file', blob, name); else form.append('file', blob);
        form.append('media_type', 'image');
        const headers = {Authorization: authorization};
        const answer = await fetch(url, {method: 'POST', body: form, headers});
        answers.push(await answer.json());
    }
    return answers;
}"""


def arguments(service: LiveService) -> list[object]:
    token = service.auth_of(uuid.uuid4())["Authorization"]
    return [f"{service.url}/api/v1/media/upload", list(NAMES), list(png(5, 5)), token]


async def test_the_names_of_node_are_kept(live_service: LiveService) -> None:
    program = f"({SEND})({json.dumps(arguments(live_service))}).then((all) => console.log(JSON.stringify(all)))"
    node = await asyncio.create_subprocess_exec(NODE, "-e", program, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(node.communicate(), 60)
    answers = json.loads(output)
    assert [answer.get("filename", answer) for answer in answers] == list(NAMES.values())
    assert {answer["metadata"]["title"] for answer in answers} == {"é"}


async def test_the_names_of_a_browser_are_kept_and_saved_again(page: Page, live_service: LiveService) -> None:
    await page.goto(f"{live_service.url}/docs")
    answers = await page.evaluate(SEND, arguments(live_service))
    assert [answer.get("filename", answer) for answer in answers] == list(NAMES.values())
    saved = []
    for answer in answers:
        async with page.expect_download() as download:
            await page.evaluate(
                "(url) => { window.location.href = url }", f"{live_service.url}/api/v1/media/{answer['id']}/download"
            )
        saved.append((await download.value).suggested_filename)
    # Chromium itself writes an underscore for a joiner or a tag in the name of a file.
    assert saved == [re.sub("[\u200c\u200d\U000e0000-\U000e007f]", "_", name) for name in NAMES.values()]


@pytest.mark.parametrize(
    ("charset", "name"),
    [("Shift_JIS", "写真.png"), ("windows-1251", "файл.png"), ("GBK", "图片.png"), ("UTF-8", "é.png")],
)
async def test_a_form_in_an_older_charset_keeps_the_name(
    page: Page, live_service: LiveService, tmp_path: Path, charset: str, name: str
) -> None:
    await page.set_extra_http_headers(live_service.auth_of(uuid.uuid4()))
    form = (
        f'<form method="post" action="{live_service.url}/api/v1/media/upload" enctype="multipart/form-data"'
        f' accept-charset="{charset}"><input type="hidden" name="_charset_"><input type="file" name="file">'
        '<input type="hidden" name="media_type" value="image"></form>'
    )
    await page.set_content(form)
    await page.set_input_files("[type=file]", FilePayload(name=name, mimeType="image/png", buffer=png(5, 5)))
    async with page.expect_navigation() as navigation:
        await page.evaluate("document.forms[0].submit()")
    answer = await navigation.value
    assert answer is not None
    assert (await answer.json())["filename"] == name
