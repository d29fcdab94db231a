"""The database and the storage for commands that work on stored files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.cli.postgres import database_url
from app.core.config import Settings
from app.core.database import Database
from app.core.staging import Staging
from app.core.storage import StorageManager
from app.core.storage_backends.local import LocalBackend


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
            storage.close()
            await database.close()
