"""Compares what is stored with what the table says, both ways, for the day after a disaster.

Nothing is held in memory but one batch. Files that are younger than the age limit, and keys that the journal knows, are
left alone: somebody may be working on them. A first pass only counts, so that a mistaken mount (an empty disk, the
wrong database) is noticed before anything is removed.
"""

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from app.core.database import Database
from app.core.errors import Conflict, StoredFileNotFound
from app.core.storage import StorageManager
from app.core.storage_backends.base import StoredObject
from app.models import Media
from app.repositories.journal_repository import JournalRepository
from app.repositories.media_repository import MediaRepository
from app.repositories.usage_repository import UsageRepository

BATCH = 500
PLAUSIBLE_SHARE = 0.1
PLAUSIBLE_COUNT = 20
"""Up to this many are repaired whatever their share: a small library may well have lost a tenth of itself."""


class Problem(StrEnum):
    FILE_WITHOUT_ROW = "file_without_row"
    ROW_WITHOUT_FILE = "row_without_file"
    PICTURE_MISSING = "picture_missing"
    SIZE_DIFFERS = "size_differs"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not agree. `media_id` is None for a file that no row knows."""

    problem: Problem
    key: str
    media_id: str | None = None


@dataclass(slots=True)
class ReconcileReport:
    files: int = 0
    rows: int = 0
    problems: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Problem, 0))
    repaired: int = 0


class ImplausibleShare(Conflict):
    """So much disagrees that the storage or the database is more likely the wrong one."""

    code = "implausible_share"


class Reconciler:
    def __init__(self, *, database: Database, storage: StorageManager, age_s: float) -> None:
        self._database = database
        self._storage = storage
        self._age = timedelta(seconds=age_s)

    async def run(self, *, fix: bool, force: bool, on_finding: Callable[[Finding], None]) -> ReconcileReport:
        """Report every disagreement to `on_finding`; with `fix`, repair them and the counts per user.

        Repairing removes files without rows and rows without files, and forgets missing pictures; a size that differs
        is only reported.  Raises ImplausibleShare when much disagrees and `force` is not given.
        """
        report = ReconcileReport()
        async for finding in self._findings(report):
            report.problems[finding.problem] += 1
            on_finding(finding)
        if fix:
            _require_plausible(report, force=force)
            async for finding in self._findings(ReconcileReport()):
                report.repaired += await self._repair(finding)
            async with self._database.transaction() as session:
                await UsageRepository(session).recount()
        return report

    async def _findings(self, report: ReconcileReport) -> AsyncIterator[Finding]:
        async for finding in self._files_without_rows(report):
            yield finding
        async for finding in self._rows_without_files(report):
            yield finding

    async def _files_without_rows(self, report: ReconcileReport) -> AsyncIterator[Finding]:
        batch: list[StoredObject] = []
        async for found in self._storage.list():
            report.files += 1
            batch.append(found)
            if len(batch) == BATCH:
                for key in await self._orphans(batch):
                    yield Finding(Problem.FILE_WITHOUT_ROW, key)
                batch = []
        for key in await self._orphans(batch):
            yield Finding(Problem.FILE_WITHOUT_ROW, key)

    async def _orphans(self, batch: Sequence[StoredObject]) -> list[str]:
        old = [found.key for found in batch if found.modified_at < datetime.now(UTC) - self._age]
        if not old:
            return []
        async with self._database.read() as session:
            # The journal is asked first: an upload that commits in between leaves it and gets its row at once.
            noted = await JournalRepository(session).noted(old)
            owned = await MediaRepository(session).owned_keys(old)
        return [key for key in old if key not in owned and key not in noted]

    async def _rows_without_files(self, report: ReconcileReport) -> AsyncIterator[Finding]:
        after = uuid.UUID(int=0)
        while True:
            async with self._database.read() as session:
                batch = await MediaRepository(session).batch_by_id(after=after, limit=BATCH)
            if not batch:
                return
            report.rows += len(batch)
            for media in batch:
                for finding in await self._look_at(media):
                    yield finding
            after = batch[-1].id

    async def _look_at(self, media: Media) -> list[Finding]:
        findings: list[Finding] = []
        for key in media.stored_keys:
            is_main = key == media.storage_path
            try:
                stored = await self._storage.stat(key)
            except StoredFileNotFound:
                problem = Problem.ROW_WITHOUT_FILE if is_main else Problem.PICTURE_MISSING
                findings.append(Finding(problem, key, str(media.id)))
            else:
                if is_main and stored.size_bytes != media.file_size:
                    findings.append(Finding(Problem.SIZE_DIFFERS, key, str(media.id)))
        return findings

    async def _repair(self, finding: Finding) -> int:
        """Repair one finding if it is still true; returns how many things were changed."""
        if finding.media_id is None:
            async with self._database.read() as session:
                if await MediaRepository(session).owned_keys([finding.key]):
                    return 0
            await self._storage.delete([finding.key])
            return 1
        if finding.problem is Problem.SIZE_DIFFERS:
            return 0
        async with self._database.transaction() as session:
            repository = MediaRepository(session)
            media = await repository.lock(uuid.UUID(finding.media_id))
            if media is None:
                return 0  # deleted meanwhile, which also explains its missing file
            if finding.problem is Problem.PICTURE_MISSING:
                media.forget_picture(finding.key)
                return 1
            JournalRepository(session).write(media.stored_keys, owner=self._storage.staging.owner)
            await repository.remove(media)
            return 1


def _require_plausible(report: ReconcileReport, *, force: bool) -> None:
    for count, total, what in (
        (report.problems[Problem.FILE_WITHOUT_ROW], report.files, "files have no row"),
        (report.problems[Problem.ROW_WITHOUT_FILE], report.rows, "rows have no file"),
    ):
        if not force and count > PLAUSIBLE_COUNT and count > PLAUSIBLE_SHARE * total:
            raise ImplausibleShare(f"{count} of {total} {what}; is this the right storage? --force repairs anyway.")
