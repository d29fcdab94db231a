"""Finishes what crashes left half done: staged files of dead processes, and journal entries nobody works on.

Runs at start, on a timer, when a request could not tidy up after itself, and as `python -m app sweep`. Several
processes may sweep at once: an entry is locked while its file is removed, and an upload whose entries were taken away
cannot commit.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core.database import Database
from app.core.errors import ServiceError
from app.core.logging import get_logger
from app.core.storage import StorageManager
from app.models import StorageJournal
from app.repositories.idempotency_repository import IdempotencyRepository
from app.repositories.journal_repository import JournalRepository
from app.services.in_flight import InFlight

_BATCH = 100
_RETRY_S = 2.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep did. `entries_left` are those that somebody works on, or that could not be removed now."""

    uploads_removed: int = 0
    keys_removed: int = 0
    entries_left: int = 0
    idempotency_keys_expired: int = 0


class Sweeper:
    """One per process; `run_forever` is its background task."""

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
        """Sweep now, then every interval; a nudge or a failure brings the next sweep forward to two seconds."""
        while True:
            try:
                await self.sweep()
                wait_s = self._interval_s
            except ServiceError as exc:
                log.warning("sweep.failed", code=exc.code, detail=str(exc))
                wait_s = min(_RETRY_S, self._interval_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), wait_s)
                await asyncio.sleep(min(_RETRY_S, self._interval_s))
            self._nudged.clear()

    async def sweep(self) -> SweepReport:
        """Finish everything that nobody works on. Raises DatabaseUnavailable, StorageUnavailable."""
        keys_removed, entries_left = await self._sweep_journal()
        # The directory of a dead process goes last: its lock is how the entries are known to be dead.
        uploads_removed = await asyncio.to_thread(self._storage.staging.remove_dead)
        async with self._database.transaction() as session:
            expired = await IdempotencyRepository(session).remove_expired()
        report = SweepReport(uploads_removed, keys_removed, entries_left, expired)
        if uploads_removed or keys_removed:
            log.info("sweep.done", uploads_removed=uploads_removed, keys_removed=keys_removed)
        return report

    async def _sweep_journal(self) -> tuple[int, int]:
        removed = left = 0
        after = ""
        while True:
            async with self._database.transaction() as session:
                journal = JournalRepository(session)
                entries = await journal.take(limit=_BATCH, after=after)
                if not entries:
                    return removed, left
                now = await journal.database_time()
                dead = [entry.key for entry in entries if await self._is_dead(entry, now)]
                await self._storage.delete(dead)
                await journal.clear(dead)
                removed += len(dead)
                left += len(entries) - len(dead)
                after = entries[-1].key

    async def _is_dead(self, entry: StorageJournal, now: datetime) -> bool:
        if entry.key in self._in_flight:
            return False
        staging = self._storage.staging
        if entry.owner == staging.owner:
            return True
        alive = await asyncio.to_thread(staging.is_alive, entry.owner)
        # None: another machine's process, or one whose directory is gone. Then only its age can tell.
        return alive is False or (alive is None and now - entry.created_at > self._age)
