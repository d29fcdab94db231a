"""How stored files are handed out: headers, ranges, validators, and what is not handed out at all."""

import asyncio
import base64
import hashlib
import re
from email.utils import formatdate

import pytest
from starlette.types import Message

from tests.fixtures.api import MEDIA, Api, ApiFactory
from tests.fixtures.pictures import png

TEXT = b"0123456789abcdef"


async def text_url(api: Api) -> str:
    return str((await api.uploaded("a.txt", TEXT, "document"))["url"])


async def test_a_file_is_shown_harmlessly_and_cached_for_ever(api: Api) -> None:
    body = await api.uploaded("a.png", png(5, 5), "image")
    for url in (body["url"], body["thumbnail_url"]):
        headers = (await api.client.get(str(url))).headers
        assert headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "public, max-age=31536000, immutable"
        assert headers["content-disposition"].startswith("inline; ")
        assert headers["accept-ranges"] == "bytes"


async def test_a_download_is_an_attachment_under_its_own_name(api: Api) -> None:
    body = await api.uploaded("Отчёт «1».txt", TEXT, "document")
    headers = (await api.client.get(f"{MEDIA}/{body['id']}/download")).headers

    assert headers["content-disposition"].startswith('attachment; filename="')
    assert "filename*=UTF-8''%D0%9E%D1%82%D1%87%D1%91%D1%82" in headers["content-disposition"]


async def test_the_digest_and_the_etag_are_those_of_the_bytes(api: Api) -> None:
    reply = await api.client.get(await text_url(api))
    digest = base64.b64encode(hashlib.sha256(TEXT).digest()).decode()

    assert reply.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert reply.headers["etag"] == f'"{hashlib.sha256(TEXT).hexdigest()}"'


@pytest.mark.parametrize(
    ("header", "body", "content_range"),
    [
        ("bytes=0-1", b"01", "bytes 0-1/16"),
        ("bytes=0-0", b"0", "bytes 0-0/16"),
        ("bytes=10-", b"abcdef", "bytes 10-15/16"),
        ("bytes=-3", b"def", "bytes 13-15/16"),
        ("bytes=-99", TEXT, "bytes 0-15/16"),
        ("bytes=15-99999999999999999", b"f", "bytes 15-15/16"),
        ("BYTES = 4-5", b"45", "bytes 4-5/16"),
    ],
)
async def test_a_range_is_exact(api: Api, header: str, body: bytes, content_range: str) -> None:
    reply = await api.client.get(await text_url(api), headers={"Range": header})

    assert (reply.status_code, reply.content) == (206, body)
    assert reply.headers["content-range"] == content_range
    assert reply.headers["content-length"] == str(len(body))


@pytest.mark.parametrize("header", ["bytes=16-", "bytes=99-100", "bytes=-0"])
async def test_a_range_beyond_the_file_is_416_with_its_size(api: Api, header: str) -> None:
    reply = await api.client.get(await text_url(api), headers={"Range": header})

    assert (reply.status_code, reply.headers["content-range"]) == (416, "bytes */16")
    assert reply.json()["code"] == "range_not_satisfiable"


@pytest.mark.parametrize(
    "header",
    [
        "bytes=", "bytes=a-b", "bytes=5-4", "items=0-1", "bytes 0-1", "bytes=0-1;2-3", "bytes=--1", "bytes=1-2-3",
        "bytes=" + ",".join("0-0" for _ in range(1500)), "bytes=0-1,1-2", "bytes=0-" + "9" * 400, "bytes=٣-٤",
    ],
)  # fmt: skip
async def test_a_range_that_is_none_gets_the_whole_file(api: Api, header: str) -> None:
    reply = await api.client.get(await text_url(api), headers={b"Range": header.encode()})
    assert (reply.status_code, reply.content) == (200, TEXT)


