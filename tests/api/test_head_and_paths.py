"""HEAD is GET without the body; an address is one spelling; a request says once who sends it."""

import json
import uuid
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from tests.fixtures.api import CONTENT, MEDIA, UPLOAD, Api
from tests.fixtures.av_files import write_audio

VARYING = {"x-request-id", "date"}
NOBODY = uuid.UUID(int=1)


async def addresses(api: Api, tmp_path: Path) -> dict[str, str]:
    """One that answers 200 for the template of every GET route."""
    sound = write_audio(tmp_path / "a.mp3", container="mp3", codec="libmp3lame", seconds=0.5, rate=44_100)
    content = await api.client.post(f"{CONTENT}/", json={"title": "t"}, headers=api.auth)
    content_id = content.json()["id"]
    media = await api.uploaded("a.mp3", sound.read_bytes(), "audio", content_id=content_id)
    one = f"{MEDIA}/{media['id']}"
    return {
        f"{MEDIA}/{{media_id}}": one,
        f"{MEDIA}/{{media_id}}/download": f"{one}/download",
        f"{MEDIA}/{{media_id}}/waveform": f"{one}/waveform",
        f"{MEDIA}/{{media_id}}/waveform.svg": f"{one}/waveform.svg",
        f"{MEDIA}/files/{{key:path}}": str(media["url"]).removeprefix("http://media.test"),
        f"{MEDIA}/content/{{content_id}}/media": f"{MEDIA}/content/{content_id}/media",
        f"{MEDIA}/": f"{MEDIA}/",
        f"{CONTENT}/{{content_id}}": f"{CONTENT}/{content_id}",
        f"{CONTENT}/": f"{CONTENT}/",
        "/docs": "/docs", "/redoc": "/redoc", "/openapi.json": "/openapi.json",
        "/metrics": "/metrics", "/healthz": "/healthz", "/readyz": "/readyz",
    }  # fmt: skip


def compared(reply: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name not in VARYING}


async def test_head_is_get_without_the_body(api: Api, tmp_path: Path) -> None:
    known = await addresses(api, tmp_path)
    declared = {
        context.path for context in iter_route_contexts(api.app.routes)
        if isinstance(context.original_route, APIRoute) and "GET" in (context.methods or ())
    }  # fmt: skip
    assert declared <= known.keys()
    for address in known.values():
        whole = await api.client.get(address, headers=api.auth)
        head = await api.client.head(address, headers=api.auth)
        assert (whole.status_code, head.status_code, head.content) == (200, 200, b""), address
        left_out = {"content-length"} if address == "/metrics" else set()  # it counts these two
        assert compared(head).items() - {(n, v) for n, v in compared(head).items() if n in left_out} == {
            (n, v) for n, v in compared(whole).items() if n not in left_out
        }, address
        assert int(head.headers["content-length"]) > 0, address


async def test_head_of_a_list_that_is_streamed_says_no_wrong_length(api: Api) -> None:
    content = await api.client.post(f"{CONTENT}/", json={"title": "t"}, headers=api.auth)
    content_id = content.json()["id"]
    for number in range(6):
        metadata = json.dumps({"text": "x" * 60_000})
        await api.uploaded("a.txt", str(number).encode(), "document", content_id=content_id, metadata=metadata)
    for address in (f"{MEDIA}/content/{content_id}/media", f"{CONTENT}/{content_id}"):
        whole = await api.client.get(address)
        head = await api.client.head(address)
        assert len(whole.content) > 6 * 60_000, address
        assert (head.status_code, head.content, compared(head)) == (200, b"", compared(whole)), address
        assert "content-length" not in head.headers, address


@pytest.mark.parametrize(
    "address", [f"{MEDIA}/{NOBODY}", f"{MEDIA}/not-an-id", f"{CONTENT}/{NOBODY}", "/nowhere", f"{MEDIA}/"]
)
async def test_head_is_refused_as_get_is(api: Api, address: str) -> None:
    whole, head = await api.client.get(address), await api.client.head(address)
    assert whole.status_code in {400, 401, 404}
    assert (head.status_code, head.content, compared(head)) == (whole.status_code, b"", compared(whole))


async def test_an_answer_to_head_may_be_304(api: Api) -> None:
    url = f"{MEDIA}/{(await api.uploaded('a.txt', b'text', 'document'))['id']}"
    tag = (await api.client.head(url)).headers["etag"]
    assert (await api.client.head(url, headers={"If-None-Match": tag})).status_code == 304


async def test_head_is_among_the_allowed_methods(api: Api) -> None:
    reply = await api.client.patch(f"{MEDIA}/{NOBODY}")
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD, PUT, DELETE")


async def test_a_path_that_ends_in_a_line_feed_is_none_of_ours(api: Api, tmp_path: Path) -> None:
    for address in [*(await addresses(api, tmp_path)).values(), UPLOAD, "/docs-assets/favicon.png", "/"]:
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
            reply = await api.client.request(method, f"{address}%0a", headers=api.auth)
            assert reply.status_code == 404, (method, address)


async def test_a_file_has_one_address(api: Api) -> None:
    url = str((await api.uploaded("a.txt", b"text", "document"))["url"]).removeprefix("http://media.test")
    key = url.removeprefix(f"{MEDIA}/files/")
    year, month, name = key.split("/")
    assert (await api.client.get(url)).status_code == 200
    for other in (
        f"{year}%2F{month}/{name}", f"{year}%2f{month}%2f{name}", f"{year}/{month}/%{ord(name[0]):02x}{name[1:]}",
        f"{year}/{month}/{name.replace('.', '%2e')}", f"{year}/{month}/{name.replace('.', '%2E')}", f"%2e/{key}",
        f"{key}%0a", f"{key}%00", f"{key}%20", f"{key}/", f"/{key}", f"{year}//{month}/{name}", f"{key}%3f",
        f"{year}/%2e%2e/{year}/{month}/{name}", key.upper(),
    ):  # fmt: skip
        for method in ("GET", "HEAD"):
            reply = await api.client.request(method, f"{MEDIA}/files/{other}")
            assert reply.status_code == 404, other
    assert (await api.client.get(url.replace("/media/", "/%6dedia/"))).status_code == 404


@pytest.mark.parametrize("address", [f"{MEDIA}/", f"{CONTENT}/", f"{MEDIA}/{NOBODY}", f"{MEDIA}/x/waveform"])
async def test_two_authorization_lines_are_400(api: Api, address: str) -> None:
    (line,) = api.auth.items()
    for lines in ([line, line], [line, (line[0].lower(), "Bearer x")], [("Authorization", ""), line]):
        reply = await api.client.get(address, headers=lines)
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid_request")
        assert "more than once" in reply.json()["detail"]
    reply = await api.client.post(UPLOAD, headers=[line, line], data={"media_type": "image"})
    assert reply.status_code == 400
    assert reply.json()["detail"].startswith("The Authorization header")
