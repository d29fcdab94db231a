"""The database when it is slow, full, stopped, killed, frozen or away: an answer in time, and recovery by itself."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.database import Database
from app.core.embedded import EmbeddedPostgres
from app.core.errors import DatabaseUnavailable
from app.core.postgres.driver import means_unavailable
from tests.fixtures.settings import SettingsFactory

AT_ONCE_S = 2.5  # the promise is two seconds, and the machine that runs the tests may be busy


@pytest.fixture
async def own_database(own_postgres: EmbeddedPostgres, settings_of: SettingsFactory) -> AsyncIterator[Database]:
    """A Database on `own_postgres`."""
    database = Database(own_postgres.url, settings_of())
    yield database
    await database.close()


@contextmanager
def unavailable_at_once() -> Iterator[None]:
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        yield
    assert time.monotonic() - started < AT_ONCE_S


async def is_alive(database: Database) -> bool:
    async with database.read() as session:
        return bool(await session.scalar(text("SELECT true")))


async def test_slow_statement_ends_at_its_limit(database_url: str, settings_of: SettingsFactory) -> None:
    database = Database(database_url, settings_of(DATABASE_STATEMENT_TIMEOUT_S=0.2))
    try:
        with unavailable_at_once():
            async with database.read() as session:
                await session.execute(text("SELECT pg_sleep(60)"))
        await database.check()
        assert database.pool_stats().idle == 1
    finally:
        await database.close()


async def test_full_pool_is_unavailable_and_free_again_afterwards(
    database_url: str, settings_of: SettingsFactory
) -> None:
    database = Database(database_url, settings_of(DATABASE_POOL_SIZE=2, DATABASE_TIMEOUT_S=1))
    try:
        async with database.read(), database.transaction():
            assert database.pool_stats().in_use == 2
            with unavailable_at_once():
                await is_alive(database)
        await asyncio.gather(*(database.check() for _ in range(20)))
        assert database.pool_stats().in_use == 0
        assert database.pool_stats().idle <= 2
    finally:
        await database.close()


async def test_waiting_callers_that_are_cancelled_lose_no_connection(
    database_url: str, settings_of: SettingsFactory
) -> None:
    database = Database(database_url, settings_of(DATABASE_POOL_SIZE=1))
    try:
        for delay_s in (0, 0.001, 0.005, 0.02):
            async with database.read():
                tasks = [asyncio.create_task(database.check()) for _ in range(5)]
                await asyncio.sleep(delay_s)
                for task in tasks:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await database.check()
            assert database.pool_stats().in_use == 0
    finally:
        await database.close()


async def test_stopped_server_is_unavailable_and_a_restarted_one_serves_at_once(
    own_postgres: EmbeddedPostgres, own_database: Database
) -> None:
    await asyncio.gather(*(own_database.check() for _ in range(5)))
    own_postgres.stop()
    for _ in range(3):
        with unavailable_at_once():
            await is_alive(own_database)
        with unavailable_at_once():
            await own_database.check()
    own_postgres.start()
    for _ in range(10):
        assert await is_alive(own_database)


async def test_restart_between_two_requests_goes_unnoticed(
    own_postgres: EmbeddedPostgres, own_database: Database
) -> None:
    await asyncio.gather(*(own_database.check() for _ in range(10)))
    own_postgres.stop()
    await asyncio.sleep(0.05)  # stopping blocked the event loop, which has yet to see the sockets close
    own_postgres.start()
    await asyncio.gather(*(own_database.check() for _ in range(10)))


async def test_connection_ended_by_the_server_during_a_statement_is_unavailable(own_database: Database) -> None:
    with unavailable_at_once():
        async with own_database.transaction() as victim:
            pid = await victim.scalar(text("SELECT pg_backend_pid()"))
            async with own_database.read() as session:
                await session.execute(text("SELECT pg_terminate_backend(:pid, 1000)"), {"pid": pid})
            await victim.execute(text("SELECT 1"))
    assert await is_alive(own_database)


async def test_server_killed_during_a_statement_is_unavailable(
    own_postgres: EmbeddedPostgres, own_database: Database
) -> None:
    async def sleep_in_the_server() -> None:
        async with own_database.read() as session:
            await session.execute(text("SELECT pg_sleep(60)"))

    await own_database.check()
    with unavailable_at_once():
        task = asyncio.create_task(sleep_in_the_server())
        await asyncio.sleep(0.1)
        own_postgres.stop()
        await task
    own_postgres.start()
    await own_database.check()


async def test_frozen_server_is_unavailable_within_the_time_limit(
    own_postgres: EmbeddedPostgres, own_database: Database
) -> None:
    await own_database.check()
    await asyncio.sleep(1.1)  # longer than a connection is trusted without a ping
    with frozen(own_postgres):
        with unavailable_at_once():
            await is_alive(own_database)
        with unavailable_at_once():
            await own_database.check()
    assert await is_alive(own_database)
    assert own_database.pool_stats().in_use == 0


@contextmanager
def frozen(server: EmbeddedPostgres) -> Iterator[None]:
    """The server and its backends, stopped as a paused container or a vanished host would be."""
    assert server.pid is not None
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text(encoding="ascii")
    pids = [server.pid, *map(int, children.split())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_wait_until_ready_returns_as_soon_as_the_server_answers(
    own_postgres: EmbeddedPostgres, own_database: Database
) -> None:
    own_postgres.stop()
    waiting = asyncio.create_task(own_database.wait_until_ready(30))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    own_postgres.start()
    await asyncio.wait_for(waiting, 5)


async def test_wait_until_ready_gives_up_at_its_limit(settings_of: SettingsFactory) -> None:
    database = Database("postgresql://user@127.0.0.1:1/none", settings_of())
    with unavailable_at_once():
        await database.wait_until_ready(0.5)
    await database.close()


@pytest.mark.parametrize("refused", ["no_such_user@/postgres", "postgres@/no_such_database"])
async def test_refused_connection_is_unavailable(database_url: str, settings_of: SettingsFactory, refused: str) -> None:
    database = Database(database_url.replace("postgres@/postgres", refused), settings_of())
    with unavailable_at_once():
        await database.check()
    await database.close()


async def test_deadlock_is_unavailable_for_one_and_leaves_its_connection_usable(clean_database: Database) -> None:
    async def lock(first: int, second: int) -> None:
        async with clean_database.transaction() as session:
            await session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": first})
            await asyncio.sleep(0.1)
            await session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": second})

    outcomes = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["DatabaseUnavailable", "NoneType"]
    assert clean_database.pool_stats().in_use == 0
    assert clean_database.pool_stats().idle >= 2


def test_errors_that_a_retry_cannot_help_are_told_apart() -> None:
    for error in (ValueError(), LookupError(), RuntimeError()):
        assert not means_unavailable(error, is_disconnect=False)
    assert means_unavailable(TimeoutError(), is_disconnect=False)
