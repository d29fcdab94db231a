"""Which database a command talks to: the configured one, or the embedded one, running already or for the moment."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.core.config import Settings
from app.core.embedded import AlreadyRunning, EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class OwnDatabase:
    """A database that nobody else will stop; `is_up` says whether the embedded server still runs, True for others."""

    url: str
    is_up: Callable[[], bool] = lambda: True
    log_path: Path | None = None


@contextmanager
def own_database(settings: Settings) -> Iterator[OwnDatabase]:
    """The database of a service, for the time of the block.

    Raises ConfigurationError when the embedded server will not start, or when another service runs it already.
    """
    if settings.DATABASE_URL is not None:
        yield OwnDatabase(settings.DATABASE_URL.get_secret_value())
        return
    # Of each server process: sessions, single statements, the listener and two locks.
    connections = settings.WORKERS * (2 * settings.DATABASE_POOL_SIZE + 3) + 10
    server = EmbeddedPostgres(settings.DATA_DIR, max_connections=max(100, connections))
    server.start()
    try:
        yield OwnDatabase(server.url, lambda: server.is_running, server.log_path)
    finally:
        server.stop()


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """The same for a short command, which may also use the server of a running service."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(own_database(settings)).url
        except AlreadyRunning:
            url = EmbeddedPostgres(settings.DATA_DIR).url
        yield url
