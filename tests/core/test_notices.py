"""Hearing of changes that others make: real PostgreSQL, real triggers, real loss of the connection."""

import asyncio
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.database import Database
from app.core.migrations import upgrade_to_head
from app.core.postgres.notices import DOUBT_S, PROOF_S, NoticeListener
from app.core.read_cache import ChangeMarks
from app.repositories.media_reader import MediaReader
from app.services.public_reads import CHANGE_CHANNEL, EVERYTHING, PublicReads
from tests.fixtures.settings import SettingsFactory
from tests.fixtures.silent_proxy import SilentProxy, silent_proxy


@dataclass
class Ear:
    """What a listener heard, and whether it said that it hears."""

    notices: list[str] = field(default_factory=list)
    states: list[bool] = field(default_factory=list)

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(1000):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"heard {self.notices}, hearing {self.states}")


@pytest.fixture
async def migrated(fresh_database_url: str, settings_of: SettingsFactory) -> AsyncIterator[Database]:
    database = Database(fresh_database_url, settings_of())
    await upgrade_to_head(database)
    yield database
    await database.close()


@pytest.fixture
async def ear(migrated: Database) -> AsyncIterator[Ear]:
    ear = Ear()
    listener = migrated.listener(CHANGE_CHANNEL, on_notice=ear.notices.append, on_hearing=ear.states.append)
    task = asyncio.create_task(listener.run_forever())
    await ear.until(lambda: ear.states == [True])
    yield ear
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def rows(database: Database, count: int) -> list[uuid.UUID]:
    async with database.transaction() as session:
        found = await session.scalars(
            text(
                "INSERT INTO media (media_type, filename, url, uploaded_by) "
                "SELECT 'image', 'a', 'u', gen_random_uuid() FROM generate_series(1, :count) RETURNING id"
            ),
            {"count": count},
        )
        return list(found)


async def run(database: Database, statement: str) -> None:
    async with database.transaction() as session:
        await session.execute(text(statement))


async def test_every_changed_media_is_told_once_and_a_new_one_is_not(migrated: Database, ear: Ear) -> None:
    ids = {str(media_id) for media_id in await rows(migrated, 64)}
    await run(migrated, "UPDATE media SET filename = 'b'")
    await ear.until(lambda: len(ear.notices) >= 64)
    assert set(ear.notices) == ids
    assert len(ear.notices) == 64

    await run(migrated, "DELETE FROM media")
    await ear.until(lambda: len(ear.notices) >= 128)
    assert set(ear.notices[64:]) == ids


async def test_very_many_changes_at_once_are_one_notice(migrated: Database, ear: Ear) -> None:
    await rows(migrated, 65)
    await run(migrated, "UPDATE media SET filename = 'b'")
    await ear.until(lambda: bool(ear.notices))
    assert ear.notices == [EVERYTHING]


async def test_media_that_lose_their_content_are_told(migrated: Database, ear: Ear) -> None:
    (media_id,) = await rows(migrated, 1)
    await run(migrated, "INSERT INTO content (title, created_by) VALUES ('t', gen_random_uuid())")
    await run(migrated, "UPDATE media SET content_id = (SELECT id FROM content)")
    await ear.until(lambda: len(ear.notices) == 1)
    await run(migrated, "DELETE FROM content")
    await ear.until(lambda: len(ear.notices) == 2)
    assert ear.notices == [str(media_id)] * 2


async def test_a_lost_connection_is_noticed_and_replaced(migrated: Database, ear: Ear) -> None:
    (media_id,) = await rows(migrated, 1)
    await run(
        migrated,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    await ear.until(lambda: ear.states == [True, False])
    await ear.until(lambda: ear.states == [True, False, True])
    await run(migrated, "UPDATE media SET filename = 'b'")
    await ear.until(lambda: ear.notices == [str(media_id)])


@pytest.fixture
async def through_proxy(
    migrated: Database, fresh_database_url: str, settings_of: SettingsFactory
) -> AsyncIterator[tuple[SilentProxy, NoticeListener, Ear]]:
    """A listener whose connection can fall silent."""
    with tempfile.TemporaryDirectory(prefix="pg-") as directory:
        async with silent_proxy(fresh_database_url, Path(directory)) as (proxy, url):
            database, ear = Database(url, settings_of()), Ear()
            listener = database.listener(CHANGE_CHANNEL, on_notice=ear.notices.append, on_hearing=ear.states.append)
            task = asyncio.create_task(listener.run_forever())
            await ear.until(lambda: ear.states == [True])
            yield proxy, listener, ear
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await database.close()


async def test_a_connection_that_died_in_silence_is_doubted_within_a_second_of_a_read(
    through_proxy: tuple[SilentProxy, NoticeListener, Ear],
) -> None:
    proxy, listener, ear = through_proxy
    proxy.passes.clear()
    read_at = time.monotonic()
    listener.relied_on()
    await ear.until(lambda: ear.states == [True, False])
    assert time.monotonic() - read_at < 1.0

    proxy.passes.set()  # it was only slow: hearing again without a new connection
    await ear.until(lambda: ear.states == [True, False, True])


async def test_nobody_speaks_often_while_nobody_relies_on_it(
    through_proxy: tuple[SilentProxy, NoticeListener, Ear],
) -> None:
    proxy, _, ear = through_proxy
    proxy.passes.clear()
    await asyncio.sleep(PROOF_S + DOUBT_S + 0.4)
    assert ear.states == [True]


async def test_a_read_that_is_kept_asks_for_the_proof(migrated: Database, tmp_path: Path) -> None:
    (media_id,) = await rows(migrated, 1)
    marks, asked = ChangeMarks(tmp_path / "marks"), []
    reads = PublicReads(MediaReader(migrated.statements), marks, ttl_s=60)
    reads.rely_on(lambda: asked.append(1))
    await reads.media(media_id)
    assert asked == []  # read from the database
    await reads.media(media_id)
    assert asked == [1]
    marks.close()
