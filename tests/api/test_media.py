"""Reading, listing, changing and deleting media through the public routes."""

import asyncio
import uuid

import pytest
from sqlalchemy import insert

from app.models import Media
from tests.fixtures.api import CONTENT, MEDIA, Api
from tests.fixtures.pictures import png


async def add_rows(api: Api, count: int, **columns: object) -> None:
    """Rows without files, one after the other in time; lists need many."""
    async with api.database.transaction() as session:
        for number in range(count):
            values = {"media_type": "image", "filename": f"{number}", "url": f"/x/{uuid.uuid4()}", **columns}
            await session.execute(insert(Media).values(uploaded_by=api.user_id, **values))


async def names(api: Api, query: str) -> list[str]:
    reply = await api.client.get(f"{MEDIA}/?{query}", headers=api.auth)
    assert reply.status_code == 200, reply.text
    return [item["filename"] for item in reply.json()["items"]]


class TestGet:
    async def test_metadata_is_public(self, api: Api) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image")
        assert (await api.client.get(f"{MEDIA}/{body['id']}")).json() == body

    async def test_an_unknown_id_is_404_and_a_bad_one_400(self, api: Api) -> None:
        unknown = await api.client.get(f"{MEDIA}/{uuid.uuid4()}")
        bad = await api.client.get(f"{MEDIA}/not-a-uuid")

        assert (unknown.status_code, unknown.json()["code"]) == (404, "media_not_found")
        assert (bad.status_code, bad.json()["errors"][0]["field"]) == (400, "media_id")

    async def test_a_known_etag_is_304_until_the_media_changes(self, api: Api) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image")
        url = f"{MEDIA}/{body['id']}"
        etag = (await api.client.get(url)).headers["etag"]
        same = await api.client.get(url, headers={"If-None-Match": etag})
        await api.client.put(url, json={"filename": "b.png"}, headers=api.auth)
        changed = await api.client.get(url, headers={"If-None-Match": etag})

        assert (same.status_code, same.content) == (304, b"")
        assert changed.status_code == 200


class TestList:
    async def test_a_list_needs_a_token(self, api: Api) -> None:
        assert (await api.client.get(f"{MEDIA}/")).status_code == 401

    async def test_an_empty_list_has_no_pages(self, api: Api) -> None:
        body = (await api.client.get(f"{MEDIA}/", headers=api.auth)).json()
        assert body == {
            "items": [], "total": 0, "total_is_estimate": False, "page": 1, "page_size": 20, "pages": 0,
            "next_cursor": None,
        }  # fmt: skip

    async def test_pages_are_newest_first_and_complete(self, api: Api) -> None:
        await add_rows(api, 45)
        pages = [await names(api, f"page={page}") for page in (1, 2, 3, 4)]

        assert [len(page) for page in pages] == [20, 20, 5, 0]
        assert len({name for page in pages for name in page}) == 45

    @pytest.mark.parametrize("page_size", [1, 7, 100])
    async def test_cursors_walk_the_same_way_as_pages(self, api: Api, page_size: int) -> None:
        await add_rows(api, 15)
        by_page: list[str] = []
        for page in range(1, 16):
            by_page += await names(api, f"page={page}&page_size={page_size}")
        by_cursor: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            reply = await api.client.get(f"{MEDIA}/?page_size={page_size}&cursor={cursor}", headers=api.auth)
            by_cursor += [item["filename"] for item in reply.json()["items"]]
            cursor = reply.json()["next_cursor"]

        assert by_cursor == by_page
        assert len(by_cursor) == 15

    async def test_filters_narrow_the_list(self, api: Api) -> None:
        other = uuid.uuid4()
        await add_rows(api, 2)
        await add_rows(api, 3, media_type="video")
        api.user_id, mine = other, api.user_id
        await add_rows(api, 1)

        assert len(await names(api, "media_type=video")) == 3
        assert len(await names(api, f"uploaded_by={other}")) == 1
        assert len(await names(api, f"uploaded_by={mine}&media_type=image")) == 2
        assert len(await names(api, f"content_id={uuid.uuid4()}")) == 0

    @pytest.mark.parametrize(
        "query",
        [
            "page=0", "page=-1", "page=x", "page=9223372036854775808", "page_size=0", "page_size=101", "page_size=1e3",
            "media_type=picture", "uploaded_by=1", "content_id=%00", "cursor=abc", "cursor=%FF", "count=all",
            "page=2147483647&page_size=100",
        ],
    )  # fmt: skip
    async def test_absurd_numbers_and_filters_are_400(self, api: Api, query: str) -> None:
        reply = await api.client.get(f"{MEDIA}/?{query}", headers=api.auth)
        assert reply.status_code == 400, reply.text
        assert {"detail", "code"} <= set(reply.json())

    async def test_the_total_is_as_exact_as_asked(self, api: Api) -> None:
        await add_rows(api, 3)
        totals = {}
        for count in ("exact", "estimated", "none"):
            body = (await api.client.get(f"{MEDIA}/?count={count}", headers=api.auth)).json()
            totals[count] = (body["total"], body["total_is_estimate"])

        assert totals["exact"] == (3, False)
        assert totals["estimated"][1] is True
        assert totals["none"] == (None, False)


