"""If-Match and If-Unmodified-Since keep updates from being lost: 412, and nothing is done."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
import pytest

from tests.fixtures.api import CONTENT, MEDIA, Api
from tests.fixtures.pictures import png

LONG_AGO, SOME_DAY = "Thu, 01 Jan 2015 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"


@dataclass(frozen=True)
class Thing:
    """What can be changed and deleted, and how."""

    url: str
    field: str

    def value_in(self, reply: httpx.Response) -> object:
        return reply.json()[self.field]


async def a_media(api: Api) -> Thing:
    return Thing(f"{MEDIA}/{(await api.uploaded('a.txt', b'text', 'document'))['id']}", "filename")


async def a_content(api: Api) -> Thing:
    created = await api.client.post(f"{CONTENT}/", json={"title": "first.txt"}, headers=api.auth)
    content_id = created.json()["id"]
    await api.uploaded("a.txt", b"text", "document", content_id=content_id)
    return Thing(f"{CONTENT}/{content_id}", "title")


Maker = Callable[[Api], Awaitable[Thing]]
both = pytest.mark.parametrize("make", [a_media, a_content], ids=["media", "content"])


@both
@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": '"stale"'},
        {"If-Match": "W/{tag}"},
        {"If-Match": "unquoted"},
        {"If-Unmodified-Since": LONG_AGO},
        {"If-Match": '"stale"', "If-Unmodified-Since": SOME_DAY},
        {"If-None-Match": "*"},
        {"If-None-Match": "{tag}"},
    ],
)
async def test_nothing_is_done_when_the_condition_fails(api: Api, make: Maker, headers: dict[str, str]) -> None:
    thing = await make(api)
    before = await api.client.get(thing.url)
    asked = {name: value.replace("{tag}", before.headers["etag"]) for name, value in headers.items()} | api.auth

    for refused in (
        await api.client.put(thing.url, json={thing.field: "changed.txt"}, headers=asked),
        await api.client.put(thing.url, content=b"no json", headers=asked),  # not read, so not complained about
        await api.client.delete(thing.url, headers=asked),
    ):
        assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed")
    after = await api.client.get(thing.url)
    assert (after.content, after.headers["etag"]) == (before.content, before.headers["etag"])


@both
@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": "{tag}"},
        {"If-Match": "*"},
        {"If-Match": '"x", {tag}'},
        {"If-Unmodified-Since": SOME_DAY},
        {"If-Match": "{tag}", "If-Unmodified-Since": LONG_AGO},
        {"If-None-Match": '"x"'},
    ],
)
async def test_it_is_done_when_the_condition_holds(api: Api, make: Maker, headers: dict[str, str]) -> None:
    thing = await make(api)
    tag = (await api.client.get(thing.url)).headers["etag"]

    def asked() -> dict[str, str]:
        return {name: value.replace("{tag}", tag) for name, value in headers.items()} | api.auth

    changed = await api.client.put(thing.url, json={thing.field: "changed.txt"}, headers=asked())
    assert (changed.status_code, thing.value_in(changed)) == (200, "changed.txt")
    assert changed.headers["etag"] != tag
    tag = changed.headers["etag"]
    read = await api.client.get(thing.url)
    assert (read.headers["etag"], read.json()) == (tag, changed.json())
    assert (await api.client.delete(thing.url, headers=asked())).status_code == 200
    assert (await api.client.get(thing.url)).status_code == 404


@both
async def test_who_may_not_is_told_so_first(api: Api, make: Maker) -> None:
    thing = await make(api)
    stale = {"If-Match": '"stale"'}
    stranger = api.auth_of(uuid.uuid4()) | stale
    for method in ("PUT", "DELETE"):
        assert (await api.client.request(method, thing.url, json={}, headers=stale)).status_code == 401
        assert (await api.client.request(method, thing.url, json={}, headers=stranger)).status_code == 403
    await api.client.delete(thing.url, headers=api.auth)
    for method in ("PUT", "DELETE"):
        reply = await api.client.request(method, thing.url, json={}, headers=api.auth | {"If-Match": "*"})
        assert reply.status_code == 404


@both
async def test_of_two_who_know_the_same_one_wins(api: Api, make: Maker) -> None:
    thing = await make(api)
    for round_number in range(5):
        asked = api.auth | {"If-Match": (await api.client.get(thing.url)).headers["etag"]}
        names = [f"{round_number}-{number}.txt" for number in range(6)]
        replies = await asyncio.gather(
            *(api.client.put(thing.url, json={thing.field: name}, headers=asked) for name in names)
        )
        assert sorted(reply.status_code for reply in replies) == [200, 412, 412, 412, 412, 412]
        (winner,) = [reply for reply in replies if reply.status_code == 200]
        assert thing.value_in(await api.client.get(thing.url)) == thing.value_in(winner)


@both
async def test_a_change_and_a_delete_that_know_the_same_do_not_both_happen(api: Api, make: Maker) -> None:
    for _ in range(5):
        thing = await make(api)
        asked = api.auth | {"If-Match": (await api.client.get(thing.url)).headers["etag"]}
        put, delete = await asyncio.gather(
            api.client.put(thing.url, json={thing.field: "changed.txt"}, headers=asked),
            api.client.delete(thing.url, headers=asked),
        )
        assert (put.status_code, delete.status_code) in {(200, 412), (404, 200)}


async def test_the_answer_to_a_post_has_the_tag_of_what_it_made(api: Api) -> None:
    created = await api.client.post(f"{CONTENT}/", json={"title": "t"}, headers=api.auth)
    assert (await api.client.get(f"{CONTENT}/{created.json()['id']}")).headers["etag"] == created.headers["etag"]
    uploaded = await api.upload("a.txt", b"text", "document")
    assert (await api.client.get(f"{MEDIA}/{uploaded.json()['id']}")).headers["etag"] == uploaded.headers["etag"]


async def test_the_tag_of_a_content_moves_with_its_media(api: Api) -> None:
    created = await api.client.post(f"{CONTENT}/", json={"title": "t"}, headers=api.auth)
    content_id, tags = created.json()["id"], [created.headers["etag"]]
    url = f"{CONTENT}/{content_id}"

    async def is_new() -> bool:
        reply = await api.client.get(url, headers={"If-None-Match": tags[-1]})
        tags.append(reply.headers["etag"])
        return reply.status_code == 200 and len(set(tags)) == len(tags)

    first = await api.uploaded("a.txt", b"text", "document", content_id=content_id)
    assert await is_new()
    second = await api.uploaded("b.txt", b"text", "document", content_id=content_id)
    assert await is_new()
    await api.client.put(f"{MEDIA}/{first['id']}", json={"filename": "c.txt"}, headers=api.auth)
    assert await is_new()
    await api.client.delete(f"{MEDIA}/{second['id']}", headers=api.auth)
    assert await is_new()
    unchanged = await api.client.get(url, headers={"If-None-Match": f'"x", W/{tags[-1]}'})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tags[-1])


async def test_the_tag_of_a_media_moves_when_its_content_goes(api: Api) -> None:
    created = await api.client.post(f"{CONTENT}/", json={"title": "t"}, headers=api.auth)
    content_id = created.json()["id"]
    media = await api.uploaded("a.txt", b"text", "document", content_id=content_id)
    url = f"{MEDIA}/{media['id']}"
    tag = (await api.client.get(url)).headers["etag"]
    await api.client.delete(f"{CONTENT}/{content_id}", headers=api.auth)
    reply = await api.client.get(url, headers={"If-None-Match": tag})
    assert (reply.status_code, reply.json()["content_id"]) == (200, None)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_files_are_handed_out_on_condition(api: Api, method: str) -> None:
    media = await api.uploaded("a.png", png(5, 5), "image")
    for url in (f"{MEDIA}/{media['id']}/download", str(media["url"]), str(media["thumbnail_url"])):
        tag = (await api.client.get(url)).headers["etag"]

        async def status(url: str = url, **headers: str) -> int:
            asked = {name.replace("_", "-"): value for name, value in headers.items()}
            return (await api.client.request(method, url, headers=asked)).status_code

        assert await status(If_Match=tag) == await status(If_Match="*") == 200
        assert await status(If_Match='"x"') == await status(If_Match=f"W/{tag}") == 412
        assert await status(If_Unmodified_Since=LONG_AGO) == 412
        assert await status(If_Unmodified_Since=SOME_DAY) == 200
        assert await status(If_Match='"x"', If_None_Match=tag) == 412
        assert await status(If_Match=tag, If_None_Match=tag) == 304
        assert await status(If_Match='"x"', Range="bytes=0-0") == 412
        assert await status(If_Modified_Since="Sun, 22 Nov 99999999999999999999 12:00:00 GMT") == 200


async def test_metadata_is_read_on_condition(api: Api) -> None:
    thing = await a_media(api)
    reply = await api.client.get(thing.url, headers={"If-Match": '"x"'})
    assert (reply.status_code, reply.json()["code"]) == (412, "precondition_failed")
    assert (await api.client.get(thing.url, headers={"If-Unmodified-Since": LONG_AGO})).status_code == 412