async def test_several_ranges_come_as_multipart(api: Api) -> None:
    reply = await api.client.get(await text_url(api), headers={"Range": "bytes=0-1, 4-5,-1"})

    match = re.fullmatch(r"multipart/byteranges; boundary=(\w+)", reply.headers["content-type"])
    assert reply.status_code == 206
    assert match is not None
    parts = reply.content.split(f"--{match[1]}".encode())
    assert [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts[1:-1]] == [b"01", b"45", b"f"]
    assert reply.headers["content-length"] == str(len(reply.content))


async def test_if_range_decides_between_the_part_and_the_whole(api: Api) -> None:
    url = await text_url(api)
    whole = await api.client.get(url)
    for validator, status in (
        (whole.headers["etag"], 206),
        ('"other"', 200),
        (f"W/{whole.headers['etag']}", 200),
        (whole.headers["last-modified"], 206),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 200),
        ("garbage", 200),
    ):
        reply = await api.client.get(url, headers={"Range": "bytes=0-1", "If-Range": validator})
        assert reply.status_code == status, validator


async def test_a_good_copy_is_304(api: Api) -> None:
    url = await text_url(api)
    whole = await api.client.get(url)
    etag, date = whole.headers["etag"], whole.headers["last-modified"]
    for headers, status in (
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": f'"x", W/{etag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"', "If-Modified-Since": date}, 200),
        ({"If-Modified-Since": date}, 304),
        ({"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
    ):
        reply = await api.client.get(url, headers=headers)
        assert reply.status_code == status, headers


async def test_head_answers_the_headers_of_get(api: Api) -> None:
    body = await api.uploaded("a.txt", TEXT, "document")
    for url in (body["url"], f"{MEDIA}/{body['id']}/download"):
        get, head = await api.client.get(str(url)), await api.client.head(str(url))
        ignored = {"x-request-id", "date"}
        assert (head.status_code, head.content) == (200, b"")
        assert {n: v for n, v in head.headers.items() if n not in ignored} == {
            n: v for n, v in get.headers.items() if n not in ignored
        }


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%252f..%252fetc/passwd", "....//....//etc/passwd", "..\\..\\etc\\passwd", "..%5c..%5cetc%5cpasswd",
        "/etc/passwd", "%2fetc%2fpasswd", "//etc/passwd", "file:///etc/passwd", "2026/11/../../../etc/passwd",
        "2026/11/%00.png", "2026/11/a.png%00", "2026/11/a.png/", "2026/11/", "2026/", "", ".", "..", ".staging",
        ".staging/", "2026/11/.hidden", "%c0%ae%c0%ae/etc/passwd", "2026/11/a_123456789012.png?x=../..",
        "２０２６/11/a.png", "2026/11/" + "a" * 5000 + ".png", "2026/11/a;.png", "~/x", "C:/x",
        "../uploads-sibling/secret.txt",
    ],
)  # fmt: skip
async def test_a_path_that_is_no_key_of_ours_is_never_a_file(api: Api, path: str) -> None:
    sibling = api.settings.UPLOAD_DIR.parent / "uploads-sibling"
    sibling.mkdir(exist_ok=True)
    (sibling / "secret.txt").write_text("secret")
    reply = await api.client.get(f"{MEDIA}/files/{path}")

    assert 400 <= reply.status_code < 500
    assert b"root:" not in reply.content
    assert b"secret" not in reply.content


async def test_only_files_that_a_row_owns_are_served(api: Api) -> None:
    url = await text_url(api)
    key = url.partition("/files/")[2]
    orphan = api.settings.UPLOAD_DIR / key.replace("a_", "b_")
    orphan.write_bytes(b"orphan")

    assert (await api.client.get(url.replace("a_", "b_"))).status_code == 404


async def test_a_symlink_in_the_place_of_a_file_is_not_followed(api: Api) -> None:
    url = await text_url(api)
    stored = api.settings.UPLOAD_DIR / url.partition("/files/")[2]
    stored.unlink()
    stored.symlink_to("/etc/passwd")

    reply = await api.client.get(url)
    assert (reply.status_code, reply.json()["code"]) == (404, "file_not_found")


