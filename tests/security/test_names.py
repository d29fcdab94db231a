"""39 nasty names through upload, list, download and rename: the path is ours, the label is harmless, headers are whole.

What becomes of each character is shown in tests/core/test_filenames.py.
"""

import re
import unicodedata
from urllib.parse import unquote

import httpx
import pytest

from tests.fixtures.api import MEDIA, UPLOAD, Api
from tests.fixtures.document_files import make_pdf
from tests.fixtures.multipart_bodies import CONTENT_TYPE, END, field_part, file_part
from tests.fixtures.pictures import png

NAMES = {
    "parent directories": "../../../../etc/passwd.png",
    "absolute path": "/etc/cron.d/evil.png",
    "drive": "C:\\Windows\\System32\\evil.png",
    "share": "\\\\server\\share\\evil.png",
    "backslashes": "..\\..\\evil.png",
    "mixed slashes": "..\\../evil.png",
    "dots and slashes": "....//....//evil.png",
    "look-alike slashes": "..\uff0f..\u2215evil.png",
    "encoded": "%2e%2e%2f%2e%2e%2fevil.png",
    "encoded twice": "%252e%252e%252fevil.png",
    "overlong UTF-8": "%c0%ae%c0%ae%c0%afevil.png",
    "only dots": "....png",
    "encoded NUL": "evil.php%00.png",
    "NUL": "evil.php\x00.png",
    "encoded line break": "a%0d%0aSet-Cookie: session=1.png",
    "line break": "a\r\nSet-Cookie: session=1.png",
    "terminal escapes": "\x1b[2J\x1b[31mred.png",
    "text turned around": "photo\u202egnp.exe.png",
    "embedding": "a\u2066b\u2069.png",
    "zero width": "pass\u200bword\ufeff.png",
    "blank letters": "\u3164\u2800.png",
    "line separators": "a\u2028b\u2029.png",
    "data stream": "photo.png::$DATA",
    "device": "CON.png",
    "device with a superscript": "LPT\u00b9.png",
    "leading dot": ".htaccess.png",
    "leading dash": "-rf.png",
    "leading tilde": "~root.png",
    "quotes": 'a"; filename="evil.html.png',
    "quote and backslash": 'a\\"b.png',
    "parameters": "a; filename*=UTF-8''evil.html.png",
    "markup": "<img src=x onerror=alert(1)>.png",
    "shell": "$(reboot) `id` | x; y & z.png",
    "template": "{{7*7}}${7*7}%s%n.png",
    "spreadsheet formula": "=cmd|'/c calc'!A1.png",
    "emoji and Cyrillic": "👩🏽\u200d🚀 отчёт.png",
    "255 bytes and more": "ä" * 400 + ".png",
    "5000 characters": "a" * 5000 + ".png",
    "composed late": "e\u0301" * 300 + ".png",
}
KEY = re.compile(r"\d{4}/\d\d/[A-Za-z0-9_-]{0,100}_[0-9a-f]{12}(?:_thumb)?\.[a-z0-9]{1,5}")
DISPOSITION = re.compile(
    r"""(?:inline|attachment);[ ]filename="[ !#$&-\[\]-~]*"(?:;[ ]filename\*=UTF-8''[!#$&+\-.^_`|~0-9A-Za-z%]+)?"""
)


async def upload(api: Api, name: str, data: bytes, media_type: str) -> httpx.Response:
    """The name byte for byte, as only a body written by hand can carry it."""
    raw = name.encode().replace(b'"', b'\\"')
    body = field_part("media_type", media_type) + file_part(data, filename=raw) + END
    return await api.client.post(UPLOAD, content=body, headers={**api.auth, "Content-Type": CONTENT_TYPE})


def assert_is_a_label(name: str) -> None:
    assert name
    assert len(name) <= 255
    assert len(name.encode()) <= 255
    assert not set(name) & set('/\\<>:"|?*')
    # The joiner of the emoji is the one of its category that shapes what is seen.
    unseen = [c for c in name if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Cs"}]
    assert unseen == ["\u200d"] * name.count("👩🏽\u200d🚀")
    assert name[0] not in " .-~"


def assert_is_one_name(disposition: str) -> None:
    assert DISPOSITION.fullmatch(disposition), disposition
    assert disposition.isascii()


def test_there_are_39() -> None:
    assert len(NAMES) == 39


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
async def test_a_nasty_name_is_a_harmless_label_everywhere(api: Api, name: str) -> None:
    reply = await upload(api, name, png(5, 5), "image")
    if reply.status_code == 400:
        # A control in a header makes the form ambiguous, and what is left of a name may have no known extension.
        assert reply.json()["code"] in {"malformed_multipart", "unsupported_file_type", "file_type_mismatch"}
        await api.assert_nothing_left()
        return
    assert reply.status_code == 201, reply.text
    body = reply.json()
    assert_is_a_label(body["filename"])

    assert [key for key in api.stored_files() if not KEY.fullmatch(key)] == []
    assert len(api.stored_files()) == 2

    download = await api.client.get(f"{MEDIA}/{body['id']}/download")
    shown = await api.client.get(body["url"])
    for answer in (download, shown):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/png"
        assert "set-cookie" not in answer.headers
        assert_is_one_name(answer.headers["content-disposition"])
    assert download.headers["content-disposition"].startswith("attachment; ")

    (listed,) = (await api.client.get(f"{MEDIA}/", headers=api.auth)).json()["items"]
    assert listed["filename"] == body["filename"]


async def test_the_label_survives_in_the_encoded_name(api: Api) -> None:
    body = (await upload(api, "Отчёт «№ 1».png", png(5, 5), "image")).json()
    value = (await api.client.get(f"{MEDIA}/{body['id']}/download")).headers["content-disposition"]
    assert unquote(value.partition("filename*=UTF-8''")[2]) == "Отчёт «№ 1».png"


class TestRenaming:
    @pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
    async def test_a_nasty_new_name_is_a_harmless_label_or_400(self, api: Api, name: str) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image")
        reply = await api.client.put(f"{MEDIA}/{body['id']}", json={"filename": name}, headers=api.auth)
        if reply.status_code == 200:
            assert_is_a_label(reply.json()["filename"])
        else:
            assert reply.status_code == 400
        download = await api.client.get(f"{MEDIA}/{body['id']}/download")
        assert_is_one_name(download.headers["content-disposition"])
        assert download.headers["content-type"] == "image/png"

    @pytest.mark.parametrize("extension", ["html", "svg", "exe", "js", "pdf.html", "xhtml", "HTML", "pdf\u202elmth"])
    async def test_a_pdf_stays_a_pdf_under_every_name(self, api: Api, extension: str) -> None:
        data = make_pdf()
        body = await api.uploaded("a.pdf", data, "document")
        await api.client.put(f"{MEDIA}/{body['id']}", json={"filename": f"a.{extension}"}, headers=api.auth)

        for url in (f"{MEDIA}/{body['id']}/download", str(body["url"])):
            answer = await api.client.get(url)
            assert answer.content == data
            assert answer.headers["content-type"] == "application/pdf"
            assert re.search(r'filename="[^"]*\.pdf"', answer.headers["content-disposition"])
