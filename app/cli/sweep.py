"""Remove what crashed uploads and interrupted deletes left behind; safe while the service runs."""

import argparse
import asyncio
from dataclasses import asdict

import orjson

from app.cli.parts import opened_parts
from app.core.config import load_settings
from app.core.logging import configure_logging
from app.services.in_flight import InFlight
from app.services.sweeper import Sweeper, SweepReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(_: argparse.Namespace) -> int:
    print(orjson.dumps(asdict(asyncio.run(_sweep())), option=orjson.OPT_INDENT_2).decode())
    return 0


async def _sweep() -> SweepReport:
    settings = load_settings()
    configure_logging(settings)
    async with opened_parts(settings) as (database, storage):
        sweeper = Sweeper(
            database=database,
            storage=storage,
            in_flight=InFlight(),
            interval_s=settings.SWEEP_INTERVAL_S,
            age_s=settings.SWEEP_AGE_S,
        )
        return await sweeper.sweep()
