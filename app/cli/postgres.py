"""Which database a command talks to: the configured one, or the embedded one, running already or for the moment."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.core.config import Settings
from app.core.embedded import AlreadyRunning, EmbeddedPostgres


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """A URL that works for the time of the block. Raises ConfigurationError when the embedded server will not start."""
    if settings.DATABASE_URL is not None:
        yield settings.DATABASE_URL.get_secret_value()
        return
    server = EmbeddedPostgres(settings.DATA_DIR)
    try:
        server.start()
    except AlreadyRunning:
        yield server.url  # the one of a running service
        return
    try:
        yield server.url
    finally:
        server.stop()
