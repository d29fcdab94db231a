"""The edge to asyncpg, its only importer: how a connection is opened, and which failures mean "cannot be reached"."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg  # type: ignore[import-untyped]  # asyncpg ships no types

from app.core.config import ConfigurationError
from app.core.errors import DatabaseUnavailable

_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
# What libpq knows and asyncpg would hand to the server as a setting, which refuses it: limits of our own replace the
# first group, the second has no counterpart.
_LIBPQ_ONLY = frozenset({
    "connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
    "channel_binding", "gssencmode", "sslcompression", "sslsni", "fallback_application_name",
})  # fmt: skip

# The first two characters of the SQLSTATE codes with which PostgreSQL says "not now".
_LOST = frozenset({
    "08",  # connection exceptions
    "57",  # operator intervention: shutting down, starting up, dropped; also a statement past its time limit
})  # fmt: skip
_OVERLOADED = frozenset({
    "40",  # transaction rolled back: a deadlock, which a second try resolves
    "53",  # insufficient resources: too many connections, disk full, out of memory
})  # fmt: skip
_READ_ONLY_TRANSACTION = "25006"  # the server became a standby; its successor will take the retry
_STATEMENT_CANCELLED = "57014"


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """How to connect; times in seconds. `statement_timeout_s=None` lets a statement take as long as it needs."""

    dsn: str
    connect_timeout_s: float
    statement_timeout_s: float | None
    application_name: str


class Asked(Protocol):
    """What is used of asyncpg's connection to ask something whose answer does not matter."""

    async def execute(self, query: str, *args: object) -> object: ...

    def terminate(self) -> None: ...


class Listening(Asked, Protocol):
    """What is used of asyncpg's connection to hear of notices."""

    async def add_listener(self, channel: str, callback: Callable[[object, int, str, object], None]) -> None: ...

    def add_termination_listener(self, callback: Callable[[object], None]) -> None: ...


def asyncpg_dsn(url: str) -> str:
    """`url` in the form asyncpg reads: `postgresql://…`, also with `?host=/socket/dir` and `?sslmode=…`.

    Takes the schemes postgresql, postgres and postgresql+asyncpg, and SQLAlchemy's `?ssl=` for `?sslmode=`.
    Raises ConfigurationError for anything else; the message never holds the URL, which holds the password.
    """
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError as exc:
        raise ConfigurationError("DATABASE_URL: is not a URL") from exc
    if parts.scheme not in _SCHEMES:
        raise ConfigurationError("DATABASE_URL: must start with postgresql://")
    if "ssl" in query:
        query.setdefault("sslmode", {"true": "require", "false": "disable"}.get(query["ssl"].lower(), query["ssl"]))
    known = {name: value for name, value in query.items() if name not in _LIBPQ_ONLY | {"ssl"}}
    return urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(known), ""))


async def connect(options: ConnectionOptions) -> "asyncpg.Connection[asyncpg.Record]":
    """A new asyncpg connection.

    Raises DatabaseUnavailable when none can be had, for whatever reason a retry may outlive (also a wrong password,
    which an operator can put right), and ConfigurationError when the URL itself makes no sense.
    """
    limit_s = options.statement_timeout_s
    settings = {
        "application_name": options.application_name,
        "jit": "off",  # compiling costs more than our short queries take
        "timezone": "UTC",
        "statement_timeout": "0" if limit_s is None else f"{max(1, round(limit_s * 1000))}ms",
    }
    try:
        return await asyncpg.connect(
            options.dsn,
            timeout=options.connect_timeout_s,
            # The server ends a slow statement itself; ours comes later and only finds servers that fell silent.
            command_timeout=None if limit_s is None else limit_s + options.connect_timeout_s,
            server_settings=settings,
        )
    except (asyncpg.ClientConfigurationError, ValueError) as exc:
        raise ConfigurationError("DATABASE_URL: cannot be understood") from exc
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as exc:
        raise DatabaseUnavailable from exc


async def ping(connection: Asked) -> None:
    """One round trip, without a transaction. Raises OSError (also TimeoutError) when the connection is dead.

    A connection that does not answer, also within the caller's patience, is dropped: the pool would say goodbye to it
    first, and wait two seconds for a silent server to say it too.
    """
    await _ask(connection, "SELECT 1")


async def say(connection: Asked, channel: str, payload: str) -> None:
    """NOTIFY whoever listens to `channel`. Raises OSError (also TimeoutError) when the connection is dead."""
    # A notice makes a transaction that writes; there is nothing in it to wait for the disk for.
    await _ask(connection, "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)", channel, payload)


async def listen(connection: Listening, channel: str, callback: Callable[[object, int, str, object], None]) -> None:
    """LISTEN to `channel`. Raises OSError (also TimeoutError) when the connection is dead."""
    try:
        await connection.add_listener(channel, callback)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as exc:
        raise ConnectionError from exc


async def _ask(connection: Asked, query: str, *args: str) -> None:
    has_answered = False
    try:
        await connection.execute(query, *args)
        has_answered = True
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as exc:
        raise ConnectionError from exc
    finally:
        if not has_answered:
            connection.terminate()


def means_unavailable(error: Exception, *, is_disconnect: bool) -> bool:
    """Whether a failed statement says that the database cannot be reached or cannot keep up; a retry may work.

    error: what the driver raised. A TimeoutError is asyncpg's own, from a server that fell silent.
    """
    state = _sqlstate(error)
    return is_lost(error, is_disconnect=is_disconnect) or state[:2] in _OVERLOADED or state == _STATEMENT_CANCELLED


def is_lost(error: Exception, *, is_disconnect: bool) -> bool:
    """Whether the connection that raised `error` must not be used again."""
    if is_disconnect or isinstance(error, OSError):  # TimeoutError is one
        return True
    if isinstance(error, asyncpg.InternalClientError):
        # The server's last word came while nobody had asked anything, and the socket's end has not been seen yet.
        return True
    state = _sqlstate(error)
    return state != _STATEMENT_CANCELLED and (state[:2] in _LOST or state == _READ_ONLY_TRANSACTION)


def _sqlstate(error: Exception) -> str:
    return getattr(error, "sqlstate", None) or ""
