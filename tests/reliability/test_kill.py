"""kill -9 of the whole service, at any moment: nothing acknowledged is lost, nothing unfinished stays."""

import asyncio
import random
import sys
import time
import uuid
from pathlib import Path

import httpx
import pytest

from tests.fixtures.live_service import LiveService, LiveServiceFactory
from tests.reliability.evidence import inspector_of
from tests.reliability.ledger import Ledger, busy_client
from tests.reliability.quick_service import quick_service

CLIENTS = 8
ROUNDS = 20


async def killed_under_load(service: LiveService, client: httpx.AsyncClient, ledger: Ledger, seed: int) -> None:
    """Let clients work, and kill everything at a random moment after a random number of answers."""
    random_ = random.Random(seed)
    enough = ledger.acknowledged + random_.randrange(1, 20)
    working = [
        asyncio.create_task(busy_client(client, service.auth_of(uuid.uuid4()), ledger, random.Random(random_.random())))
        for _ in range(CLIENTS)
    ]
    await ledger.grown_to(enough)
    await asyncio.sleep(random_.uniform(0, 0.05))
    await asyncio.to_thread(service.kill)
    await asyncio.gather(*working)


async def kill_again_and_again(service: LiveService, database_url: str, *, rounds: int) -> None:
    """Kill and start the service; after each start, compare all that clients were told with what is there."""
    first_seed = time.time_ns() % 1_000_000
    sys.stdout.write(f"seeds {first_seed} to {first_seed + rounds - 1}\n")
    ledger = Ledger()
    async with (
        inspector_of(database_url, service.upload_dir) as inspector,
        httpx.AsyncClient(base_url=service.url, timeout=20) as client,
    ):
        for seed in range(first_seed, first_seed + rounds):
            before = set(ledger.kept) | ledger.deleted
            await killed_under_load(service, client, ledger, seed)
            await asyncio.to_thread(service.start)
            await inspector.settled(within_s=10)
            await ledger.assert_kept(client, (set(ledger.kept) | ledger.deleted) - before)
        await inspector.assert_bytes_are_what_rows_say()
        await ledger.assert_kept(client)
    sys.stdout.write(f"{len(ledger.kept)} kept, {len(ledger.deleted)} deleted, {len(ledger.unsure)} unsure\n")
    assert ledger.acknowledged > rounds
    assert ledger.refused == 0


@pytest.mark.timeout(240)
async def test_twenty_kills_lose_nothing_and_leave_nothing(tmp_path: Path, fresh_database_url: str) -> None:
    with quick_service(tmp_path / "service", {"DATABASE_URL": fresh_database_url}) as service:
        await kill_again_and_again(service, fresh_database_url, rounds=ROUNDS)


@pytest.mark.timeout(240)
async def test_kills_of_several_server_processes_lose_nothing_and_leave_nothing(
    make_live_service: LiveServiceFactory, fresh_database_url: str
) -> None:
    service = await asyncio.to_thread(make_live_service, WORKERS="2")
    await kill_again_and_again(service, fresh_database_url, rounds=2)
