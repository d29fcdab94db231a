"""The database goes away under load: clean answers soon, nothing left behind, and no restart of ours afterwards."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.core.embedded import EmbeddedPostgres
from tests.fixtures.live_service import LiveService
from tests.reliability.evidence import Inspector, inspector_of
from tests.reliability.ledger import MEDIA, UPLOAD, Ledger, busy_client
from tests.reliability.quick_service import quick_service

ANSWER_WITHIN_S = 2.0


@pytest.fixture
async def service(tmp_path: Path, own_postgres: EmbeddedPostgres) -> AsyncIterator[LiveService]:
    with quick_service(tmp_path / "service", {"DATABASE_URL": own_postgres.url}) as service:
        yield service


@pytest.fixture
async def client(service: LiveService) -> AsyncIterator[httpx.AsyncClient]:
    headers = service.auth_of(uuid.uuid4())
    async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=20) as client:
        yield client


@pytest.fixture
async def inspector(service: LiveService, own_postgres: EmbeddedPostgres) -> AsyncIterator[Inspector]:
    async with inspector_of(own_postgres.url, service.upload_dir) as inspector:
        yield inspector


async def test_a_database_stopped_under_load_is_503_at_once_and_nothing_is_lost_or_left(
    service: LiveService, client: httpx.AsyncClient, inspector: Inspector, own_postgres: EmbeddedPostgres
) -> None:
    ledger = Ledger()
    working = [
        asyncio.create_task(busy_client(client, service.auth_of(uuid.uuid4()), ledger, random.Random(seed)))
        for seed in range(8)
    ]
    await ledger.grown_to(12)
    media_id = next(iter(ledger.kept))
    own_postgres.stop()

    for _ in range(3):
        await assert_unavailable(client, media_id)

    own_postgres.start()
    await wait_until_ready(client)
    await ledger.grown_to(ledger.acknowledged + 12)
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)

    await inspector.settled(within_s=12)
    await inspector.assert_bytes_are_what_rows_say()
    await ledger.assert_kept(client)


async def test_an_upload_that_meets_a_stopped_database_at_its_end_leaves_nothing(
    client: httpx.AsyncClient, inspector: Inspector, own_postgres: EmbeddedPostgres
) -> None:
    arrived = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="media_type"\r\n\r\ndocument\r\n'
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nsome text'
        arrived.set()
        await asyncio.sleep(0.5)
        yield b"\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    uploading = asyncio.create_task(client.post(UPLOAD, content=body(), headers=headers))
    await arrived.wait()
    own_postgres.stop()
    reply = await uploading
    assert (reply.status_code, reply.json()["code"]) == (503, "database_unavailable")

    own_postgres.start()
    await wait_until_ready(client)
    assert (await inspector.settled(within_s=12)).files == set()


async def assert_unavailable(client: httpx.AsyncClient, media_id: str) -> None:
    """Every kind of request is answered 503 in time, with a time to come back."""
    upload = {"files": {"file": ("a.txt", b"text")}, "data": {"media_type": "document"}}
    began = time.monotonic()
    replies = await asyncio.gather(
        client.get(f"{MEDIA}/{media_id}"),
        client.get(f"{MEDIA}/{media_id}/download"),
        client.post(UPLOAD, **upload),  # type: ignore[arg-type]  # what httpx takes
        client.delete(f"{MEDIA}/{media_id}"),
    )
    assert time.monotonic() - began < ANSWER_WITHIN_S
    assert [reply.status_code for reply in replies] == [503] * 4
    assert all(int(reply.headers["retry-after"]) > 0 and reply.json()["detail"] for reply in replies)


async def wait_until_ready(client: httpx.AsyncClient) -> None:
    """The same process, without a restart."""
    deadline = time.monotonic() + 10
    while (await client.get("/readyz")).status_code != 200:
        assert time.monotonic() < deadline, "the pool did not recover"
        await asyncio.sleep(0.05)
