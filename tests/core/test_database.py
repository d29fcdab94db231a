"""Sessions of the database: what is committed, what is rolled back, and what they cost."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database


async def count(database: Database) -> int:
    async with database.read() as session:
        return int((await session.scalars(text("SELECT count(*) FROM storage_journal"))).one())


async def insert(session: AsyncSession, key: str) -> None:
    await session.execute(text("INSERT INTO storage_journal (key, owner) VALUES (:key, 'tests')"), {"key": key})


async def test_transaction_commits_at_its_end(clean_database: Database) -> None:
    async with clean_database.transaction() as session:
        await insert(session, "a")
        assert await count(clean_database) == 0
    assert await count(clean_database) == 1


async def test_transaction_rolls_back_on_an_error(clean_database: Database) -> None:
    async def fail() -> None:
        async with clean_database.transaction() as session:
            await insert(session, "a")
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await count(clean_database) == 0


async def test_transaction_rolls_back_when_it_is_cancelled(clean_database: Database) -> None:
    async def insert_and_wait(statement: str) -> None:
        async with clean_database.transaction() as session:
            await insert(session, "a")
            has_inserted.set()
            await session.execute(text(statement))
            await asyncio.sleep(60)

    for statement in ("SELECT 1", "SELECT pg_sleep(60)"):
        has_inserted = asyncio.Event()
        task = asyncio.create_task(insert_and_wait(statement))
        await has_inserted.wait()
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await count(clean_database) == 0
    assert clean_database.pool_stats().in_use == 0


async def test_transaction_rolls_back_on_a_broken_constraint(clean_database: Database) -> None:
    async def insert_twice() -> None:
        async with clean_database.transaction() as session:
            await insert(session, "a")
            await insert(session, "a")

    with pytest.raises(IntegrityError):
        await insert_twice()
    assert await count(clean_database) == 0


async def test_read_opens_no_transaction(clean_database: Database) -> None:
    # now() stands still inside a transaction.
    async with clean_database.read() as session:
        first = await session.scalar(text("SELECT now()"))
        assert await session.scalar(text("SELECT now()")) > first


async def test_transaction_is_one_transaction(clean_database: Database) -> None:
    async with clean_database.transaction() as session:
        first = await session.scalar(text("SELECT now()"))
        assert await session.scalar(text("SELECT now()")) == first


async def test_sessions_speak_utc_without_jit_and_give_their_name(clean_database: Database) -> None:
    async with clean_database.read() as session:
        row = (await session.execute(text(
            "SELECT current_setting('timezone'), current_setting('jit'), current_setting('application_name')"
        ))).one()  # fmt: skip
    assert tuple(row) == ("UTC", "off", "tests")


async def test_errors_in_the_statement_are_not_called_unavailable(clean_database: Database) -> None:
    with pytest.raises(ProgrammingError):
        async with clean_database.read() as session:
            await session.execute(text("SELECT nothing FROM nowhere"))


async def test_errors_never_show_what_users_wrote(clean_database: Database) -> None:
    with pytest.raises(IntegrityError) as caught:
        async with clean_database.transaction() as session:
            await session.execute(
                text("INSERT INTO storage_journal (key, owner) VALUES (:key, NULL)"), {"key": "my secret name"}
            )
    assert "my secret name" not in str(caught.value).split("[SQL:")[1]
