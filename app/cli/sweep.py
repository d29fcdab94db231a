"""Remove what crashed uploads and interrupted deletes left behind; safe while the service runs.

Prints what was done as one JSON object. Exit status 1 when the storage refused to let something go.
"""

import argparse
import asyncio
from dataclasses import asdict

from app.cli.parts import opened_parts, report_on_stdout
from app.core import metrics
from app.core.config import Settings, load_settings
from app.core.logging import configure_logging
from app.services.in_flight import InFlight
from app.services.sweeper import Sweeper, SweepReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(_: argparse.Namespace) -> int:
    settings = load_settings()
    configure_logging(settings)
    metrics.join_running(settings.DATA_DIR / "metrics")
    with report_on_stdout() as show:
        report = asyncio.run(_sweep(settings))
        show(asdict(report))
    return 1 if report.refused else 0


async def _sweep(settings: Settings) -> SweepReport:
    async with opened_parts(settings) as (database, storage):
        sweeper = Sweeper(
            database=database,
            storage=storage,
            in_flight=InFlight(),
            interval_s=settings.SWEEP_INTERVAL_S,
            age_s=settings.SWEEP_AGE_S,
        )
        report = await sweeper.sweep(wait=True)
        assert report is not None  # it waits for its turn
        return report
