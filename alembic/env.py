"""Where Alembic meets the service: the metadata, the connection, and a lock so that only one process migrates.

The running service hands its connection over in `config.attributes["connection"]`, see app/core/migrations.py, and
then holds the lock itself. The command line makes a connection from DATABASE_URL.
"""

import asyncio
from logging.config import fileConfig

from sqlalchemy import Connection

from alembic import context
from app.core.config import ConfigurationError, load_settings
from app.core.database import Database
from app.core.migrations import LOCK_NAME
from app.models import Base


def migrate(connection: Connection) -> None:
    """Run what the command asks for on `connection`, which has a transaction open."""
    context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


def print_sql() -> None:
    """`--sql`: write the statements out instead of running them."""
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


async def migrate_from_the_command_line() -> None:
    """Connect to DATABASE_URL, wait until it answers and nobody else migrates, then migrate."""
    settings = load_settings()
    if settings.DATABASE_URL is None:
        raise ConfigurationError("DATABASE_URL: must be set to migrate; `python -m app migrate` can do without")
    database = Database(settings.DATABASE_URL.get_secret_value(), settings, application_name="media-api alembic")
    try:
        await database.wait_until_ready(settings.DATABASE_STARTUP_TIMEOUT_S)
        async with database.advisory_lock(LOCK_NAME, wait=True):
            await database.run_sync(migrate)
    finally:
        await database.close()


given = context.config.attributes.get("connection")
if isinstance(given, Connection):
    migrate(given)
else:
    if context.config.config_file_name is not None:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    if context.is_offline_mode():
        print_sql()
    else:
        asyncio.run(migrate_from_the_command_line())
