"""Bring the database to the newest schema.

Safe while other instances run, and when several do it at once: a lock lets one work while the others wait.
"""

import argparse
import asyncio

from app.cli.postgres import database_url
from app.core.config import Settings, load_settings
from app.core.database import Database
from app.core.logging import configure_logging
from app.core.migrations import upgrade_to_head


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(_: argparse.Namespace) -> int:
    settings = load_settings()
    configure_logging(settings)
    with database_url(settings) as url:
        asyncio.run(migrate(settings, url))
    print("The database has the newest schema.")
    return 0


async def migrate(settings: Settings, url: str) -> None:
    """Wait for the database, at most DATABASE_STARTUP_TIMEOUT_S, and migrate it."""
    database = Database(url, settings)
    try:
        await database.wait_until_ready(settings.DATABASE_STARTUP_TIMEOUT_S)
        await upgrade_to_head(database)
    finally:
        await database.close()
