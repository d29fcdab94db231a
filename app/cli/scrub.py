"""Re-read all stored files and compare them with their checksums; prints one JSON object per damaged file.

A run that was stopped goes on where it was. Exit status 1 when damage was found.
"""

import argparse
import asyncio
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from app.cli.parts import opened_parts
from app.core import metrics
from app.core.config import Settings, load_settings
from app.core.logging import configure_logging
from app.core.media_types import MIB
from app.services.scrubber import Scrubber

_SAVE_EVERY = 50


@dataclass(slots=True)
class ScrubSummary:
    files_checked: int = 0
    damaged: int = 0
    resumed: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rate", type=float, default=50, metavar="MIB_PER_S", help="reading rate (default: 50)")
    parser.add_argument("--restart", action="store_true", help="begin anew instead of where the last run stopped")


def run(arguments: argparse.Namespace) -> int:
    settings = load_settings()
    configure_logging(settings)
    metrics.join_running(settings.DATA_DIR / "metrics")
    summary = asyncio.run(_scrub(settings, rate_mib_per_s=max(arguments.rate, 0.001), restart=arguments.restart))
    print(orjson.dumps({"summary": asdict(summary)}).decode())
    return 1 if summary.damaged else 0


async def _scrub(settings: Settings, *, rate_mib_per_s: float, restart: bool) -> ScrubSummary:
    progress = settings.DATA_DIR / "scrub-progress"
    after = uuid.UUID(int=0) if restart else _load(progress)
    summary = ScrubSummary(resumed=after.int > 0)
    async with opened_parts(settings) as (database, storage):
        scrubber = Scrubber(database=database, storage=storage, bytes_per_s=rate_mib_per_s * MIB)
        async for result in scrubber.run(after=after):
            summary.files_checked += 1
            if result.damage is not None:
                summary.damaged += 1
                print(orjson.dumps(asdict(result)).decode(), flush=True)
            if summary.files_checked % _SAVE_EVERY == 0:
                progress.write_text(str(result.media_id), encoding="ascii")
    progress.unlink(missing_ok=True)
    return summary


def _load(progress: Path) -> uuid.UUID:
    try:
        return uuid.UUID(progress.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return uuid.UUID(int=0)
