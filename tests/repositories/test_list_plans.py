"""Every list walks an index, also on 100,000 rows: PostgreSQL's own plans say so."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database
from app.core.media_types import MediaType
from app.core.migrations import upgrade_to_head
from app.core.paging import Cursor
from app.core.postgres.driver import ConnectionOptions, asyncpg_dsn
from app.core.postgres.statements import Row, StatementPool
from app.models import Content
from app.repositories.content_reader import ContentReader, MediaSpan
from app.repositories.content_repository import ContentRepository
from app.repositories.media_list_reader import EXACT_COUNT_CAP, MediaFilter, MediaListReader
from app.repositories.media_repository import MediaRepository
from tests.fixtures.settings import SettingsFactory

ROWS = 100_000
USER, CONTENT = uuid.UUID(int=1), uuid.UUID(int=2)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MIDDLE = Cursor(datetime(2026, 1, 1, 12, tzinfo=UTC), uuid.UUID(int=0))

FILL = text("""
    INSERT INTO media (media_type, filename, url, uploaded_by, content_id, created_at, storage_path)
    SELECT CASE WHEN n % 10 = 0 THEN 'video' ELSE 'image' END, n::text, '/' || n,
           lpad(to_hex(n % 100), 32, '0')::uuid, CASE WHEN n % 5000 = 0 THEN CAST(:content AS uuid) END,
           timestamptz '2026-01-01' + n * interval '1 second', '2026/01/' || n || '.jpg'
    FROM generate_series(1, :rows) AS n
