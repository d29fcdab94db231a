"""Rows for the lists, copied straight into PostgreSQL: no service would insert a million of them in a minute."""

import asyncio
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import asyncpg  # type: ignore[import-untyped]  # asyncpg ships no types

USER_ID = uuid.UUID("0b6e1c1e-0000-4000-8000-000000000001")
"""The user of every upload and every row."""

_START = datetime(2026, 1, 1, tzinfo=UTC)
_COLUMNS = (
    "id", "media_type", "filename", "url", "storage_path", "thumbnail_path", "file_size", "mime_type", "width",
    "height", "uploaded_by", "created_at", "updated_at",
)  # fmt: skip


def copy_rows(url: str, count: int) -> None:
    """Append `count` media, one second apart, oldest first; url: `postgresql://…` of a database with the schema.

    The secondary indexes are dropped for the copy and built again after it, which takes a third of the time.
    """
    asyncio.run(_copy_rows(url, count))


def ids_of(url: str, limit: int, *, table: str = "media") -> list[str]:
    """Ids spread over the whole table, at most `limit`."""
    return asyncio.run(_ids_of(url, limit, table))


def create_database(url: str, name: str) -> str:
    """Make an empty database beside the one of `url`; returns its URL."""
    execute(url, f'CREATE DATABASE "{name}"')
    return url.replace("/postgres?", f"/{name}?")


def execute(url: str, statement: str, *values: object) -> None:
    """Run one statement outside of a transaction."""
    asyncio.run(_execute(url, statement, *values))


async def _copy_rows(url: str, count: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        indexes = await connection.fetch(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'media' AND indexname NOT LIKE 'pk_%' "
            "AND indexname NOT LIKE '%_pkey'"
        )
        for index in indexes:
            await connection.execute(f'DROP INDEX "{index["indexname"]}"')
        await connection.copy_records_to_table("media", records=_records(count), columns=_COLUMNS)
        await connection.execute("SET maintenance_work_mem = '256MB'")
        for index in indexes:
            await connection.execute(index["indexdef"])
        await connection.execute("VACUUM (ANALYZE, FREEZE) media")  # what autovacuum would do in the middle of a round
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def _ids_of(url: str, limit: int, table: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(f"SELECT id FROM {table} ORDER BY id LIMIT $1", limit)
    finally:
        await connection.close()
    return [str(row["id"]) for row in rows]


async def _execute(url: str, statement: str, *values: object) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


def _records(count: int) -> Iterator[tuple[object, ...]]:
    for number in range(count):
        created_at = _START + timedelta(seconds=number)
        name = f"{number:07d}"
        path = f"2026/{created_at:%m}/photo_{name}.jpg"
        yield (
            uuid.uuid4(), "image", f"photo {name}.jpg", f"/api/v1/media/files/{path}", path,
            f"2026/{created_at:%m}/photo_{name}_thumb.jpg", 180_000 + number % 50_000, "image/jpeg", 1600, 1200,
            USER_ID, created_at, created_at,
        )  # fmt: skip
