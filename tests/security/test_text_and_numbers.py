"""Text that PostgreSQL cannot hold, JSON made to hurt and absurd numbers are refused with a 4xx, never a 500."""

import json
import time
import uuid

import httpx
import orjson
import pytest

from tests.fixtures.api import CONTENT, MEDIA, Api
from tests.fixtures.pictures import png

INJECTIONS = [
    "' OR '1'='1",
    "1; DROP TABLE media; --",
    "%27%20OR%201%3D1",
    "\x00",
    "a\x00b",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "\uffff",
    "x" * 5000,
    "{{7*7}}",
    "../../etc/passwd",
    "null",
    "[]",
]
NUMBERS = ["0", "-1", "101", "9223372036854775808", "1e9", "1.5", "NaN", "Infinity", "0x10", "", " ", "١٢", "1" * 5000]
BAD_JSON = {
    "NUL": b'{"a": "\\u0000"}',
    "NUL in a key": b'{"\\u0000": 1}',
    "deep NUL": b'{"a": [{"b": ["x\\u0000"]}]}',
    "lone high surrogate": b'{"a": "\\ud800"}',
    "lone low surrogate": b'{"a": "\\udc00x"}',
    "surrogate in a key": b'{"\\ud800": 1}',
    "surrogate bytes": b'{"a": "\xed\xa0\x80"}',
    "not UTF-8": b'{"a": "\xff"}',
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "number beyond a double": b'{"a": 1e999}',
    "integer of 5000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "33 levels": b'{"a":' * 33 + b"1" + b"}" * 33,
    "5000 levels": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "100,000 lists": b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "more than 64 KiB": b'{"a": "' + b"x" * 65_536 + b'"}',
    "a list": b"[1]",
    "text": b'"x"',
    "nothing": b"",
    "two values": b"{} {}",
    "a comment": b"{} // x",
    "single quotes": b"{'a': 1}",
}


def assert_refused(reply: httpx.Response) -> None:
    assert 400 <= reply.status_code < 500, reply.text
    document = reply.json()
    assert document["detail"]
    assert document["code"]
    assert not any(word in reply.text.lower() for word in ("traceback", "asyncpg", "sqlalchemy", "select "))


@pytest.mark.parametrize("raw", BAD_JSON.values(), ids=BAD_JSON.keys())
class TestMetadata:
    async def test_it_is_refused_with_the_upload_and_leaves_nothing(self, api: Api, raw: bytes) -> None:
        files = {"file": ("a.png", png(5, 5)), "metadata": (None, raw or b"x"), "media_type": (None, b"image")}
        assert_refused(await api.client.post(f"{MEDIA}/upload", files=files, headers=api.auth))
        await api.assert_nothing_left()

    async def test_it_is_refused_in_an_update_and_changes_nothing(self, api: Api, raw: bytes) -> None:
        body = await api.uploaded("a.txt", b"a", "document", metadata='{"kept": true}')
        headers = {**api.auth, "Content-Type": "application/json"}
        began_at = time.perf_counter()
        reply = await api.client.put(
            f"{MEDIA}/{body['id']}", content=b'{"metadata": ' + (raw or b"]") + b"}", headers=headers
        )
        assert_refused(reply)
        assert time.perf_counter() - began_at < 2
        assert (await api.client.get(f"{MEDIA}/{body['id']}")).json() == body


KEPT = {
    "32 levels": orjson.loads(b'{"a":' * 31 + b"1" + b"}" * 31),
    "every plane": {
        "emoji": "👩🏽\u200d🚀",
        "right to left": "\u202eabc",
        "last": "\U0010ffff",
        "odd": "\u2028\x7f\x1b",
    },
    "numbers": {"big": 2**63 - 1, "small": -(2**63), "tiny": 5e-324, "fraction": 0.1, "zero": -0.0},
    "names": {"": 1, "__proto__": {"x": 1}, "constructor": "x", "$where": "1", "' OR 1=1": "--"},
    "many members": {str(number): number for number in range(4000)},
}


@pytest.mark.parametrize("metadata", KEPT.values(), ids=KEPT.keys())
async def test_what_can_be_kept_reads_back_as_it_was_sent(api: Api, metadata: dict[str, object]) -> None:
    body = await api.uploaded("a.txt", b"a", "document", metadata=json.dumps(metadata))
    read = (await api.client.get(f"{MEDIA}/{body['id']}")).content
    assert json.loads(read, parse_constant=pytest.fail)["metadata"] == metadata


@pytest.mark.parametrize("field", ["filename", "title", "body"])
@pytest.mark.parametrize("text", ["a\\u0000b", "\\ud800", "\\udfff", "\\ud800\\u0041"])
async def test_text_that_cannot_be_stored_is_refused_in_every_field(api: Api, field: str, text: str) -> None:
    media = await api.uploaded("a.txt", b"a", "document")
    content = (await api.client.post(f"{CONTENT}/", json={"title": "T"}, headers=api.auth)).json()
    path = f"{MEDIA}/{media['id']}" if field == "filename" else f"{CONTENT}/{content['id']}"
    headers = {**api.auth, "Content-Type": "application/json"}
    assert_refused(await api.client.put(path, content=f'{{"{field}": "{text}"}}'.encode(), headers=headers))


@pytest.mark.parametrize("value", INJECTIONS, ids=ascii)
class TestInjections:
    @pytest.mark.parametrize("name", ["media_type", "uploaded_by", "content_id", "cursor", "count", "page"])
    async def test_a_filter_is_refused(self, api: Api, name: str, value: str) -> None:
        await api.uploaded("a.txt", b"a", "document")
        assert_refused(await api.client.get(f"{MEDIA}/", params={name: value}, headers=api.auth))

    @pytest.mark.parametrize("path", ["{}", "{}/download", "content/{}/media", "files/{}"])
    async def test_an_id_is_refused(self, api: Api, path: str, value: str) -> None:
        quoted = httpx.QueryParams({"x": value})
        assert_refused(await api.client.get(f"{MEDIA}/{path.format(str(quoted)[2:].replace('/', '%2F'))}"))


@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: ascii(value)[:20])
@pytest.mark.parametrize("name", ["page", "page_size"])
async def test_a_page_is_refused_or_holds_at_most_100(api: Api, name: str, value: str) -> None:
    for path in (f"{MEDIA}/", f"{CONTENT}/"):
        reply = await api.client.get(path, params={name: value}, headers=api.auth)
        if reply.status_code == 200:
            assert len(reply.json()["items"]) <= 100
        else:
            assert_refused(reply)


async def test_unknown_fields_and_columns_that_are_not_the_clients_change_nothing(api: Api) -> None:
    body = await api.uploaded("a.txt", b"a", "document")
    stolen = {
        "id": str(uuid.uuid4()), "uploaded_by": str(uuid.uuid4()), "url": "http://evil/", "storage_path": "/etc/passwd",
        "mime_type": "text/html", "file_size": 1, "checksum_sha256": "0" * 64, "created_at": "2001-01-01T00:00:00Z",
        "thumbnail_url": "http://evil/", "properties": {"evil": 1}, "media_type": "image",
    }  # fmt: skip
    reply = await api.client.put(f"{MEDIA}/{body['id']}", json=stolen, headers=api.auth)
    assert reply.status_code in {200, 400}
    after = (await api.client.get(f"{MEDIA}/{body['id']}")).json()
    assert {**after, "updated_at": None} == {**body, "updated_at": None}
