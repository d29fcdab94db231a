"""What commands that work on stored files have in common: the database, the storage, and a report for machines."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, redirect_stdout

import orjson

from app.cli.postgres import database_url
from app.core.config import Settings
from app.core.database import Database
from app.core.staging import Staging
from app.core.storage import StorageManager
from app.core.storage_backends.local import LocalBackend
from app.services.leftovers import close_storage


@asynccontextmanager
async def opened_parts(settings: Settings) -> AsyncIterator[tuple[Database, StorageManager]]:
    """Both parts, ready for use; closed at the end."""
    storage = StorageManager(
        backend=LocalBackend(settings.UPLOAD_DIR),
        staging=Staging(settings.UPLOAD_DIR.resolve()),
        public_url=settings.public_url,
    )
    with database_url(settings) as url:
        database = Database(url, settings, application_name="media-api-command")
        try:
            await database.wait_until_ready(settings.DATABASE_STARTUP_TIMEOUT_S)
            storage.open()
            yield database, storage
        finally:
            await close_storage(database, storage)
            await database.close()


@contextmanager
def report_on_stdout() -> Iterator[Callable[[object], None]]:
    """A function that prints one JSON object a line; log lines go to standard error for the time of the block."""
    stdout = sys.stdout

    def show(document: object) -> None:
        # The driver has a UUID class of its own, which orjson does not know.
        stdout.write(orjson.dumps(document, default=str).decode() + "\n")
        stdout.flush()

    with redirect_stdout(sys.stderr):
        yield show
