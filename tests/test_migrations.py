"""The migrations: they make exactly what the models say and the founding document asks for, up, down and in a crowd."""

import asyncio
import logging
import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from alembic import command
from app.core.database import Database
from app.core.migrations import alembic_config, upgrade_to_head
from app.models import Base
from tests.fixtures.settings import SettingsFactory

PROJECT = Path(__file__).parents[1]

# The CREATE TABLE and CREATE INDEX of the founding document, with TIMESTAMPTZ for TIMESTAMP.
FOUNDING_COLUMNS = {
    "id": ("uuid", "NO", "gen_random_uuid()"),
    "content_id": ("uuid", "YES", None),
    "media_type": ("character varying(20)", "NO", None),
    "filename": ("character varying(500)", "NO", None),
    "url": ("character varying(1000)", "NO", None),
    "storage_path": ("character varying(1000)", "YES", None),
    "file_size": ("integer", "YES", None),
    "mime_type": ("character varying(100)", "YES", None),
    "width": ("integer", "YES", None),
    "height": ("integer", "YES", None),
    "duration": ("integer", "YES", None),
    "metadata": ("jsonb", "NO", "'{}'::jsonb"),
    "uploaded_by": ("uuid", "NO", None),
    "created_at": ("timestamp with time zone", "NO", "now()"),
    "updated_at": ("timestamp with time zone", "NO", "now()"),
}
FOUNDING_INDEXES = {
    "idx_media_type_content": ["media_type", "content_id"],
    "idx_uploaded_by_created": ["uploaded_by", "created_at"],
    "idx_media_content_id": ["content_id"],
    "idx_media_url": ["url"],
}
COLUMNS = text("""
    SELECT attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NO' ELSE 'YES' END,
           pg_get_expr(adbin, adrelid)
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = 'media'::regclass AND attnum > 0 AND NOT attisdropped
""")


@pytest.fixture
async def fresh(fresh_database_url: str, settings_of: SettingsFactory) -> AsyncIterator[Database]:
    """A Database without any table."""
    database = Database(fresh_database_url, settings_of())
    yield database
    await database.close()


async def downgrade(database: Database) -> None:
    await database.run_sync(lambda connection: command.downgrade(alembic_config(connection), "base"))


async def tables(database: Database) -> set[str]:
    return await database.run_sync(lambda connection: set(inspect(connection).get_table_names()))


async def leave_empty(database: Database) -> None:
    """No row is written."""


async def fill(database: Database) -> None:
    """At least one row in every table."""
    async with database.transaction() as session:
        content = await session.scalar(
            text("INSERT INTO content (title, created_by) VALUES ('t', gen_random_uuid()) RETURNING id")
        )
        media = await session.scalar(
            text("INSERT INTO media (content_id, media_type, filename, url, uploaded_by)"
                 " VALUES (:content, 'image', 'f', 'u', gen_random_uuid()) RETURNING id"),
            {"content": content},
        )  # fmt: skip
        for statement in (
            "INSERT INTO media_text VALUES (:media, 'text')",
            "INSERT INTO media_waveform VALUES (:media, 8000, 1, 1, '')",
            "INSERT INTO idempotency_key VALUES (gen_random_uuid(), 'key', 'fingerprint', :media)",
        ):
            await session.execute(text(statement), {"media": media})
        await session.execute(text("INSERT INTO storage_journal VALUES ('key', 'owner')"))
        await session.execute(text("INSERT INTO user_usage VALUES (gen_random_uuid())"))


@pytest.mark.parametrize("prepare", [leave_empty, fill])
async def test_up_down_and_up_again(fresh: Database, prepare: Callable[[Database], Awaitable[None]]) -> None:
    await upgrade_to_head(fresh)
    assert await tables(fresh) == {*Base.metadata.tables, "alembic_version"}
    await prepare(fresh)
    await downgrade(fresh)
    assert await tables(fresh) == {"alembic_version"}
    await upgrade_to_head(fresh)
    assert await tables(fresh) == {*Base.metadata.tables, "alembic_version"}