class TestUpdate:
    async def test_only_the_fields_sent_change_and_metadata_is_replaced_whole(self, api: Api) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image", metadata='{"a": 1}')
        url = f"{MEDIA}/{body['id']}"
        renamed = (await api.client.put(url, json={"filename": "b.png"}, headers=api.auth)).json()
        replaced = (await api.client.put(url, json={"metadata": {"b": [2]}}, headers=api.auth)).json()

        assert (renamed["filename"], renamed["metadata"]) == ("b.png", {"a": 1})
        assert (replaced["filename"], replaced["metadata"]) == ("b.png", {"b": [2]})
        assert replaced["properties"] == body["properties"]
        assert body["updated_at"] < renamed["updated_at"] < replaced["updated_at"]

    async def test_only_the_uploader_may_and_the_order_does_not_depend_on_the_body(self, api: Api) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image")
        url, stranger = f"{MEDIA}/{body['id']}", api.auth_of(uuid.uuid4())
        for content in (b'{"filename": "b"}', b"{broken", b""):
            assert (await api.client.put(url, content=content, headers=stranger)).status_code == 403
            assert (await api.client.put(url, content=content)).status_code == 401
            unknown = await api.client.put(f"{MEDIA}/{uuid.uuid4()}", content=content, headers=stranger)
            assert unknown.status_code == 404

    @pytest.mark.parametrize(
        "content",
        [
            b"", b"{", b"[]", b'"x"', b"null", b'{"filename": ""}', b'{"filename": 7}', b'{"filename": "\\u0000"}',
            b'{"filename": "\\ud800"}', b'{"metadata": []}', b'{"metadata": {"a": "\\u0000"}}', b"\xff",
            b'{"metadata": {"a": 1e999}}', b'{"metadata": ' + b'{"a":' * 40 + b"1" + b"}" * 41,
            b'{"metadata": {"a": "' + b"x" * 70_000 + b'"}}', b'{"filename": "' + b"x" * 501 + b'"}',
        ],
    )  # fmt: skip
    async def test_a_body_that_cannot_be_kept_is_400(self, api: Api, content: bytes) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image")
        headers = {**api.auth, "Content-Type": "application/json"}
        reply = await api.client.put(f"{MEDIA}/{body['id']}", content=content, headers=headers)

        assert reply.status_code == 400, reply.text
        assert (await api.client.get(f"{MEDIA}/{body['id']}")).json() == body

    async def test_a_huge_body_is_413(self, api: Api) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image")
        huge = b'{"metadata": {"a": "' + b"x" * 2_000_000 + b'"}}'
        reply = await api.client.put(f"{MEDIA}/{body['id']}", content=huge, headers=api.auth)
        assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")

    async def test_columns_that_are_not_the_clients_stay(self, api: Api) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image")
        wanted = {"id": str(uuid.uuid4()), "uploaded_by": str(uuid.uuid4()), "url": "x", "mime_type": "text/html",
                  "file_size": 1, "created_at": "2000-01-01T00:00:00Z"}  # fmt: skip
        reply = await api.client.put(f"{MEDIA}/{body['id']}", json=wanted, headers=api.auth)

        after = reply.json()
        assert {name: after[name] for name in wanted} == {name: body[name] for name in wanted}

    async def test_renaming_cannot_change_what_a_file_is_taken_for(self, api: Api) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image")
        for name in ("evil.html", "evil.svg", "a.png.exe", "..\\..\\x.php", 'x";y.html'):
            await api.client.put(f"{MEDIA}/{body['id']}", json={"filename": name}, headers=api.auth)
            reply = await api.client.get(f"{MEDIA}/{body['id']}/download")

            assert reply.headers["content-type"] == "image/png"
            assert '.png"' in reply.headers["content-disposition"]

    async def test_twelve_updates_at_once_leave_no_mixed_row(self, api: Api) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image")
        url = f"{MEDIA}/{body['id']}"
        wanted = [{"filename": f"{number}.png", "metadata": {"number": number}} for number in range(12)]
        replies = await asyncio.gather(*(api.client.put(url, json=one, headers=api.auth) for one in wanted))

        assert {reply.status_code for reply in replies} == {200}
        after = (await api.client.get(url)).json()
        assert after["filename"] == f"{after['metadata']['number']}.png"


