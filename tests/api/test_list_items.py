"""Lists show each media as it is now, although its JSON is kept: whoever changed it, and however."""

import json
import uuid

import pytest
from sqlalchemy import text

from app.services.listed_media import MAX_KEPT_BYTES
from tests.fixtures.api import CONTENT, MEDIA, Api, ApiFactory
from tests.fixtures.pictures import png


async def listed(api: Api, query: str = "") -> list[dict[str, object]]:
    reply = await api.client.get(f"{MEDIA}/?{query}", headers=api.auth)
    assert reply.status_code == 200, reply.text
    items: list[dict[str, object]] = reply.json()["items"]
    return items


async def changed_by_hand(api: Api, statement: str, **values: object) -> None:
    """What an operator does with psql: no time of change is set, and this process is told nothing."""
    async with api.database.transaction() as session:
        await session.execute(text(statement), values)


@pytest.mark.parametrize("ttl_s", [0, 60])
async def test_items_are_those_of_the_single_resources_after_each_change(make_api: ApiFactory, ttl_s: int) -> None:
    api = await make_api(READ_CACHE_TTL_S=ttl_s)
    ids = [(await api.uploaded(f"{number}.png", png(5, 5), "image"))["id"] for number in range(3)]
    for number in range(4):
        change = {"filename": f"changed {number}.png", "metadata": {"number": number, "text": 'é\u2028"\\'}}
        await api.client.put(f"{MEDIA}/{ids[1]}", json=change, headers=api.auth)
        for query in ("", "page=1&page_size=3", "unknown=1"):
            singles = [(await api.client.get(f"{MEDIA}/{media_id}")).json() for media_id in reversed(ids)]
            assert await listed(api, query) == singles
    await api.client.delete(f"{MEDIA}/{ids[1]}", headers=api.auth)
    assert [item["id"] for item in await listed(api)] == [ids[2], ids[0]]


async def test_a_change_by_hand_shows_in_the_next_list(make_api: ApiFactory) -> None:
    api = await make_api(READ_CACHE_TTL_S=3600)
    media_id = (await api.uploaded("a.png", png(5, 5), "image"))["id"]
    for name in ("b.png", "c.png", "b.png"):
        await listed(api)
        await changed_by_hand(api, "UPDATE media SET filename = :name WHERE id = :id", name=name, id=media_id)
        assert [item["filename"] for item in await listed(api)] == [name]


async def test_media_whose_content_goes_lose_it_in_the_next_list(make_api: ApiFactory) -> None:
    api = await make_api(READ_CACHE_TTL_S=3600)
    content = (await api.client.post(f"{CONTENT}/", json={"title": "T"}, headers=api.auth)).json()
    await api.uploaded("a.png", png(5, 5), "image", content_id=content["id"])
    before = await listed(api)
    await api.client.delete(f"{CONTENT}/{content['id']}", headers=api.auth)
    after = await listed(api)

    assert [item["content_id"] for item in before] == [content["id"]]
    assert [item["content_id"] for item in after] == [None]
    assert before[0]["updated_at"] == after[0]["updated_at"]  # so it is not the time that tells


async def test_more_than_is_kept_is_listed_all_the_same(make_api: ApiFactory) -> None:
    api = await make_api(READ_CACHE_TTL_S=3600)
    rows, size = 100, MAX_KEPT_BYTES // 80
    await changed_by_hand(
        api,
        "INSERT INTO media (media_type, filename, url, uploaded_by, metadata) "
        "SELECT 'image', n::text, '/' || n, :user, jsonb_build_object('text', repeat(chr(97 + n % 26), :size)) "
        "FROM generate_series(1, :rows) AS n",
        user=uuid.uuid4(), rows=rows, size=size,
    )  # fmt: skip
    first = await listed(api, "page_size=100")
    second = await listed(api, "page_size=100")

    assert first == second
    assert len(first) == rows
    assert {len(json.dumps(item["metadata"])) for item in first} == {size + len('{"text": ""}')}
