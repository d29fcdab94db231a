"""Lists stay right while totals and the places of pages are kept: after uploads and deletes, far from either end."""

import uuid
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.embedded import EmbeddedPostgres
from app.repositories.media_list_reader import EXACT_COUNT_CAP
from tests.fixtures.api import CONTENT, MEDIA, Api, ApiFactory
from tests.fixtures.live_service import LiveService, LiveServiceFactory
from tests.fixtures.pictures import png

FILL = text("""
    INSERT INTO media (media_type, filename, url, uploaded_by, created_at)
    SELECT 'image', n::text, '/' || n, :user, timestamptz '2026-01-01' + n * interval '1 second'
    FROM generate_series(1, :rows) AS n
""")


async def fill(api: Api, rows: int) -> None:
    """Rows named 1, 2, 3 …, oldest first."""
    async with api.database.transaction() as session:
        await session.execute(FILL, {"user": api.user_id, "rows": rows})


async def listed(api: Api, query: str) -> dict[str, Any]:
    reply = await api.client.get(f"{MEDIA}/?{query}", headers=api.auth)
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


async def names(api: Api, query: str) -> list[str]:
    return [item["filename"] for item in (await listed(api, query))["items"]]


async def second_page(service: LiveService, authorization: str) -> dict[str, Any]:
    """Asked on a new connection, which ends up in either process: both have the total and the place in memory."""
    async with httpx.AsyncClient(base_url=service.url, headers={"Authorization": authorization}) as client:
        body: dict[str, Any] = (await client.get(f"{MEDIA}/?page_size=1&page=2")).json()
    return body


@pytest.mark.parametrize("ttl_s", [0, 60])
async def test_totals_and_pages_are_right_after_each_upload_and_delete(make_api: ApiFactory, ttl_s: int) -> None:
    api = await make_api(READ_CACHE_TTL_S=ttl_s)
    ids: list[object] = []
    for number in range(4):
        ids.append((await api.uploaded(f"{number}.png", png(5, 5), "image"))["id"])
        for page in range(1, number + 2):
            found = await listed(api, f"page_size=1&page={page}")
            assert (found["total"], found["total_is_estimate"], found["pages"]) == (number + 1, False, number + 1)
            assert [item["id"] for item in found["items"]] == [ids[-page]]
    while ids:
        await api.client.delete(f"{MEDIA}/{ids.pop(0)}", headers=api.auth)
        last = await listed(api, f"page_size=1&page={max(1, len(ids))}")
        assert last["total"] == len(ids)
        assert [item["id"] for item in last["items"]] == ids[:1]


async def test_every_server_process_counts_right_after_each_upload(make_live_service: LiveServiceFactory) -> None:
    service = make_live_service(WORKERS="2")
    async with service.client(uuid.uuid4()) as client:
        for number in range(1, 13):
            reply = await client.post(
                f"{MEDIA}/upload", files={"file": ("a.txt", b"text")}, data={"media_type": "document"}
            )
            assert reply.status_code == 201
            answers = [await second_page(service, client.headers["Authorization"]) for _ in range(4)]
            assert {answer["total"] for answer in answers} == {number}
            assert len({str(answer["items"]) for answer in answers}) == 1


async def test_media_that_lost_their_content_leave_its_list(api: Api) -> None:
    content = (await api.client.post(f"{CONTENT}/", json={"title": "T"}, headers=api.auth)).json()
    for number in range(2):
        await api.uploaded(f"{number}.png", png(5, 5), "image", content_id=content["id"])
    query = f"content_id={content['id']}&page_size=1&page=2"
    before = await listed(api, query)
    await api.client.delete(f"{CONTENT}/{content['id']}", headers=api.auth)
    after = await listed(api, query)

    assert (before["total"], len(before["items"])) == (2, 1)
    assert (after["total"], after["items"]) == (0, [])


@pytest.mark.parametrize("query", ["", "media_type=image&", "count=none&", "count=exact&"])
async def test_pages_by_number_are_the_same_however_often_and_in_whatever_order(api: Api, query: str) -> None:
    await fill(api, 50)
    expected = [str(number) for number in range(50, 0, -1)]
    for page in (7, 4, 5, 2, 3, 8, 1, 9, 7, 6, 4):
        found = await listed(api, f"{query}page_size=7&page={page}")
        assert [item["filename"] for item in found["items"]] == expected[(page - 1) * 7 : page * 7]
        assert (found["next_cursor"] is None) == (page >= 8)


@pytest.mark.parametrize(("rows", "page_size"), [(0, 5), (1, 1), (4, 5), (5, 5), (6, 5), (10, 5), (100, 100)])
@pytest.mark.parametrize("query", ["", "count=none&", "media_type=image&count=exact&"])
async def test_the_last_page_says_that_it_is_the_last(api: Api, query: str, rows: int, page_size: int) -> None:
    await fill(api, rows)
    pages = max(1, -(-rows // page_size))
    for number in range(1, pages + 2):
        by_number = await listed(api, f"{query}page_size={page_size}&page={number}")
        assert (by_number["next_cursor"] is None) == (number >= pages), number
    cursor, seen = "", 0
    for number in range(1, pages + 1):
        by_cursor = await listed(api, f"{query}page_size={page_size}{cursor}")
        seen += len(by_cursor["items"])
        assert (by_cursor["next_cursor"] is None) == (number == pages), number
        cursor = f"&cursor={by_cursor['next_cursor']}"
    assert seen == rows


async def test_beyond_what_is_counted_the_total_is_an_estimate_and_pages_are_exact(api: Api) -> None:
    rows = EXACT_COUNT_CAP + 50
    await fill(api, rows)
    first = await listed(api, "page_size=10")
    last = await listed(api, f"page_size=10&page={rows // 10}")
    following = await listed(api, f"page_size=10&cursor={first['next_cursor']}")
    exact = await listed(api, "page_size=10&count=exact")

    assert first["total_is_estimate"]
    assert first["total"] > EXACT_COUNT_CAP
    assert first["total"] == last["total"] == following["total"]
    assert (exact["total"], exact["total_is_estimate"]) == (rows, False)
    assert [item["filename"] for item in last["items"]] == [str(number) for number in range(10, 0, -1)]
    assert await names(api, f"page_size=10&page={rows // 10 - 1}") == [str(number) for number in range(20, 10, -1)]
    assert await names(api, f"page_size=10&page={rows // 10 + 1}") == []


async def test_without_the_database_lists_are_503_and_come_back_with_it(
    make_api: ApiFactory, own_postgres: EmbeddedPostgres
) -> None:
    api = await make_api(DATABASE_URL=own_postgres.url, DATABASE_TIMEOUT_S=1)
    content = (await api.client.post(f"{CONTENT}/", json={"title": "T"}, headers=api.auth)).json()
    paths = (f"{MEDIA}/", f"{MEDIA}/?page=2", f"{MEDIA}/content/{content['id']}/media")
    own_postgres.stop()
    away = [await api.client.get(path, headers=api.auth) for path in paths]
    own_postgres.start()
    back = [await api.client.get(path, headers=api.auth) for path in paths]

    assert {(reply.status_code, reply.json()["code"]) for reply in away} == {(503, "database_unavailable")}
    assert {reply.status_code for reply in back} == {200}
