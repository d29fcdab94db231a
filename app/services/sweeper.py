"""Finishes what crashes left half done: staged files of dead processes, and journal entries nobody works on.

Runs at start, on a timer, when a request could not tidy up after itself, and as `python -m app sweep`. An advisory lock
lets one process sweep at a time, which saves work. What keeps data correct are the locks on the entries themselves: an
upload whose entries were taken away cannot commit, and one that is committing keeps its entries.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core import metrics
from app.core.database import Database
from app.core.errors import ServiceError
from app.core.logging import get_logger
from app.core.storage import StorageManager
from app.models import StorageJournal
from app.repositories.idempotency_repository import IdempotencyRepository
from app.repositories.journal_repository import JournalRepository
from app.services.in_flight import InFlight
from app.services.leftovers import remove_noted

LOCK_NAME = "media-api sweep"
_BATCH = 100
_SETTLE_S = 1.0
_RETRY_S = 5.0
_BEAT_S = 60.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep did.

    entries_left: journal entries that somebody works on.  refused: keys and staged uploads that the storage would not
    let go; the next sweep tries again.
    """

    uploads_removed: int = 0
    keys_removed: int = 0
    entries_left: int = 0
    refused: int = 0
    idempotency_keys_expired: int = 0


class Sweeper:
    """One per process; `run_forever` and `beat_forever` are its background tasks.

    interval_s: between two sweeps.  age_s: from which a process of another machine is dead that shows no sign of life,
    and an entry whose process left no trace; longer than the longest upload.
    """

    def __init__(
        self, *, database: Database, storage: StorageManager, in_flight: InFlight, interval_s: float, age_s: float
    ) -> None:
        self._database = database
        self._storage = storage
        self._in_flight = in_flight
        self._interval_s = interval_s
        self._age = timedelta(seconds=age_s)
        self._nudged = asyncio.Event()

    def nudge(self) -> None:
        """Ask for a sweep soon: a request left something behind."""
        self._nudged.set()

    async def run_forever(self) -> None:
        """Sweep now, then every interval; within a second after a nudge, and every five while something is refused."""
        while True:
            wait_s = self._interval_s if await self._sweep_calmly() else min(_RETRY_S, self._interval_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), wait_s)
                # A fault seldom hits one request alone; one sweep tidies up after all of them.
                await asyncio.sleep(min(_SETTLE_S, self._interval_s))
            self._nudged.clear()

    async def beat_forever(self) -> None:
        """Keep this process's staging directory there and young, so that no other machine takes it for a dead one's."""
        while True:
            await asyncio.sleep(min(_BEAT_S, self._age.total_seconds() / 4))
            try:
                await asyncio.to_thread(self._storage.staging.beat)
            except ServiceError as exc:
                # Readiness and the uploads say so, too.
                log.warning("staging.beat_failed", code=exc.code, cause=repr(exc.__cause__))

    async def sweep(self, *, wait: bool) -> SweepReport | None:
        """Finish everything that nobody works on; None when another process sweeps and `wait` is false.

        Raises DatabaseUnavailable, StorageUnavailable.
        """
        async with self._database.advisory_lock(LOCK_NAME, wait=wait) as is_held:
            if not is_held:
                return None
            report = await self._sweep()
        metrics.sweep_finished(is_ok=True, keys_removed=report.keys_removed)
        if report.uploads_removed or report.keys_removed or report.refused:
            log.info(
                "sweep.done",
                uploads_removed=report.uploads_removed,
                keys_removed=report.keys_removed,
                refused=report.refused,
            )
        return report

    async def _sweep_calmly(self) -> bool:
        """Whether the next sweep has time until the interval is over."""
        try:
            report = await self.sweep(wait=False)
        except ServiceError as exc:
            log.warning("sweep.failed", code=exc.code, cause=repr(exc.__cause__))
        except Exception:
            # A bug met once must not end all sweeping until the next start.
            log.exception("sweep.crashed")
        else:
            return report is not None and report.refused == 0
        metrics.sweep_finished(is_ok=False, keys_removed=0)
        return False

    async def _sweep(self) -> SweepReport:
        staging = self._storage.staging
        # Asked before the journal is: a process that is dead now notes nothing afterwards.
        dead = await asyncio.to_thread(staging.dead_owners, age_s=self._age.total_seconds())
        keys_removed, keys_refused, entries_left = await self._sweep_journal()
        async with self._database.transaction() as session:
            expired = await IdempotencyRepository(session).remove_expired()
            indebted = await JournalRepository(session).owners()
        # A dead process's directory goes last: its free lock is how its entries are known to be dead.
        uploads = await asyncio.to_thread(staging.remove_dead, dead, indebted=indebted)
        await self._measure()
        return SweepReport(uploads.removed, keys_removed, entries_left, keys_refused + uploads.refused, expired)

    async def _sweep_journal(self) -> tuple[int, int, int]:
        """Keys removed, keys refused by the storage, entries left alone."""
        removed = refused = left = 0
        after = ""
        while True:
            async with self._database.read() as session:
                journal = JournalRepository(session)
                entries = await journal.page(limit=_BATCH, after=after)
                now = await journal.database_time()
            if not entries:
                return removed, refused, left
            dead = [entry.key for entry in entries if await self._is_dead(entry, now)]
            done = await remove_noted(self._database, self._storage, dead)
            removed, refused = removed + done.removed, refused + done.refused
            left += len(entries) - len(dead)
            after = entries[-1].key

    async def _is_dead(self, entry: StorageJournal, now: datetime) -> bool:
        """Whether nobody works on `entry`, and nobody will: a key is taken up once, by the process that notes it."""
        if entry.key in self._in_flight:
            return False
        staging = self._storage.staging
        if entry.owner == staging.owner:
            return True
        alive = await asyncio.to_thread(staging.is_alive, entry.owner, age_s=self._age.total_seconds())
        # None: its directory is gone. Then only the age of the entry can tell.
        return alive is False or (alive is None and now - entry.created_at > self._age)

    async def _measure(self) -> None:
        async with self._database.read() as session:
            journal = await JournalRepository(session).backlog()
        files, size_bytes = await asyncio.to_thread(self._storage.staging.backlog)
        metrics.backlog_measured(
            journal_keys=journal.keys, journal_oldest_s=journal.oldest_s, staging_files=files, staging_bytes=size_bytes
        )
