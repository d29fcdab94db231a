"""Answers are what their models in the OpenAPI document say, and a cached read is never behind an answered change."""

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel

from app.schemas.content import ContentList, ContentWithMedia
from app.schemas.media import MediaList, MediaResponse
from tests.fixtures.api import CONTENT, MEDIA, Api, ApiFactory
from tests.fixtures.live_service import LiveService, LiveServiceFactory
from tests.fixtures.pictures import png


async def test_every_answer_is_what_its_model_says(api: Api) -> None:
    content = (await api.client.post(f"{CONTENT}/", json={"title": "T"}, headers=api.auth)).json()
    uploaded = await api.uploaded("a.png", png(5, 5), "image", content_id=content["id"], metadata='{"ä": [1.5, null]}')
    media_url, content_url = f"{MEDIA}/{uploaded['id']}", f"{CONTENT}/{content['id']}"
    renamed = (await api.client.put(media_url, json={"filename": "b.png"}, headers=api.auth)).json()
    answers: dict[type[BaseModel], list[object]] = {
        MediaResponse: [uploaded, renamed, (await api.client.get(media_url)).json()],
        MediaList: [(await api.client.get(f"{MEDIA}/", headers=api.auth)).json()],
        ContentWithMedia: [content, (await api.client.get(content_url)).json()],
        ContentList: [(await api.client.get(f"{CONTENT}/")).json()],
    }
    for model, bodies in answers.items():
        for body in bodies:
            assert model.model_validate(body, strict=False).model_dump(mode="json") == body


async def test_the_ways_to_read_a_media_agree(api: Api) -> None:
    uploaded = await api.uploaded("a.png", png(5, 5), "image", metadata='{"b": {"a": 1}, "n": 1e-7, "t": "ü\\n"}')
    by_id = (await api.client.get(f"{MEDIA}/{uploaded['id']}")).json()
    listed = (await api.client.get(f"{MEDIA}/", headers=api.auth)).json()["items"][0]

    assert uploaded == by_id == listed


@pytest.mark.parametrize("ttl_s", [0, 60])
async def test_a_change_shows_in_the_next_read_however_long_reads_are_kept(make_api: ApiFactory, ttl_s: int) -> None:
    api = await make_api(READ_CACHE_TTL_S=ttl_s)
    content = (await api.client.post(f"{CONTENT}/", json={"title": "T"}, headers=api.auth)).json()
    body = await api.uploaded("a.txt", b"text", "document", content_id=content["id"])
    url = f"{MEDIA}/{body['id']}"
    for name in ("b.txt", "c.txt"):
        await api.client.put(url, json={"filename": name}, headers=api.auth)
        assert (await api.client.get(url)).json()["filename"] == name
        assert name in (await api.client.get(str(body["url"]))).headers["content-disposition"]

    await api.client.delete(f"{CONTENT}/{content['id']}", headers=api.auth)
    assert (await api.client.get(url)).json()["content_id"] is None
    await api.client.delete(url, headers=api.auth)
    assert (await api.client.get(url)).status_code == 404
    assert (await api.client.get(str(body["url"]))).status_code == 404


async def test_a_change_shows_at_once_in_every_server_process(make_live_service: LiveServiceFactory) -> None:
    service = make_live_service(WORKERS="2", READ_CACHE_TTL_S="60")
    async with service.client(uuid.uuid4()) as client:
        for number in range(20):
            reply = await client.post(
                f"{MEDIA}/upload", files={"file": ("a.txt", b"text")}, data={"media_type": "document"}
            )
            url = f"{MEDIA}/{reply.json()['id']}"
            # New connections end up in either process, so both have it in memory.
            seen = [await service.fresh_get(url) for _ in range(4)]
            assert {answer.status_code for answer in seen} == {200}
            await client.put(url, json={"filename": f"{number}.txt"})
            assert {(await service.fresh_get(url)).json()["filename"] for _ in range(4)} == {f"{number}.txt"}
            await client.delete(url)
            assert {(await service.fresh_get(url)).status_code for _ in range(4)} == {404}


async def test_a_change_on_another_machine_shows_a_moment_later(
    make_live_service: LiveServiceFactory, fresh_database_url: str, tmp_path: Path
) -> None:
    # Two services without a common DATA_DIR have only the database to tell each other.
    shared = {"DATABASE_URL": fresh_database_url, "UPLOAD_DIR": str(tmp_path / "store"), "READ_CACHE_TTL_S": "3600"}
    here, there = make_live_service(**shared), make_live_service(**shared)
    async with here.client(uuid.uuid4()) as client:
        reply = await client.post(
            f"{MEDIA}/upload", files={"file": ("a.txt", b"text")}, data={"media_type": "document"}
        )
        url = f"{MEDIA}/{reply.json()['id']}"
        assert (await there.fresh_get(url)).json()["filename"] == "a.txt"
        await client.put(url, json={"filename": "b.txt"})
        assert await _becomes(there, url, lambda answer: answer.json().get("filename") == "b.txt")
        await client.delete(url)
        assert await _becomes(there, url, lambda answer: answer.status_code == 404)


async def _becomes(service: LiveService, url: str, condition: Callable[[httpx.Response], bool]) -> bool:
    for _ in range(100):
        if condition(await service.fresh_get(url)):
            return True
        await asyncio.sleep(0.05)
    return False
