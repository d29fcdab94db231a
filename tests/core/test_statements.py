"""Single statements on connections of their own: reads may be asked twice, writes are sent once and commit at once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from app.core.database import Database
from app.core.embedded import EmbeddedPostgres
from app.core.errors import DatabaseUnavailable
from app.core.postgres.statements import ConstraintViolated, StatementPool
from tests.fixtures.settings import SettingsFactory

NOTE = "INSERT INTO storage_journal (key, owner) VALUES ($1, 'me') RETURNING key"
COUNT = "SELECT count(*) AS keys FROM storage_journal"
BACKEND = "SELECT pg_backend_pid() AS pid"


@pytest.fixture
async def own_statements(own_postgres: EmbeddedPostgres, settings_of: SettingsFactory) -> AsyncIterator[StatementPool]:
    """A pool on `own_postgres`, with one connection."""
    database = Database(own_postgres.url, settings_of(DATABASE_POOL_SIZE=1, DATABASE_TIMEOUT_S=1))
    yield database.statements
    await database.close()


async def noted(statements: StatementPool) -> int:
    row = await statements.fetch_row(COUNT)
    assert row is not None
    return int(row["keys"])


async def backend_of(statements: StatementPool) -> int:
    row = await statements.fetch_row(BACKEND)
    assert row is not None
    return int(row["pid"])


async def test_a_write_gives_back_its_row_and_is_committed(clean_database: Database) -> None:
    row = await clean_database.statements.write_row(NOTE, "a")
    assert row is not None
    assert row["key"] == "a"
    async with clean_database.read():  # another connection
        assert await noted(clean_database.statements) == 1


async def test_a_refused_write_names_the_constraint_and_leaves_nothing(clean_database: Database) -> None:
    statements = clean_database.statements
    await statements.write_row(NOTE, "a")
    with pytest.raises(ConstraintViolated) as caught:
        await statements.write_row(NOTE, "a")
    assert caught.value.name == "pk_storage_journal"
    with pytest.raises(ConstraintViolated) as caught:
        await statements.write_row(NOTE, None)
    assert caught.value.column == "key"
    assert await noted(statements) == 1


async def test_a_connection_that_was_ended_meanwhile_costs_neither_a_read_nor_a_write(
    own_statements: StatementPool,
) -> None:
    for ask in (own_statements.fetch_row, own_statements.write_row):
        pid = await backend_of(own_statements)
        os.kill(pid, signal.SIGTERM)
        await asyncio.sleep(0.2)
        assert await ask(BACKEND) is not None


async def test_a_write_that_loses_its_connection_is_unavailable_and_not_sent_again(
    own_statements: StatementPool,
) -> None:
    pid = await backend_of(own_statements)
    slow = "INSERT INTO storage_journal (key, owner) SELECT 'a', pg_sleep(60)::text RETURNING key"
    writing = asyncio.create_task(own_statements.write_row(slow))
    await asyncio.sleep(0.2)
    os.kill(pid, signal.SIGTERM)
    with pytest.raises(DatabaseUnavailable):
        await writing
    assert await noted(own_statements) == 0


async def test_a_silent_server_is_found_before_a_write_is_sent(own_statements: StatementPool) -> None:
    pid = await backend_of(own_statements)
    await asyncio.sleep(1.1)  # idle for long enough to be asked
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(DatabaseUnavailable):
            await own_statements.write_row(NOTE, "a")
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    assert await noted(own_statements) == 0


async def test_a_full_pool_is_unavailable_in_time(own_statements: StatementPool) -> None:
    waiting = asyncio.create_task(own_statements.fetch_row("SELECT pg_sleep(3)"))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(2.5):
        for ask in (own_statements.fetch_row, own_statements.write_row):
            with pytest.raises(DatabaseUnavailable):
                await ask(BACKEND)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await noted(own_statements) == 0