""")

List = Callable[[MediaListReader], Awaitable[object]]
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


class ExplainingPool(StatementPool):
    """Asks PostgreSQL for the plans of each statement before sending it: the first one, and the one it settles on.

    After five plans for the values it takes one that is good for all values, where that looks no dearer.
    """

    def __init__(self, url: str) -> None:
        super().__init__(ConnectionOptions(asyncpg_dsn(url), 5, 100, "tests"), size=1)
        self.plans: list[str] = []
        self._numbers = count()

    async def fetch(self, query: str, *args: object) -> Sequence[Row]:
        if not query.startswith("EXPLAIN"):
            name, values = f"plan_{next(self._numbers)}", ", ".join(f"'{value}'" for value in args)
            execute = f"EXECUTE {name}" + (f"({values})" if args else "")
            await super().fetch(f"PREPARE {name} AS {query}")
            self.plans.append(await self._plan(execute))
            for _ in range(6):
                await super().fetch(execute)
            self.plans.append(await self._plan(execute))
        return await super().fetch(query, *args)

    async def _plan(self, query: str) -> str:
        return "\n".join(row["QUERY PLAN"] for row in await super().fetch(f"EXPLAIN {query}"))


@pytest.fixture
async def lists(many_rows: Database, fresh_database_url: str) -> AsyncIterator[tuple[MediaListReader, ExplainingPool]]:
    """The lists of `many_rows`, and where their plans are written down."""
    pool = ExplainingPool(fresh_database_url)
    yield MediaListReader(pool), pool
    await pool.close()


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


def newest(wanted: MediaFilter) -> List:
    return lambda reader: reader.newest(wanted, limit=20)


def after(wanted: MediaFilter) -> List:
    return lambda reader: reader.after(wanted, MIDDLE, limit=20)


def far(wanted: MediaFilter, skip: int) -> List:
    return lambda reader: reader.from_newest(wanted, skip=skip, limit=20)


LISTS: list[tuple[List, str]] = [
    (newest(MediaFilter()), "idx_media_created"),
    (far(MediaFilter(), ROWS // 3), "idx_media_created"),
    (far(MediaFilter(), ROWS - 20), "idx_media_created"),
    (lambda reader: reader.from_oldest(MediaFilter(), skip=5, limit=20), "idx_media_created"),
    (after(MediaFilter()), "idx_media_created"),
    (lambda reader: reader.newest(MediaFilter(), limit=20, is_whole=True), "idx_media_created"),
    (lambda reader: reader.after(MediaFilter(), MIDDLE, limit=20, is_whole=True), "idx_media_created"),
    (newest(MediaFilter(media_type=MediaType.VIDEO)), "idx_media_type_created"),
    (far(MediaFilter(media_type=MediaType.VIDEO), 100), "idx_media_type_created"),
    (after(MediaFilter(media_type=MediaType.VIDEO)), "idx_media_type_created"),
    (newest(MediaFilter(uploaded_by=USER)), "idx_uploaded_by_created"),
    (far(MediaFilter(uploaded_by=USER), 100), "idx_uploaded_by_created"),
    (after(MediaFilter(uploaded_by=USER)), "idx_uploaded_by_created"),
    (newest(MediaFilter(media_type=MediaType.IMAGE, uploaded_by=USER)), "idx_uploaded_by_created"),
    (newest(MediaFilter(content_id=CONTENT)), "idx_media_content_"),
    (lambda reader: reader.count(MediaFilter(uploaded_by=USER), cap=EXACT_COUNT_CAP), "idx_uploaded_by_created"),
    (lambda reader: reader.count(MediaFilter(media_type=MediaType.VIDEO), cap=None), "idx_media_type_"),
]
OTHERS: list[tuple[Query, str]] = [
    (lambda session: ContentRepository(session).count_of(USER), "idx_content_created_by"),
    (lambda session: MediaRepository(session).owned_keys(["2026/01/7.jpg"]), "uq_media_storage_path"),
]


CONTENTS: list[Callable[[ContentReader], Awaitable[object]]] = [
    lambda reader: reader.media(MediaSpan(CONTENT), rows=200),
    lambda reader: reader.media(MediaSpan(CONTENT, MediaType.IMAGE, MIDDLE), rows=200),
    lambda reader: reader.media(MediaSpan(CONTENT, None, Cursor(BEGIN, USER), MIDDLE), rows=200),
    lambda reader: reader.content(MediaSpan(CONTENT), rows=200),
    lambda reader: reader.boundary(MediaSpan(CONTENT), limit=5),
    lambda reader: reader.listed(offset=0, limit=20),
    lambda reader: reader.listed_ids(offset=0, limit=20),
]


async def test_contents_find_their_media_by_an_index(many_rows: Database, fresh_database_url: str) -> None:
    pool = ExplainingPool(fresh_database_url)
    for ask in CONTENTS:
        pool.plans.clear()
        await ask(ContentReader(pool))
        assert all("idx_media_content_" in plan for plan in pool.plans), "\n\n".join(pool.plans)
        assert not any("Seq Scan on media" in plan for plan in pool.plans), "\n\n".join(pool.plans)
    await pool.close()


async def test_lists_walk_their_indexes_and_counts_know_when_to_stop(
    many_rows: Database, lists: tuple[MediaListReader, ExplainingPool]
) -> None:
    reader, pool = lists
    for ask, index in LISTS:
        pool.plans.clear()
        await ask(reader)
        assert len(pool.plans) == 2
        assert all(index in plan for plan in pool.plans), "\n\n".join(pool.plans)
        assert not any("Seq Scan on media" in plan for plan in pool.plans), "\n\n".join(pool.plans)
    for query, index in OTHERS:
        found = await plans(many_rows, query)
        assert any(index in plan for plan in found), "\n\n".join(found)
        assert not any("Seq Scan on media" in plan for plan in found), "\n\n".join(found)

    assert await reader.count(MediaFilter(), cap=EXACT_COUNT_CAP) == EXACT_COUNT_CAP + 1
    assert await reader.count(MediaFilter(media_type=MediaType.VIDEO), cap=None) == ROWS // 10
    assert await reader.estimated_count(MediaFilter()) == pytest.approx(ROWS, rel=0.05)
    assert await reader.estimated_count(MediaFilter(uploaded_by=USER)) == pytest.approx(ROWS / 100, rel=0.3)

    near = await reader.from_newest(MediaFilter(), skip=ROWS - 50, limit=20)
    far_off = await reader.from_oldest(MediaFilter(), skip=30, limit=20)
    assert [place.created_at for place in near] == [BEGIN + timedelta(seconds=number) for number in range(50, 30, -1)]
    assert near == far_off
