"""The database: one pool per process, read and write sessions, locks; no tables and no queries of ours.

Recovery after a restart of the server needs no restart of ours. SQLAlchemy's pre-ping would cost a round trip for
every read and three for every transaction, so a checkout looks for a closed socket instead, which is free and finds
every server that said goodbye, and pings only connections that were idle for a second, which finds the silent ones
before a request is lost to them. What dies between checkout and statement is one 503, and the next request is served.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import AdaptedConnection, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, NullPool, PoolProxiedConnection

from app.core import metrics
from app.core.config import Settings
from app.core.errors import DatabaseUnavailable
from app.core.json_safety import RawJson
from app.core.logging import get_logger
from app.core.postgres.driver import ConnectionOptions, asyncpg_dsn, connect, is_lost, means_unavailable, ping
from app.core.postgres.notices import NoticeListener
from app.core.postgres.statements import StatementPool

log = get_logger(__name__)

Result = TypeVar("Result")

_PING_AFTER_IDLE_S = 1.0
_IDLE_SINCE = "idle_since"
_LOCK_POLL_S = (0.05, 0.5)
_READY_POLL_S = (0.1, 2.0)


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Connections of this process: the most there may be, those that work now, those that wait for work."""

    size: int
    in_use: int
    idle: int


class Database:
    """One PostgreSQL database. Make it inside the running event loop's process, and `close` it at the end."""

    def __init__(
        self, url: str, settings: Settings, *, application_name: str = "media-api", is_measured: bool = False
    ) -> None:
        """Nothing is connected yet. Raises ConfigurationError when `url` is not a PostgreSQL URL.

        is_measured: whether the metrics show this pool; one per server process.
        """
        self._is_measured = is_measured
        self._timeout_s = settings.DATABASE_TIMEOUT_S
        options = ConnectionOptions(
            dsn=asyncpg_dsn(url),
            connect_timeout_s=settings.DATABASE_TIMEOUT_S,
            statement_timeout_s=settings.DATABASE_STATEMENT_TIMEOUT_S,
            application_name=application_name,
        )
        self._options = options
        self._pool_size = settings.DATABASE_POOL_SIZE
        self.statements = StatementPool(options, size=settings.DATABASE_POOL_SIZE)
        """Single statements without a session; connections of their own."""
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: connect(options),
            poolclass=AsyncAdaptedQueuePool,
            pool_size=self._pool_size,
            max_overflow=0,
            pool_timeout=self._timeout_s,
            pool_use_lifo=True,  # keeps few connections warm, so that pings are rare
            hide_parameters=True,  # what users wrote stays out of the log
            json_serializer=_json_text,
            json_deserializer=RawJson,
        )
        # Locks and migrations may last, so they take no connection from requests and have no statement limit.
        unlimited = replace(options, statement_timeout_s=None)
        self._separate_engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=lambda: connect(unlimited), poolclass=NullPool, hide_parameters=True
        )
        for engine in (self._engine, self._separate_engine):
            event.listen(engine.sync_engine, "handle_error", _translate)
        event.listen(self._engine.sync_engine, "checkin", _remember_time)
        event.listen(self._engine.sync_engine, "checkout", _require_life)
        # In AUTOCOMMIT the driver sends neither BEGIN nor ROLLBACK: one round trip per query.
        reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._read_sessions = async_sessionmaker(reading, expire_on_commit=False, autoflush=False)
        self._write_sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        self._measure()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session for queries; nothing is committed, and each statement sees the newest state.

        Raises DatabaseUnavailable when no connection can be had within DATABASE_TIMEOUT_S.
        """
        try:
            async with self._read_sessions() as session:
                await self._check_out(session)
                yield session
        finally:
            self._measure()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session in one transaction: committed at the end, rolled back by any error and by cancellation.

        Raises DatabaseUnavailable when no connection can be had within DATABASE_TIMEOUT_S, or when it is lost on the
        way; if it is lost during the commit itself, nobody can know which way that went.
        """
        try:
            async with self._write_sessions() as session:
                await self._check_out(session)
                yield session
                await session.commit()
        finally:
            self._measure()

    @asynccontextmanager
    async def advisory_lock(self, name: str, *, wait: bool) -> AsyncIterator[bool]:
        """Hold the cluster-wide lock `name`; yields whether it was got. With `wait`, waits for it without an end.

        The lock lives on a connection of its own, so the server frees it however this process ends. It is also freed,
        unnoticed, when the server restarts: use it to save work, not to keep data correct.
        """
        ask = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
        async with self._separate_engine.connect() as opened:
            connection = await opened.execution_options(isolation_level="AUTOCOMMIT")
            # Asked again and again rather than waited for inside the server: a waiting statement holds a snapshot,
            # which would block CREATE INDEX CONCURRENTLY in the very migration that holds the lock.
            delay_s = _LOCK_POLL_S[0]
            while not (is_held := bool(await connection.scalar(ask, {"name": name}))) and wait:
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, _LOCK_POLL_S[1])
            try:
                yield is_held
            finally:
                await connection.invalidate()  # closes it, with a time limit, and so frees the lock

    def listener(
        self, channel: str, *, on_notice: Callable[[str], None], on_hearing: Callable[[bool], None]
    ) -> NoticeListener:
        """A listener to NOTIFY on a connection of its own; see there."""
        return NoticeListener(self._options, channel, on_notice=on_notice, on_hearing=on_hearing)

    async def run_sync(self, work: Callable[[Connection], Result]) -> Result:
        """Run synchronous `work` (a migration) on a connection of its own, without a time limit.

        `work` begins and commits by itself, as Alembic wants to; what it leaves open is rolled back.
        """
        async with self._separate_engine.connect() as connection:
            return await connection.run_sync(work)

    async def check(self) -> None:
        """Ask the server for a sign of life; DatabaseUnavailable unless it comes within DATABASE_TIMEOUT_S."""
        try:
            async with asyncio.timeout(self._timeout_s), self.read() as session:
                opened = await (await session.connection()).get_raw_connection()
                assert opened.driver_connection is not None
                await ping(opened.driver_connection)
        except OSError as exc:  # TimeoutError is one
            raise DatabaseUnavailable from exc

    async def wait_until_ready(self, timeout_s: float) -> None:
        """Return as soon as the server answers; DatabaseUnavailable when it has not after `timeout_s` seconds."""
        deadline, delay_s = time.monotonic() + timeout_s, _READY_POLL_S[0]
        while True:
            try:
                await self.check()
            except DatabaseUnavailable as exc:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise
                log.warning("database.waiting", cause=repr(exc.__cause__), seconds_left=round(left_s, 1))
                await asyncio.sleep(min(delay_s, left_s))
                delay_s = min(delay_s * 2, _READY_POLL_S[1])
            else:
                return

    def pool_stats(self) -> PoolStats:
        """What the pool is doing at this moment."""
        pool = self._engine.sync_engine.pool
        assert isinstance(pool, AsyncAdaptedQueuePool)
        return PoolStats(size=self._pool_size, in_use=pool.checkedout(), idle=pool.checkedin())

    async def close(self) -> None:
        """Close the connections that wait for work, within DATABASE_TIMEOUT_S; one in use ends with its session."""
        await self.statements.close()
        for engine in (self._engine, self._separate_engine):
            await self._dispose(engine)

    async def _dispose(self, engine: AsyncEngine) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await engine.dispose()
        except TimeoutError:
            log.warning("database.slow_close", timeout_s=self._timeout_s)  # a silent server; the sockets go with us

    async def _check_out(self, session: AsyncSession) -> None:
        # Here and not at the first statement, so that waiting, pinging and connecting share one time limit.
        try:
            async with asyncio.timeout(self._timeout_s):
                await session.connection()
        except (TimeoutError, PoolTimeoutError) as exc:
            if self._is_measured and self.pool_stats().in_use >= self._pool_size:
                metrics.db_pool_timed_out()  # otherwise it was the server that did not answer in time
            raise DatabaseUnavailable from exc
        self._measure()

    def _measure(self) -> None:
        if self._is_measured:
            stats = self.pool_stats()
            metrics.db_pool_measured(in_use=stats.in_use, size=stats.size)


def _json_text(value: RawJson) -> str:
    return value.text


def _translate(context: ExceptionContext) -> None:
    """Raise DatabaseUnavailable in place of what the driver raised, when that is what it means."""
    error = context.original_exception
    if isinstance(error, Exception) and means_unavailable(error, is_disconnect=context.is_disconnect):
        context.is_disconnect = is_lost(error, is_disconnect=context.is_disconnect)
        # The others are looked at when they are checked out; one lost connection says little about them.
        context.invalidate_pool_on_disconnect = False
        raise DatabaseUnavailable from error


def _remember_time(_: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
    entry.info[_IDLE_SINCE] = time.monotonic()


def _require_life(connection: DBAPIConnection, entry: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
    """Refuse a dead connection, upon which the pool opens a new one."""
    assert isinstance(connection, AdaptedConnection)
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the server closed the connection")
    now = time.monotonic()
    if now - entry.info.get(_IDLE_SINCE, now) < _PING_AFTER_IDLE_S:
        return  # just used, or just made
    try:
        connection.run_async(ping)
    except OSError as exc:
        raise DisconnectionError("the connection does not answer") from exc
