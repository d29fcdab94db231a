"""Run the service in the foreground.

Without DATABASE_URL it starts the bundled PostgreSQL under DATA_DIR. The schema is brought up to date first. Ctrl-C or
SIGTERM lets running uploads finish and stops everything.
"""

import argparse
import asyncio
import os
import sys

from app import server
from app.cli.migrate import migrate
from app.cli.postgres import own_database
from app.core import metrics
from app.core.config import AuthMode, Settings, load_settings
from app.core.directories import require_directory
from app.core.logging import configure_logging


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments: HOST, PORT and the rest come from the environment."""


def run(_: argparse.Namespace) -> int:
    settings = load_settings()
    configure_logging(settings)
    require_directory("UPLOAD_DIR", settings.UPLOAD_DIR.resolve())
    require_directory("DATA_DIR", settings.DATA_DIR.resolve())
    with own_database(settings) as database, metrics.serving(settings.DATA_DIR / "metrics"):
        # The server processes read the environment again, each for itself.
        os.environ["DATABASE_URL"] = database.url
        asyncio.run(migrate(settings, database.url))
        if not settings.is_production:  # there, each line of the log is one JSON object
            print(_welcome(settings), file=sys.stderr, flush=True)
        status = server.run(load_settings(), is_viable=database.is_up)
        if database.is_up():
            return status
        print(f"The embedded PostgreSQL has ended; see {database.log_path}. Its data is kept.", file=sys.stderr)
        return 1


def _welcome(settings: Settings) -> str:
    lines = [
        f"  Media API      {settings.public_url}/api/v1/media",
        f"  Swagger UI     {settings.public_url}/docs",
        f"  ReDoc          {settings.public_url}/redoc",
    ]
    if settings.AUTH_MODE is AuthMode.SECRET:
        lines.append("  Get a token    make token      (or: python -m app token --user UUID)")
    return "\n" + "\n".join(lines) + "\n"
