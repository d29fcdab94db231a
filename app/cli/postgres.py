"""Which database a command talks to: the configured one, or the embedded one, running already or for the moment."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from app.core.config import Settings
from app.core.embedded import AlreadyRunning, EmbeddedPostgres


@contextmanager
def own_database_url(settings: Settings) -> Iterator[str]:
    """A URL for the time of the block, on a server that nobody else will stop meanwhile.

    Raises ConfigurationError when the embedded server will not start, or when another service runs it already.
    """
    if settings.DATABASE_URL is not None:
        yield settings.DATABASE_URL.get_secret_value()
        return
    # Of each server process: sessions, single statements, the listener and two locks.
    connections = settings.WORKERS * (2 * settings.DATABASE_POOL_SIZE + 3) + 10
    server = EmbeddedPostgres(settings.DATA_DIR, max_connections=max(100, connections))
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """The same for a short command, which may also use the server of a running service."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(own_database_url(settings))
        except AlreadyRunning:
            url = EmbeddedPostgres(settings.DATA_DIR).url
        yield url
