"""Compares what is stored with what the table says, both ways, for the day after a disaster.

Nothing is held in memory but one batch. Files that are younger than the age limit, and keys that the journal knows, are
left alone: somebody may be working on them. A first pass only counts, so that a mistaken mount (an empty disk, the
wrong database) is noticed before anything is removed; a second one repairs, and stops when it meets more than was
counted. All of UPLOAD_DIR is the storage's, except for names that begin with a dot.
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
from app.services.leftovers import remove_noted

BATCH = 500
PLAUSIBLE_SHARE = 0.1
"""More than this of all files, or of all rows, is not damage but the wrong disk or the wrong database..."""
PLAUSIBLE_COUNT = 20
"""...unless it is not more than this, as a small library may well have lost a tenth of itself..."""
FEW = 2
"""...but more than half of it is believed only up to here."""


class Problem(StrEnum):
    """What a finding is about; a picture is a thumbnail or a poster."""

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
    """What was looked at and found; `repaired` counts what a fix changed."""

    files: int = 0
    rows: int = 0
    problems: dict[str, int] = field(default_factory=lambda: dict.fromkeys((problem.value for problem in Problem), 0))
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
            on_finding(finding)
        if not fix:
            return report
        if not force:
            _require_plausible(report)
        second = ReconcileReport()
        async for finding in self._findings(second):
            if not force and second.problems[finding.problem] > report.problems[finding.problem] + PLAUSIBLE_COUNT:
                raise ImplausibleShare("Much more disagrees than a moment ago; is the storage still there?")
            report.repaired += await self._repair(finding)
        async with self._database.transaction() as session:
            await UsageRepository(session).recount()
        return report

    async def _findings(self, report: ReconcileReport) -> AsyncIterator[Finding]:
        for findings in (self._files_without_rows(report), self._rows_without_files(report)):
            async for finding in findings:
                report.problems[finding.problem] += 1
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
            # The journal is asked before the rows, for an upload that leaves it and gets its row in between, and once
            # more afterwards, for a delete that goes the other way.
            journal = JournalRepository(session)
            noted = await journal.noted(old)
            owned = await MediaRepository(session).owned_keys(old)
            noted |= await journal.noted([key for key in old if key not in owned])
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
        # A delete takes the row first: only what a row misses that is still there is missing.
        return findings if findings and await self._exists(media.id) else []

    async def _exists(self, media_id: uuid.UUID) -> bool:
        async with self._database.read() as session:
            return await MediaRepository(session).get(media_id) is not None

    async def _repair(self, finding: Finding) -> int:
        """Repair one finding if it is still true; returns how many things were changed."""
        match finding.problem:
            case Problem.FILE_WITHOUT_ROW:
                return await self._remove_file(finding.key)
            case Problem.ROW_WITHOUT_FILE:
                return await self._remove_row(finding)
            case Problem.PICTURE_MISSING:
                return await self._forget_picture(finding)
            case Problem.SIZE_DIFFERS:
                return 0  # somebody has to look at it: the row may be right, and a backup may have the file

    async def _remove_file(self, key: str) -> int:
        async with self._database.read() as session:
            if await MediaRepository(session).owned_keys([key]):
                return 0
        await self._storage.delete([key])
        return 1

    async def _remove_row(self, finding: Finding) -> int:
        async with self._database.transaction() as session:
            repository = MediaRepository(session)
            media = await repository.lock(_media_id(finding))
            if media is None or not await self._is_missing(finding.key):
                return 0
            keys = media.stored_keys
            JournalRepository(session).write(keys, owner=self._storage.staging.owner)
            await repository.remove(media)
        await remove_noted(self._database, self._storage, keys)
        return 1

    async def _forget_picture(self, finding: Finding) -> int:
        async with self._database.transaction() as session:
            media = await MediaRepository(session).lock(_media_id(finding))
            if media is None or not await self._is_missing(finding.key):
                return 0
            media.forget_picture(finding.key)
            return 1

    async def _is_missing(self, key: str) -> bool:
        try:
            await self._storage.stat(key)
        except StoredFileNotFound:
            return True
        return False


def _media_id(finding: Finding) -> uuid.UUID:
    assert finding.media_id is not None
    return uuid.UUID(finding.media_id)


def _require_plausible(report: ReconcileReport) -> None:
    problems = report.problems
    for count, total, what in (
        (problems[Problem.FILE_WITHOUT_ROW], report.files, "files have no row"),
        (problems[Problem.ROW_WITHOUT_FILE], report.rows, "rows have no file"),
        (problems[Problem.PICTURE_MISSING], report.rows, "rows miss a picture"),
    ):
        if (count > PLAUSIBLE_COUNT and count > PLAUSIBLE_SHARE * total) or (count > FEW and count > total / 2):
            raise ImplausibleShare(f"{count} of {total} {what}; is this the right storage? --force repairs anyway.")
