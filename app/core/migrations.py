"""Bringing the schema up to date from inside the process; the only importer of Alembic outside of alembic/."""

from pathlib import Path

from alembic.config import Config
from sqlalchemy import Connection

from alembic import command
from app.core.database import Database

LOCK_NAME = "media-api migrations"
_SCRIPTS = Path(__file__).resolve().parents[2] / "alembic"


async def upgrade_to_head(database: Database) -> None:
    """Run every migration that is missing, in one transaction: afterwards the schema is new, or as it was.

    One that builds an index while others write commits what came before it; run again, it goes on from there.

    Several processes may call this at once; one migrates and the others wait for it. Raises DatabaseUnavailable when
    the database cannot be reached.
    """
    async with database.advisory_lock(LOCK_NAME, wait=True):
        await database.run_sync(lambda connection: command.upgrade(alembic_config(connection), "head"))


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration with `connection` to work on, and without the logging set-up of alembic.ini."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
