"""Every list walks an index, also on 100,000 rows: PostgreSQL's own plans say so."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database
from app.core.media_types import MediaType
from app.core.migrations import upgrade_to_head
from app.core.paging import Cursor
from app.models import Content
from app.repositories.content_repository import ContentRepository
from app.repositories.media_repository import EXACT_COUNT_CAP, MediaFilter, MediaRepository
from tests.fixtures.settings import SettingsFactory

ROWS = 100_000
USER, CONTENT = uuid.UUID(int=1), uuid.UUID(int=2)
MIDDLE = Cursor(datetime(2026, 1, 1, 12, tzinfo=UTC), uuid.UUID(int=0))

FILL = text("""
    INSERT INTO media (media_type, filename, url, uploaded_by, content_id, created_at, storage_path)
    SELECT CASE WHEN n % 10 = 0 THEN 'video' ELSE 'image' END, n::text, '/' || n,
           lpad(to_hex(n % 100), 32, '0')::uuid, CASE WHEN n % 5000 = 0 THEN CAST(:content AS uuid) END,
           timestamptz '2026-01-01' + n * interval '1 second', '2026/01/' || n || '.jpg'
    FROM generate_series(1, :rows) AS n
""")

Query = Callable[[AsyncSession], Awaitable[object]]


@pytest.fixture
async def many_rows(fresh_database_url: str, settings_of: SettingsFactory) -> AsyncIterator[Database]:
    """A database of its own: filling it is the expensive part, so one test asks it everything."""
    database = Database(fresh_database_url, settings_of(DATABASE_STATEMENT_TIMEOUT_S=100))
    await upgrade_to_head(database)
    async with database.transaction() as session:
        session.add(Content(id=CONTENT, title="t", created_by=USER))
        await session.flush()
        await session.execute(FILL, {"rows": ROWS, "content": CONTENT})
    async with database.read() as session:
        await session.execute(text("ANALYZE media"))
    yield database
    await database.close()


@contextmanager
def recorded(engine: Engine) -> Iterator[list[tuple[str, Sequence[object]]]]:
    """The statements that are sent meanwhile, with their parameters."""
    sent: list[tuple[str, Sequence[object]]] = []

    def note(_: Connection, __: object, statement: str, parameters: Sequence[object], *___: object) -> None:
        sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def plans(database: Database, query: Query) -> list[str]:
    """How PostgreSQL answers each statement of `query`."""
    async with database.read() as session:
        connection = await session.connection()
        with recorded(connection.sync_connection.engine) as sent:  # type: ignore[union-attr]  # it is connected
            await query(session)
        found = []
        for statement, parameters in sent:
            rows = await connection.exec_driver_sql(f"EXPLAIN {statement}", tuple(parameters))
            found.append("\n".join(row[0] for row in rows))
        return found


def page(wanted: MediaFilter, offset: int = 0) -> Query:
    return lambda session: MediaRepository(session).page(wanted, offset=offset, limit=20)


def after(wanted: MediaFilter) -> Query:
    return lambda session: MediaRepository(session).page_after(wanted, MIDDLE, limit=20)


WALKS: list[tuple[Query, str]] = [
    (page(MediaFilter()), "idx_media_created"),
    (page(MediaFilter(), offset=ROWS // 3), "idx_media_created"),
    (lambda session: MediaRepository(session).page_from_end(MediaFilter(), skip=5, limit=20), "idx_media_created"),
    (after(MediaFilter()), "idx_media_created"),
    (page(MediaFilter(media_type=MediaType.VIDEO)), "idx_media_type_created"),
    (after(MediaFilter(media_type=MediaType.VIDEO)), "idx_media_type_created"),
    (page(MediaFilter(uploaded_by=USER)), "idx_uploaded_by_created"),
    (after(MediaFilter(uploaded_by=USER)), "idx_uploaded_by_created"),
    (page(MediaFilter(content_id=CONTENT)), "idx_media_content_id"),
    (lambda session: MediaRepository(session).for_content(CONTENT, None), "idx_media_content_id"),
    (lambda session: ContentRepository(session).get_with_media(CONTENT), "idx_media_content_id"),
    (lambda session: MediaRepository(session).owned_keys(["2026/01/7.jpg"]), "uq_media_storage_path"),
]


async def test_lists_walk_their_indexes_and_counts_know_when_to_stop(many_rows: Database) -> None:
    for query, index in WALKS:
        found = await plans(many_rows, query)
        assert any(index in plan for plan in found), "\n\n".join(found)
        assert not any("Seq Scan on media" in plan for plan in found), "\n\n".join(found)

    async with many_rows.read() as session:
        repository = MediaRepository(session)
        assert await repository.count(MediaFilter(), cap=EXACT_COUNT_CAP) == EXACT_COUNT_CAP + 1
        assert await repository.count(MediaFilter(media_type=MediaType.VIDEO), cap=None) == ROWS // 10
        assert await repository.estimated_count(MediaFilter()) == pytest.approx(ROWS, rel=0.05)

        near = await repository.page(MediaFilter(), offset=ROWS - 50, limit=20)
        far = await repository.page_from_end(MediaFilter(), skip=30, limit=20)
        assert [media.filename for media in near] == [str(number) for number in range(50, 30, -1)]
        assert [media.id for media in near] == [media.id for media in far]
