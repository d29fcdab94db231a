"""Bodies that are refused for what is wrong with them: compressed ones, and names and titles that show nothing."""

import gzip

import pytest

from tests.fixtures.api import CONTENT, MEDIA, UPLOAD, Api
from tests.fixtures.multipart_bodies import CONTENT_TYPE, END, field_part, file_part
from tests.fixtures.pictures import png

FORM = field_part("media_type", "image") + file_part(png(5, 5), filename=b"a.png") + END
BLANK = ["", " ", "\t\n", "\xa0\u3000", "\u200b", "\u200d\ufe0f", "\u3164\u2800", "\u202e\u2066", "\U000e0061"]


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "identity, gzip"])
async def test_a_compressed_upload_is_refused_in_true_words(api: Api, coding: str) -> None:
    headers = {**api.auth, "Content-Type": CONTENT_TYPE, "Content-Encoding": coding}
    reply = await api.client.post(UPLOAD, content=gzip.compress(FORM), headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_content_encoding")
    assert f"encoded as {coding.lower().split(', ')[-1]};" in reply.json()["detail"]
    assert reply.headers["accept-encoding"] == "identity"
    await api.assert_nothing_left()


@pytest.mark.parametrize("coding", ["", "identity", "utf-8", "aws-chunked"])
async def test_a_body_that_is_not_compressed_passes_whatever_it_is_called(api: Api, coding: str) -> None:
    headers = {**api.auth, "Content-Type": CONTENT_TYPE, "Content-Encoding": coding}
    assert (await api.client.post(UPLOAD, content=FORM, headers=headers)).status_code == 201


async def test_compressed_json_is_refused_in_the_same_words(api: Api) -> None:
    media = await api.uploaded("a.txt", b"a", "document")
    headers = {**api.auth, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    content = gzip.compress(b'{"filename": "b.txt"}')
    reply = await api.client.put(f"{MEDIA}/{media['id']}", content=content, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_content_encoding")


@pytest.mark.parametrize("blank", BLANK, ids=ascii)
async def test_a_blank_title_or_name_is_400(api: Api, blank: str) -> None:
    media = await api.uploaded("a.txt", b"a", "document")
    content = (await api.client.post(f"{CONTENT}/", json={"title": "T"}, headers=api.auth)).json()
    replies = [
        await api.client.post(f"{CONTENT}/", json={"title": blank}, headers=api.auth),
        await api.client.put(f"{CONTENT}/{content['id']}", json={"title": blank}, headers=api.auth),
        await api.client.put(f"{MEDIA}/{media['id']}", json={"filename": blank}, headers=api.auth),
    ]
    assert [reply.status_code for reply in replies] == [400] * 3, [reply.text for reply in replies]
    assert (await api.client.get(f"{MEDIA}/{media['id']}")).json() == media
    assert (await api.client.get(f"{CONTENT}/{content['id']}")).json()["title"] == "T"


@pytest.mark.parametrize("name", [".", "..", "../", "/", " . ", "~", "--"])
async def test_a_name_of_which_nothing_is_left_is_400(api: Api, name: str) -> None:
    media = await api.uploaded("a.txt", b"a", "document")
    reply = await api.client.put(f"{MEDIA}/{media['id']}", json={"filename": name}, headers=api.auth)
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_field")
    assert (await api.client.get(f"{MEDIA}/{media['id']}")).json() == media


@pytest.mark.parametrize("title", ["x", " x ", "می\u200cروم", "👩\u200d🚀", "🫨", "\u0661"])
async def test_a_title_keeps_its_letters(api: Api, title: str) -> None:
    reply = await api.client.post(f"{CONTENT}/", json={"title": title}, headers=api.auth)
    assert (reply.status_code, reply.json()["title"]) == (201, title.strip())
