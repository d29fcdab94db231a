"""Measures from time to time what no request can count: unfinished work, what is stored, and how much room is left.

Every server process does it for itself: the numbers are the same for all, and the latest word counts. Summing up the
table reads it whole (0.5 s for a million rows, measured 2026-11), so the pause after it grows with what it took.
"""

import asyncio
import shutil
import time
from pathlib import Path

from app.core import metrics
from app.core.database import Database
from app.core.errors import ServiceError
from app.core.logging import get_logger
from app.core.media_types import MediaType
from app.core.staging import Staging
from app.repositories.journal_repository import JournalRepository
from app.repositories.media_repository import MediaRepository

INTERVAL_S = 60.0
_LEAST_PAUSE_RATIO = 200
"""Summing up the table may take half a per cent of one connection's time."""

log = get_logger(__name__)


class Measurements:
    """One per server process; `run_forever` is its background task.

    staging: what lies there is counted.  store_dir: on the file system of the stored files; None for object storage,
    which does not run full.  interval_s: between two measurements, at least.
    """

    def __init__(
        self, *, database: Database, staging: Staging, store_dir: Path | None, interval_s: float = INTERVAL_S
    ) -> None:
        self._database = database
        self._staging = staging
        self._store_dir = store_dir
        self._interval_s = interval_s
        self._sum_up_at = 0.0

    async def run_forever(self) -> None:
        """Measure now and then every interval; what cannot be measured is logged and left out."""
        while True:
            await self.measure()
            await asyncio.sleep(self._interval_s)

    async def measure(self) -> None:
        """Measure everything once; the sums of the table only when their pause is over."""
        for part in (self._measure_room, self._measure_backlog, self._measure_store):
            try:
                await part()
            except (ServiceError, OSError) as exc:
                # The gauges keep their last values; readiness and the alerts on it say what does not work.
                log.warning("measurement.failed", part=part.__name__.removeprefix("_measure_"), cause=repr(exc))
            except Exception:
                # A bug met once must not end all measuring until the next start.
                log.exception("measurement.crashed")

    async def _measure_room(self) -> None:
        if self._store_dir is not None:
            metrics.storage_free_measured((await asyncio.to_thread(shutil.disk_usage, self._store_dir)).free)

    async def _measure_backlog(self) -> None:
        async with self._database.read() as session:
            journal = await JournalRepository(session).backlog()
        files, size_bytes = await asyncio.to_thread(self._staging.backlog)
        metrics.backlog_measured(
            journal_keys=journal.keys, journal_oldest_s=journal.oldest_s, staging_files=files, staging_bytes=size_bytes
        )

    async def _measure_store(self) -> None:
        began_at = time.monotonic()
        if began_at < self._sum_up_at:
            return
        try:
            async with self._database.read() as session:
                sums = await MediaRepository(session).stored_by_type()
        finally:
            # Also after a failure: a sum that runs into the statement limit must not be tried every minute.
            self._sum_up_at = time.monotonic() + _LEAST_PAUSE_RATIO * (time.monotonic() - began_at)
        for media_type in MediaType:
            stored = sums.get(media_type)
            metrics.storage_measured(
                media_type, files=stored.files if stored else 0, size_bytes=stored.size_bytes if stored else 0
            )
