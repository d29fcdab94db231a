"""Who may add to a content and take away from it, how much it may have, and how what it has is read in parts."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

from app.repositories.content_reader import LISTED_MEDIA, PAGE_BYTES, PAGE_ROWS
from tests.fixtures.api import CONTENT, MEDIA, Api, ApiFactory
from tests.fixtures.pictures import png

FILL = text(
    "INSERT INTO media (media_type, filename, url, uploaded_by, content_id, metadata, created_at) "
    "SELECT CASE WHEN n % 3 = 0 THEN 'video' ELSE 'image' END, n::text, '/' || n, gen_random_uuid(), :content, "
    "jsonb_build_object('n', n, 'text', repeat('x', :size)), "
    "CAST(:begin AS timestamptz) + (n / 2) * interval '1 second' "
    "FROM generate_series(1, :rows) AS n"
)


async def new_content(api: Api, **fields: object) -> str:
    reply = await api.client.post(f"{CONTENT}/", json={"title": "T", **fields}, headers=api.auth)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


async def filled(api: Api, rows: int, *, size_bytes: int = 10) -> str:
    """A content with media of this size, two of each moment."""
    content_id = await new_content(api)
    async with api.database.transaction() as session:
        begin = datetime.now(UTC) - timedelta(days=1)
        await session.execute(FILL, {"content": content_id, "rows": rows, "size": size_bytes, "begin": begin})
    return content_id


def numbers(media: list[dict[str, dict[str, int]]]) -> set[int]:
    return {item["metadata"]["n"] for item in media}


async def untouched_body() -> AsyncIterator[bytes]:
    chunks: list[bytes] = []
    assert chunks, "the body was read"
    for chunk in chunks:
        yield chunk


# -- reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "size_bytes"),
    [(0, 10), (1, 10), (PAGE_ROWS - 1, 10), (PAGE_ROWS, 10), (2 * PAGE_ROWS + 1, 10), (7, PAGE_BYTES), (40, 9_000)],
)
async def test_a_content_is_whole_however_it_is_read(api: Api, rows: int, size_bytes: int) -> None:
    content_id = await filled(api, rows, size_bytes=size_bytes)
    list_path = f"{MEDIA}/content/{content_id}/media"
    whole = (await api.client.get(list_path)).json()
    assert [item["created_at"] for item in whole] == sorted(item["created_at"] for item in whole)
    assert (len(whole), numbers(whole)) == (rows, set(range(1, rows + 1)))
    assert (await api.client.get(f"{CONTENT}/{content_id}")).json()["media"] == whole
    videos = (await api.client.get(f"{list_path}?media_type=video")).json()
    assert videos == [item for item in whole if item["media_type"] == "video"]

    listed = (await api.client.get(f"{CONTENT}/")).json()["items"][0]
    assert (listed["media"], listed["media_total"]) == (whole[:LISTED_MEDIA], rows)


@pytest.mark.parametrize("limit", [1, 3, 199, 200, 201, 450, 451, 1000])
async def test_links_lead_through_a_content_in_parts(api: Api, limit: int) -> None:
    content_id = await filled(api, 450)
    for path in (f"{MEDIA}/content/{content_id}/media", f"{CONTENT}/{content_id}"):
        whole = (await api.client.get(path)).json()
        expected = whole if isinstance(whole, list) else whole["media"]
        found, following = [], f"{path}?limit={limit}"
        for _ in range(3 if limit < 4 else 99):
            reply = await api.client.get(following)
            part = reply.json() if isinstance(whole, list) else reply.json()["media"]
            assert len(part) <= limit
            found += part
            if "next" not in reply.links:
                break
            following = reply.links["next"]["url"]
        assert found == expected[: len(found)]
        assert len(found) == min(450, 3 * limit if limit < 4 else 450)


async def test_a_limit_in_bytes_and_in_rows_at_once(api: Api) -> None:
    content_id = await filled(api, 30, size_bytes=20_000)
    path = f"{MEDIA}/content/{content_id}/media"
    whole = (await api.client.get(path)).json()
    first = await api.client.get(f"{path}?limit=20&media_type=image")
    images = [item for item in whole if item["media_type"] == "image"]
    assert first.json() == images[:20]
    assert first.links == {}
    first = await api.client.get(f"{path}?limit=19&media_type=image")
    assert first.json() == images[:19]
    assert (await api.client.get(first.links["next"]["url"])).json() == images[19:]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=AAA", "limit=-1"])
async def test_what_is_no_part_is_refused(api: Api, query: str) -> None:
    content_id = await new_content(api)
    for path in (f"{MEDIA}/content/{content_id}/media", f"{CONTENT}/{content_id}"):
        reply = await api.client.get(f"{path}?{query}")
        assert (reply.status_code, reply.json()["code"][:8]) == (400, "invalid_")


async def test_what_fits_one_page_is_sent_with_its_length(api: Api) -> None:
    small, large = await filled(api, 3), await filled(api, 30, size_bytes=20_000)
    for path in (f"{MEDIA}/content/{{}}/media", f"{CONTENT}/{{}}"):
        assert "content-length" in (await api.client.get(path.format(small))).headers
        assert "content-length" not in (await api.client.get(path.format(large))).headers
    unknown = uuid.uuid4()
    for path in (f"{MEDIA}/content/{unknown}/media", f"{CONTENT}/{unknown}"):
        assert (await api.client.get(path)).json()["code"] == "content_not_found"


async def test_a_list_of_large_contents_is_whole(api: Api) -> None:
    ids = [await filled(api, 25, size_bytes=40_000), await new_content(api), await filled(api, 2, size_bytes=10)]
    body = "ü" * 200_000
    ids.append(await new_content(api, body=body))
    page = (await api.client.get(f"{CONTENT}/?page_size=3")).json()
    assert [item["id"] for item in page["items"]] == ids[:0:-1]
    page = (await api.client.get(f"{CONTENT}/")).json()
    assert [item["id"] for item in page["items"]] == ids[::-1]
    assert [(len(item["media"]), item["media_total"]) for item in page["items"]] == [(0, 0), (2, 2), (0, 0), (20, 25)]
    assert (page["items"][0]["body"], page["total"], page["pages"]) == (body, 4, 1)
    assert (await api.client.get(f"{CONTENT}/?page=9")).json()["items"] == []


# -- how much -----------------------------------------------------------------------------------------------------


async def test_a_content_takes_its_last_media_and_no_more(make_api: ApiFactory) -> None:
    api = await make_api(MAX_MEDIA_PER_CONTENT=2)
    content_id = await new_content(api)
    await api.uploaded("a.png", png(5, 5), "image", content_id=content_id)
    path = f"{MEDIA}/content/{content_id}/upload"
    assert (await api.upload("b.png", png(5, 5), "image", path=path)).status_code == 201
    headers = {**api.auth, "Content-Type": "multipart/form-data; boundary=x", "Content-Length": "9"}
    early = await api.client.post(path, content=untouched_body(), headers=headers)
    late = await api.upload("c.png", png(5, 5), "image", {"content_id": content_id})
    for reply in (early, late):
        assert (reply.status_code, reply.json()["code"]) == (413, "content_full")
        assert reply.json()["detail"] == "This content has the most media that one may have, 2."
    assert await api.media_count() == 2
    assert await api.journal_count() == 0


async def test_uploads_at_once_do_not_overfill_a_content(make_api: ApiFactory) -> None:
    api = await make_api(MAX_MEDIA_PER_CONTENT=3)
    content_id = await new_content(api)
    uploads = [api.upload(f"{n}.txt", b"text %d" % n, "document", {"content_id": content_id}) for n in range(8)]
    replies = await asyncio.gather(*uploads)
    assert sorted(reply.status_code for reply in replies) == [201] * 3 + [413] * 5
    assert await api.media_count() == 3


async def test_a_user_has_so_many_contents_and_no_more(make_api: ApiFactory) -> None:
    api = await make_api(QUOTA_CONTENTS=2)
    made = [api.client.post(f"{CONTENT}/", json={"title": str(n)}, headers=api.auth) for n in range(6)]
    replies = await asyncio.gather(*made)
    assert sorted(reply.status_code for reply in replies) == [201] * 2 + [413] * 4
    assert {reply.json().get("code") for reply in replies} == {None, "quota_exceeded"}
    first = next(reply.json()["id"] for reply in replies if reply.status_code == 201)
    other = api.auth_of(uuid.uuid4())
    assert (await api.client.post(f"{CONTENT}/", json={"title": "o"}, headers=other)).status_code == 201
    await api.client.delete(f"{CONTENT}/{first}", headers=api.auth)
    assert (await api.client.post(f"{CONTENT}/", json={"title": "again"}, headers=api.auth)).status_code == 201


# -- whose --------------------------------------------------------------------------------------------------------


async def test_a_creator_keeps_uploads_for_himself(api: Api) -> None:
    content_id = await new_content(api, attach="creator")
    creator, stranger = api.user_id, uuid.uuid4()
    assert (await api.client.get(f"{CONTENT}/{content_id}")).json()["attach"] == "creator"
    assert (await api.client.get(f"{CONTENT}/")).json()["items"][0]["attach"] == "creator"
    await api.uploaded("a.png", png(5, 5), "image", content_id=content_id)

    api.user_id = stranger
    path = f"{MEDIA}/content/{content_id}/upload"
    headers = {**api.auth, "Content-Type": "multipart/form-data; boundary=x", "Content-Length": "9"}
    early = await api.client.post(path, content=untouched_body(), headers=headers)
    late = await api.upload("b.png", png(5, 5), "image", {"content_id": content_id})
    for reply in (early, late):
        assert (reply.status_code, reply.json()["code"]) == (403, "permission_denied")
    assert await api.media_count() == 1
    change = await api.client.put(f"{CONTENT}/{content_id}", json={"attach": "anyone"}, headers=api.auth)
    assert change.status_code == 403

    changed = await api.client.put(f"{CONTENT}/{content_id}", json={"attach": "anyone"}, headers=api.auth_of(creator))
    assert changed.json()["attach"] == "anyone"
    assert (await api.upload("b.png", png(5, 5), "image", path=path)).status_code == 201


@pytest.mark.parametrize("attach", ["nobody", "", 1, ["creator"], "CREATOR"])
async def test_attach_is_one_of_two_words(api: Api, attach: object) -> None:
    reply = await api.client.post(f"{CONTENT}/", json={"title": "T", "attach": attach}, headers=api.auth)
    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (400, "attach")


async def detach(api: Api, content_id: str, media_id: object, user_id: uuid.UUID) -> httpx.Response:
    return await api.client.delete(f"{CONTENT}/{content_id}/media/{media_id}", headers=api.auth_of(user_id))


async def test_a_creator_detaches_the_media_of_a_stranger_who_keeps_it(api: Api) -> None:
    creator, stranger = api.user_id, uuid.uuid4()
    content_id = await new_content(api)
    api.user_id = stranger
    media = await api.uploaded("a.png", png(5, 5), "image", content_id=content_id)
    path = f"{MEDIA}/{media['id']}"
    etag = (await api.client.get(path)).headers["etag"]
    await api.client.get(f"{MEDIA}/?content_id={content_id}", headers=api.auth)

    assert (await detach(api, content_id, media["id"], uuid.uuid4())).json()["code"] == "permission_denied"
    done = await detach(api, content_id, media["id"], creator)
    assert (done.status_code, done.json()) == (200, {"message": "Media detached successfully"})
    again = await detach(api, content_id, media["id"], creator)
    assert (again.status_code, again.json()["code"]) == (404, "media_not_found")

    after = await api.client.get(path, headers={"If-None-Match": etag})
    assert (after.status_code, after.json()["content_id"]) == (200, None)
    assert after.json()["updated_at"] > str(media["updated_at"])
    assert (await api.client.get(f"{CONTENT}/{content_id}")).json()["media"] == []
    listed = await api.client.get(f"{MEDIA}/?content_id={content_id}", headers=api.auth)
    assert (listed.json()["items"], listed.json()["total"]) == ([], 0)
    assert (await api.client.get(f"{path}/download")).status_code == 200
    assert (await api.client.delete(path, headers=api.auth)).status_code == 200


async def test_an_uploader_detaches_his_own_and_nobody_what_is_not_there(api: Api) -> None:
    creator, uploader = api.user_id, uuid.uuid4()
    content_id, other_id = await new_content(api), await new_content(api)
    api.user_id = uploader
    media_id = (await api.uploaded("a.png", png(5, 5), "image", content_id=content_id))["id"]
    loose_id = (await api.uploaded("b.png", png(5, 5), "image"))["id"]
    for content, media, code in (
        (other_id, media_id, "media_not_found"),
        (content_id, loose_id, "media_not_found"),
        (content_id, uuid.uuid4(), "media_not_found"),
        (str(uuid.uuid4()), media_id, "content_not_found"),
    ):
        assert (await detach(api, content, media, creator)).json()["code"] == code
    assert (await api.client.delete(f"{CONTENT}/{content_id}/media/{media_id}")).status_code == 401
    assert (await detach(api, content_id, media_id, uploader)).status_code == 200


@pytest.mark.parametrize(("others", "is_kept"), [(0, True), (1, True), (64, True), (65, False)])
async def test_a_deleted_content_takes_from_memory_only_what_belonged_to_it(
    make_api: ApiFactory, others: int, is_kept: bool
) -> None:
    api = await make_api()
    media = (await api.upload("a.png", png(30, 20), "image")).json()
    content_id = await filled(api, others)
    handed_out_from_memory = 0

    def count() -> None:
        nonlocal handed_out_from_memory
        handed_out_from_memory += 1

    reads = api.services.media._reads
    reads.rely_on(count)
    await api.client.get(f"{MEDIA}/{media['id']}")
    assert (await api.client.delete(f"{CONTENT}/{content_id}", headers=api.auth)).status_code == 200
    handed_out_from_memory = 0
    assert (await api.client.get(f"{MEDIA}/{media['id']}")).status_code == 200
    assert handed_out_from_memory == int(is_kept)
