"""An Idempotency-Key gives the lost answer again, whatever has become of the quota and the content since."""

import asyncio
import uuid

import httpx
import pytest

from tests.fixtures.api import CONTENT, MEDIA, Api, ApiFactory
from tests.fixtures.live_service import LiveService
from tests.fixtures.pictures import png

KEY = {"Idempotency-Key": "one"}


async def new_content(api: Api) -> str:
    reply = await api.client.post(f"{CONTENT}/", json={"title": "T"}, headers=api.auth)
    return str(reply.json()["id"])


def code_of(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, str(reply.json()["code"])


@pytest.mark.parametrize("quota", [{"QUOTA_FILES": 1}, {"QUOTA_BYTES": 5}])
class TestWithAFullQuota:
    async def test_the_upload_that_filled_it_is_answered_again(
        self, make_api: ApiFactory, quota: dict[str, int]
    ) -> None:
        api = await make_api(**quota)
        first = await api.upload("a.txt", b"12345", "document", headers=KEY)
        again = await api.upload("a.txt", b"12345", "document", headers=KEY)

        assert (again.status_code, again.json()) == (201, first.json())
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"]
        assert await api.media_count() == 1
        assert api.staged_files() == []

    async def test_another_upload_under_the_key_is_a_mismatch(
        self, make_api: ApiFactory, quota: dict[str, int]
    ) -> None:
        api = await make_api(**quota)
        await api.upload("a.txt", b"12345", "document", headers=KEY)
        for name, data in (("a.txt", b"12346"), ("b.txt", b"12345")):
            assert code_of(await api.upload(name, data, "document", headers=KEY)) == (422, "idempotency_mismatch")
        assert await api.media_count() == 1

    async def test_another_key_or_none_is_over_it(self, make_api: ApiFactory, quota: dict[str, int]) -> None:
        api = await make_api(**quota)
        await api.upload("a.txt", b"12345", "document", headers=KEY)
        for headers in ({}, {"Idempotency-Key": "two"}):
            reply = await api.upload("a.txt", b"12345", "document", headers=headers)
            assert code_of(reply) == (413, "quota_exceeded")

    async def test_somebody_elses_key_opens_nothing(self, make_api: ApiFactory, quota: dict[str, int]) -> None:
        api = await make_api(**quota)
        await api.upload("a.txt", b"12345", "document", headers=KEY)
        api.user_id = uuid.uuid4()
        await api.upload("a.txt", b"12345", "document")
        assert code_of(await api.upload("a.txt", b"12345", "document", headers=KEY)) == (413, "quota_exceeded")

    async def test_a_deleted_media_is_uploaded_anew(self, make_api: ApiFactory, quota: dict[str, int]) -> None:
        api = await make_api(**quota)
        first = await api.upload("a.txt", b"12345", "document", headers=KEY)
        await api.client.delete(f"{MEDIA}/{first.json()['id']}", headers=api.auth)
        again = await api.upload("a.txt", b"12345", "document", headers=KEY)

        assert again.status_code == 201
        assert "idempotent-replayed" not in again.headers
        assert again.json()["id"] != first.json()["id"]


class TestWithoutTheContent:
    @pytest.mark.parametrize("way", ["path", "field"])
    async def test_the_lost_answer_comes_again(self, api: Api, way: str) -> None:
        content_id = await new_content(api)
        path, fields = f"{MEDIA}/upload", {"content_id": content_id}
        if way == "path":
            path, fields = f"{MEDIA}/content/{content_id}/upload", {}
        first = await api.upload("a.txt", b"a", "document", fields, headers=KEY, path=path)
        await api.client.delete(f"{CONTENT}/{content_id}", headers=api.auth)
        again = await api.upload("a.txt", b"a", "document", fields, headers=KEY, path=path)
        other = await api.upload("a.txt", b"b", "document", fields, headers=KEY, path=path)
        unknown = await api.upload("a.txt", b"a", "document", fields, headers={"Idempotency-Key": "two"}, path=path)

        assert first.json()["content_id"] == content_id
        assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
        assert again.json()["content_id"] is None
        assert again.headers["idempotent-replayed"] == "true"
        assert code_of(other) == (422, "idempotency_mismatch")
        assert code_of(unknown) == (404, "content_not_found")
        assert await api.media_count() == 1
        assert api.staged_files() == []

    async def test_a_key_whose_media_is_deleted_too_is_404(self, api: Api) -> None:
        content_id = await new_content(api)
        path = f"{MEDIA}/content/{content_id}/upload"
        first = await api.upload("a.txt", b"a", "document", headers=KEY, path=path)
        await api.client.delete(f"{CONTENT}/{content_id}", headers=api.auth)
        await api.client.delete(f"{MEDIA}/{first.json()['id']}", headers=api.auth)
        again = await api.upload("a.txt", b"a", "document", headers=KEY, path=path)
        assert code_of(again) == (404, "content_not_found")


async def test_a_key_beside_a_delete_of_its_media_is_201_or_409(live_service: LiveService) -> None:
    """Four uploads of one key at once, and each media deleted as soon as it is known: 160 uploads in all."""
    data = png(5, 5)
    seen: dict[int, int] = {}

    async def once(client: httpx.AsyncClient, key: str) -> httpx.Response:
        reply = await client.post(
            f"{MEDIA}/upload",
            files={"file": ("a.png", data)},
            data={"media_type": "image"},
            headers={"Idempotency-Key": key},
        )
        seen[reply.status_code] = seen.get(reply.status_code, 0) + 1
        if reply.status_code == 201:
            gone = await client.delete(f"{MEDIA}/{reply.json()['id']}")
            assert gone.status_code in {200, 404}, gone.text
        else:
            assert code_of(reply) == (409, "conflict"), reply.text
            assert "send it again" in reply.json()["detail"]
        return reply

    async with live_service.client(uuid.uuid4()) as client:
        for number in range(40):
            await asyncio.gather(*(once(client, f"key-{number % 3}") for _ in range(4)))
        left = (await client.get(f"{MEDIA}/", params={"count": "exact"})).json()
    assert set(seen) <= {201, 409}
    assert seen[409] > 0, "the race was not run"
    assert left["total"] == 0
