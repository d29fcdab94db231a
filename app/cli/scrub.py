"""Re-read all stored files and compare them with their checksums; prints one JSON object per damaged file.

A run that was stopped, by whatever, goes on where it was. Exit status 1 when damage was found.
"""

import argparse
import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from app.cli.parts import opened_parts, report_on_stdout
from app.core import metrics
from app.core.config import Settings, load_settings
from app.core.logging import configure_logging
from app.core.media_types import MIB
from app.services.scrubber import Scrubber

_SAVE_AFTER_S = 1.0
_LEAST_RATE = 1e-6


@dataclass(slots=True)
class ScrubSummary:
    """What this run did; `resumed` when it went on where an earlier one was stopped."""

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
    with report_on_stdout() as show:
        summary = asyncio.run(_scrub(settings, arguments, show))
        show({"summary": asdict(summary)})
    return 1 if summary.damaged else 0


async def _scrub(settings: Settings, arguments: argparse.Namespace, show: Callable[[object], None]) -> ScrubSummary:
    progress = settings.DATA_DIR / "scrub-progress"
    after = uuid.UUID(int=0) if arguments.restart else _load(progress)
    summary = ScrubSummary(resumed=after.int > 0)
    saved_at = time.monotonic()
    async with opened_parts(settings) as (database, storage):
        scrubber = Scrubber(database=database, storage=storage, bytes_per_s=max(arguments.rate, _LEAST_RATE) * MIB)
        async for result in scrubber.run(after=after):
            summary.files_checked += 1
            if result.damage is not None:
                summary.damaged += 1
                show(asdict(result))
            if time.monotonic() - saved_at > _SAVE_AFTER_S:
                _save(progress, result.media_id)
                saved_at = time.monotonic()
    progress.unlink(missing_ok=True)
    return summary


def _save(progress: Path, media_id: uuid.UUID) -> None:
    progress.parent.mkdir(parents=True, exist_ok=True)
    new = progress.with_suffix(".new")
    new.write_text(str(media_id), encoding="ascii")
    new.replace(progress)


def _load(progress: Path) -> uuid.UUID:
    try:
        return uuid.UUID(progress.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return uuid.UUID(int=0)