class TestDelete:
    async def test_a_deleted_media_is_gone_by_every_address(self, api: Api) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image")
        reply = await api.client.delete(f"{MEDIA}/{body['id']}", headers=api.auth)

        assert reply.status_code == 200
        assert "message" in reply.json()
        for url in (f"{MEDIA}/{body['id']}", f"{MEDIA}/{body['id']}/download", body["url"], body["thumbnail_url"]):
            assert (await api.client.get(str(url))).status_code == 404
        await api.assert_nothing_left()

    async def test_emptied_directories_go_too(self, api: Api) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image")
        await api.client.delete(f"{MEDIA}/{body['id']}", headers=api.auth)
        assert list(api.settings.UPLOAD_DIR.glob("2*")) == []

    async def test_only_the_uploader_may(self, api: Api) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image")
        url = f"{MEDIA}/{body['id']}"

        assert (await api.client.delete(url)).status_code == 401
        assert (await api.client.delete(url, headers=api.auth_of(uuid.uuid4()))).status_code == 403
        assert (await api.client.get(url)).status_code == 200

    async def test_of_ten_deletes_at_once_one_succeeds(self, api: Api) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image")
        url = f"{MEDIA}/{body['id']}"
        replies = await asyncio.gather(*(api.client.delete(url, headers=api.auth) for _ in range(10)))

        assert sorted(reply.status_code for reply in replies) == [200] + [404] * 9
        await api.assert_nothing_left()

    async def test_a_delete_wins_over_updates(self, api: Api) -> None:
        body = await api.uploaded("a.png", png(5, 5), "image")
        url = f"{MEDIA}/{body['id']}"
        updates = [api.client.put(url, json={"filename": f"{n}.png"}, headers=api.auth) for n in range(5)]
        deleted, *updated = await asyncio.gather(api.client.delete(url, headers=api.auth), *updates)

        assert deleted.status_code == 200
        assert {reply.status_code for reply in updated} <= {200, 404}
        assert (await api.client.get(url)).status_code == 404

    async def test_a_download_during_a_delete_is_whole_or_404(self, api: Api) -> None:
        data = b"0123456789" * 200_000
        for _ in range(5):
            body = await api.uploaded("a.txt", data, "document")
            url = f"{MEDIA}/{body['id']}"
            downloads = [api.client.get(f"{url}/download") for _ in range(4)]
            _, *replies = await asyncio.gather(api.client.delete(url, headers=api.auth), *downloads)
            for reply in replies:
                assert reply.status_code == 404 or reply.content == data


async def test_twenty_equal_uploads_at_once_become_twenty_media(api: Api) -> None:
    replies = await asyncio.gather(*(api.upload("same.txt", b"same bytes", "document") for _ in range(20)))

    assert {reply.status_code for reply in replies} == {201}
    assert len({reply.json()["url"] for reply in replies}) == 20
    assert len(api.stored_files()) == 20


class TestContent:
    async def test_a_content_comes_with_its_media_oldest_first(self, api: Api) -> None:
        created = await api.client.post(f"{CONTENT}/", json={"title": "Report", "body": "x"}, headers=api.auth)
        content = created.json()
        uploaded = [await api.uploaded(f"{n}.png", png(5, 5), "image", content_id=content["id"]) for n in range(3)]
        found = (await api.client.get(created.headers["location"])).json()
        listed = (await api.client.get(f"{CONTENT}/")).json()

        assert created.status_code == 201
        assert [media["id"] for media in found["media"]] == [body["id"] for body in uploaded]
        assert all(media["thumbnail_url"] for media in found["media"])
        assert listed["items"][0] == {**found, "media_total": 3}
        assert listed["total"] == 1

    async def test_its_media_can_be_listed_by_type(self, api: Api) -> None:
        content = (await api.client.post(f"{CONTENT}/", json={"title": "T"}, headers=api.auth)).json()
        await api.uploaded("a.png", png(5, 5), "image", content_id=content["id"])
        await api.uploaded("a.txt", b"text", "document", content_id=content["id"])
        url = f"{MEDIA}/content/{content['id']}/media"

        assert len((await api.client.get(url)).json()) == 2
        assert [media["filename"] for media in (await api.client.get(f"{url}?media_type=image")).json()] == ["a.png"]

    async def test_the_media_of_an_unknown_content_are_404(self, api: Api) -> None:
        reply = await api.client.get(f"{MEDIA}/content/{uuid.uuid4()}/media")
        assert (reply.status_code, reply.json()["code"]) == (404, "content_not_found")

    async def test_deleting_it_keeps_its_media(self, api: Api) -> None:
        content = (await api.client.post(f"{CONTENT}/", json={"title": "T"}, headers=api.auth)).json()
        body = await api.uploaded("a.png", png(5, 5), "image", content_id=content["id"])
        reply = await api.client.delete(f"{CONTENT}/{content['id']}", headers=api.auth)

        assert reply.status_code == 200
        assert (await api.client.get(f"{CONTENT}/{content['id']}")).status_code == 404
        assert (await api.client.get(f"{MEDIA}/{body['id']}")).json()["content_id"] is None

    async def test_only_its_creator_changes_it(self, api: Api) -> None:
        content = (await api.client.post(f"{CONTENT}/", json={"title": "T"}, headers=api.auth)).json()
        url, stranger = f"{CONTENT}/{content['id']}", api.auth_of(uuid.uuid4())

        assert (await api.client.put(url, json={"title": "U"}, headers=stranger)).status_code == 403
        assert (await api.client.delete(url, headers=stranger)).status_code == 403
        changed = await api.client.put(url, json={"title": "U"}, headers=api.auth)
        assert (changed.json()["title"], changed.json()["body"]) == ("U", "")