async def test_upgrade_of_a_current_database_keeps_its_rows(fresh: Database) -> None:
    await upgrade_to_head(fresh)
    await fill(fresh)
    await upgrade_to_head(fresh)
    async with fresh.read() as session:
        for table in Base.metadata.tables:
            assert await session.scalar(text(f"SELECT count(*) FROM {table}")) == 1, table


async def test_migrations_make_what_the_models_say(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "target_metadata": Base.metadata}
        )
        return list(compare_metadata(context, Base.metadata))

    assert await database.run_sync(differences) == []


async def test_constraints_have_the_names_of_the_convention(database: Database) -> None:
    def names(connection: Connection) -> set[str]:
        return set(connection.scalars(text(
            "SELECT conname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid"
            " WHERE contype IN ('p', 'f', 'u', 'c') AND connamespace = 'public'::regnamespace"
            " AND relname <> 'alembic_version'"
        )))  # fmt: skip

    def names_of_the_models(connection: Connection) -> set[str]:
        preparer = connection.dialect.identifier_preparer
        constraints = (constraint for table in Base.metadata.tables.values() for constraint in table.constraints)
        return {preparer.format_constraint(constraint) or "" for constraint in constraints}

    assert await database.run_sync(names) == await database.run_sync(names_of_the_models)


async def test_media_has_the_columns_of_the_founding_document(database: Database) -> None:
    async with database.read() as session:
        found = {row[0]: tuple(row[1:]) for row in await session.execute(COLUMNS)}
    assert {name: found.get(name) for name in FOUNDING_COLUMNS} == FOUNDING_COLUMNS


async def test_media_has_the_indexes_of_the_founding_document(database: Database) -> None:
    found = await database.run_sync(
        lambda connection: {index["name"]: index["column_names"] for index in inspect(connection).get_indexes("media")}
    )
    assert {name: found.get(name) for name in FOUNDING_INDEXES} == FOUNDING_INDEXES


async def test_removed_content_leaves_its_media_behind(clean_database: Database) -> None:
    await fill(clean_database)
    async with clean_database.transaction() as session:
        await session.execute(text("DELETE FROM content"))
        assert (await session.execute(text("SELECT content_id FROM media"))).all() == [(None,)]


async def test_removed_media_takes_its_facts_along(clean_database: Database) -> None:
    await fill(clean_database)
    async with clean_database.transaction() as session:
        await session.execute(text("DELETE FROM media"))
        for table in ("media_text", "media_waveform", "idempotency_key"):
            assert await session.scalar(text(f"SELECT count(*) FROM {table}")) == 0, table


async def test_unknown_content_is_refused(clean_database: Database) -> None:
    async with clean_database.read() as session:
        with pytest.raises(Exception, match="fk_media_content_id_content"):
            await session.execute(
                text("INSERT INTO media (content_id, media_type, filename, url, uploaded_by)"
                     " VALUES (:id, 'image', 'f', 'u', :id)"),
                {"id": uuid.uuid4()},
            )  # fmt: skip


async def test_four_processes_at_once_migrate_once(fresh: Database, fresh_database_url: str, tmp_path: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": fresh_database_url}
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "alembic", "upgrade", "head",
            cwd=PROJECT, env=environment, stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    said = [(await process.communicate())[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert sum("Running upgrade" in lines for lines in said) == 1
    assert await tables(fresh) == {*Base.metadata.tables, "alembic_version"}


async def test_four_callers_at_once_migrate_once(fresh: Database) -> None:
    await asyncio.gather(*(upgrade_to_head(fresh) for _ in range(4)))
    assert await tables(fresh) == {*Base.metadata.tables, "alembic_version"}


async def test_failed_migration_leaves_nothing_behind(fresh: Database) -> None:
    async with fresh.transaction() as session:
        await session.execute(text("CREATE TABLE user_usage (id integer)"))  # the last one that the upgrade makes
    with pytest.raises(Exception, match="user_usage"):
        await upgrade_to_head(fresh)
    assert await tables(fresh) == {"user_usage"}


async def test_upgrade_leaves_the_logging_of_the_service_alone(fresh: Database) -> None:
    existing = logging.getLogger("tests.existing")
    before = (list(logging.getLogger().handlers), logging.getLogger().level)
    await upgrade_to_head(fresh)
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == before
    assert not existing.disabled