async def test_a_lost_file_is_404_and_says_so(api: Api) -> None:
    url = await text_url(api)
    (api.settings.UPLOAD_DIR / url.partition("/files/")[2]).unlink()

    reply = await api.client.get(url)
    assert (reply.status_code, reply.json()["detail"]) == (404, "File not found in storage.")


@pytest.mark.parametrize(("name", "data", "media_type"), [("Fête 1.png", png(5, 5), "image")])
async def test_a_picture_is_described_by_its_key_alone(api: Api, name: str, data: bytes, media_type: str) -> None:
    body = await api.uploaded(name, data, media_type)
    for url in (str(body["url"]), str(body["thumbnail_url"])):
        headers = (await api.client.get(url)).headers
        last = url.rpartition("/")[2]
        assert headers["etag"] == f'"{last}"'
        assert headers["content-disposition"] == f'inline; filename="{last}"'
        assert "repr-digest" not in headers

    download = (await api.client.get(f"{MEDIA}/{body['id']}/download")).headers
    assert download["etag"] == f'"{body["checksum_sha256"]}"'
    assert "repr-digest" in download
    assert "filename*=UTF-8''F%C3%AAte%201.png" in download["content-disposition"]


async def test_the_date_of_a_public_file_is_that_of_the_file_on_the_disk(api: Api) -> None:
    body = await api.uploaded("a.png", png(5, 5), "image")
    for url in (str(body["url"]), str(body["thumbnail_url"])):
        modified_s = (api.settings.UPLOAD_DIR / url.partition("/files/")[2]).stat().st_mtime
        assert (await api.client.get(url)).headers["last-modified"] == formatdate(modified_s, usegmt=True)


@pytest.mark.parametrize("size_bytes", [0, 1, 512 * 1024, 512 * 1024 + 1, 3 * 1024 * 1024 + 7])
async def test_a_file_of_any_size_arrives_whole_also_when_no_thread_is_needed(api: Api, size_bytes: int) -> None:
    url = await text_url(api)
    data = b"0123456789abcde\n" * (size_bytes // 16) + b"x" * (size_bytes % 16)
    (api.settings.UPLOAD_DIR / url.partition("/files/")[2]).write_bytes(data)
    for _ in range(2):
        reply = await api.client.get(url)
        assert (reply.status_code, reply.headers["content-length"]) == (200, str(size_bytes))
        assert reply.content == data


async def test_a_server_that_can_send_files_itself_is_told_the_path(api: Api) -> None:
    key = (await text_url(api)).partition("/files/")[2]
    for headers, types in (
        ([], ["http.response.start", "http.response.pathsend"]),
        ([(b"range", b"bytes=1-2")], ["http.response.start", "http.response.body"]),
    ):
        sent: list[Message] = []
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": f"{MEDIA}/files/{key}", "raw_path": b"", "query_string": b"", "root_path": "", "headers": headers,
            "client": ("127.0.0.1", 1), "server": ("media.test", 80), "extensions": {"http.response.pathsend": {}},
        }  # fmt: skip

        requests: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive(requests: list[Message] = requests) -> Message:
            if not requests:
                await asyncio.Event().wait()  # the client stays
            return requests.pop()

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        await api.app(scope, receive, send)
        assert [message["type"] for message in sent] == types
        if not headers:
            assert sent[1]["path"] == str(api.settings.UPLOAD_DIR.resolve() / key)


async def test_behind_a_proxy_the_proxy_reads_the_file(make_api: ApiFactory) -> None:
    api = await make_api(ACCEL_REDIRECT_PREFIX="/_media_files/")
    url = await text_url(api)
    reply = await api.client.get(url)

    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["x-accel-redirect"] == "/_media_files/" + url.partition("/files/")[2]
    assert reply.headers["content-security-policy"] == "default-src 'none'; sandbox"
