"""Advisory locks: one holder at a time, and free again however the holder ends."""

import asyncio

import pytest

from app.core.database import Database
from app.core.embedded import EmbeddedPostgres
from tests.fixtures.settings import SettingsFactory


async def test_lock_has_one_holder_at_a_time(database: Database) -> None:
    async with database.advisory_lock("tests", wait=False) as first:
        async with database.advisory_lock("tests", wait=False) as second:
            assert (first, second) == (True, False)
        async with database.advisory_lock("others", wait=False) as other:
            assert other
    async with database.advisory_lock("tests", wait=False) as third:
        assert third


async def test_lock_is_free_after_an_error_and_after_cancellation(database: Database) -> None:
    async def fail() -> None:
        async with database.advisory_lock("tests", wait=True):
            raise LookupError

    with pytest.raises(LookupError):
        await fail()

    async def hold() -> None:
        async with database.advisory_lock("tests", wait=True):
            has_lock.set()
            await asyncio.sleep(60)

    has_lock = asyncio.Event()
    holder = asyncio.create_task(hold())
    await has_lock.wait()
    holder.cancel()
    await asyncio.wait([holder])
    async with asyncio.timeout(2), database.advisory_lock("tests", wait=True) as is_held:
        assert is_held


async def test_lock_is_waited_for(database: Database) -> None:
    order: list[str] = []

    async def wait_for_it() -> None:
        async with database.advisory_lock("tests", wait=True) as is_held:
            assert is_held
            order.append("waiter")

    async with database.advisory_lock("tests", wait=True):
        waiter = asyncio.create_task(wait_for_it())
        await asyncio.sleep(0.2)
        order.append("holder")
    await waiter
    assert order == ["holder", "waiter"]


async def test_lock_takes_no_connection_from_the_pool(database: Database) -> None:
    before = database.pool_stats().in_use
    async with database.advisory_lock("tests", wait=True):
        assert database.pool_stats().in_use == before


async def test_lock_of_a_stopped_server_ends_quietly(
    own_postgres: EmbeddedPostgres, settings_of: SettingsFactory
) -> None:
    database = Database(own_postgres.url, settings_of())
    async with database.advisory_lock("tests", wait=True) as is_held:
        assert is_held
        own_postgres.stop()
    await database.close()
