"""Reconcile tells the truth both ways, leaves the young and the noted alone, and repairs only what is plausible."""

import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.database import Database
from app.core.staging import Staging
from app.core.storage import StorageManager
from app.core.storage_backends.local import LocalBackend
from app.models import Media
from app.services.reconciler import (
    BATCH,
    PLAUSIBLE_COUNT,
    Finding,
    ImplausibleShare,
    Problem,
    Reconciler,
    ReconcileReport,
)

AGE_S = 3600.0


@dataclass
class Library:
    """Rows and files of a test, some of which do not agree."""

    root: Path
    database: Database
    storage: StorageManager
    findings: list[Finding] = field(default_factory=list)

    async def rows(self, keys: Sequence[str], *, thumbnails: bool = False) -> None:
        """Media that say they own these keys, of five bytes each."""
        async with self.database.transaction() as session:
            session.add_all(
                Media(
                    media_type="image",
                    filename="a.txt",
                    url=f"/api/v1/media/files/{key}",
                    storage_path=key,
                    thumbnail_path=key.replace(".txt", "_thumb.jpg") if thumbnails else None,
                    file_size=5,
                    uploaded_by=uuid.UUID(int=1),
                )
                for key in keys
            )

    def files(self, keys: Sequence[str], data: bytes = b"bytes", *, age_s: float = 2 * AGE_S) -> None:
        """Stored files, as old as given."""
        for key in keys:
            (self.root / key).parent.mkdir(parents=True, exist_ok=True)
            (self.root / key).write_bytes(data)
            os.utime(self.root / key, (time.time() - age_s, time.time() - age_s))

    def exists(self, key: str) -> bool:
        return (self.root / key).exists()

    async def reconcile(self, *, fix: bool = False, force: bool = False) -> ReconcileReport:
        reconciler = Reconciler(database=self.database, storage=self.storage, age_s=AGE_S)
        return await reconciler.run(fix=fix, force=force, on_finding=self.findings.append)

    async def row_count(self) -> int:
        async with self.database.read() as session:
            return int((await session.execute(text("SELECT count(*) FROM media"))).scalar_one())


@pytest.fixture
async def library(tmp_path: Path, clean_database: Database) -> Library:
    storage = StorageManager(backend=LocalBackend(tmp_path), staging=Staging(tmp_path), public_url="http://media.test")
    storage.open()
    return Library(tmp_path, clean_database, storage)


def keys(count: int, *, prefix: str = "a") -> list[str]:
    return [f"2026/11/{prefix}_{number:012x}.txt" for number in range(count)]


async def test_what_agrees_is_no_finding(library: Library) -> None:
    library.files(keys(3))
    await library.rows(keys(3))
    report = await library.reconcile()
    assert (report.files, report.rows, library.findings) == (3, 3, [])


async def test_both_directions_are_found_and_nothing_is_touched(library: Library) -> None:
    orphan, hollow = "2026/11/orphan_0.txt", "2026/11/hollow_0.txt"
    library.files([*keys(3), orphan])
    await library.rows([*keys(3), hollow])

    report = await library.reconcile()

    assert {(found.problem, found.key) for found in library.findings} == {
        (Problem.FILE_WITHOUT_ROW, orphan),
        (Problem.ROW_WITHOUT_FILE, hollow),
    }
    assert report.repaired == 0
    assert library.exists(orphan)
    assert await library.row_count() == 4


async def test_a_fix_repairs_both_and_the_counts_of_the_users(library: Library) -> None:
    orphan, hollow = "2026/11/orphan_0.txt", "2026/11/hollow_0.txt"
    library.files([*keys(3), orphan])
    await library.rows([*keys(3), hollow])

    assert (await library.reconcile(fix=True)).repaired == 2

    assert not library.exists(orphan)
    assert await library.row_count() == 3
    async with library.database.read() as session:
        usage = (await session.execute(text("SELECT file_count, stored_bytes FROM user_usage"))).all()
        noted = (await session.execute(text("SELECT key FROM storage_journal"))).all()
    assert [tuple(row) for row in usage] == [(3, 15)]
    assert noted == []
    library.findings.clear()
    await library.reconcile()
    assert library.findings == []


async def test_a_lost_picture_is_forgotten_and_its_media_stays(library: Library) -> None:
    library.files(keys(1))
    await library.rows(keys(1), thumbnails=True)
    assert (await library.reconcile(fix=True)).problems[Problem.PICTURE_MISSING] == 1
    async with library.database.read() as session:
        row = (await session.execute(text("SELECT storage_path, thumbnail_path FROM media"))).one()
    assert tuple(row) == (keys(1)[0], None)


async def test_a_size_that_differs_is_reported_and_left_to_people(library: Library) -> None:
    library.files(keys(1), b"other bytes")
    await library.rows(keys(1))
    report = await library.reconcile(fix=True)
    assert (report.problems[Problem.SIZE_DIFFERS], report.repaired) == (1, 0)
    assert library.exists(keys(1)[0])


async def test_young_files_and_noted_ones_are_left_alone(library: Library) -> None:
    young, noted = "2026/11/young_0.txt", "2026/11/noted_0.txt"
    library.files([young], age_s=AGE_S - 60)
    library.files([noted])
    async with library.database.transaction() as session:
        await session.execute(text("INSERT INTO storage_journal (key, owner) VALUES (:key, 'x')"), {"key": noted})
    await library.reconcile(fix=True)
    assert library.findings == []
    assert library.exists(young)
    assert library.exists(noted)


async def test_an_empty_disk_is_not_believed(library: Library) -> None:
    await library.rows(keys(10))
    with pytest.raises(ImplausibleShare):
        await library.reconcile(fix=True)
    assert await library.row_count() == 10

    await library.reconcile(fix=True, force=True)
    assert await library.row_count() == 0


async def test_an_empty_database_is_not_believed(library: Library) -> None:
    library.files(keys(10))
    with pytest.raises(ImplausibleShare):
        await library.reconcile(fix=True)
    assert all(library.exists(key) for key in keys(10))

    assert (await library.reconcile(fix=True, force=True)).repaired == 10


@pytest.mark.parametrize(("lost", "is_plausible"), [(PLAUSIBLE_COUNT, True), (PLAUSIBLE_COUNT + 1, False)])
async def test_the_share_that_is_believed_is_exact(library: Library, lost: int, is_plausible: bool) -> None:
    library.files(keys(150))
    await library.rows([*keys(150), *keys(lost, prefix="lost")])
    if is_plausible:
        assert (await library.reconcile(fix=True)).repaired == lost
    else:
        with pytest.raises(ImplausibleShare):
            await library.reconcile(fix=True)


async def test_more_than_one_batch_is_walked_completely(library: Library) -> None:
    count = 2 * BATCH + 7
    library.files(keys(count))
    await library.rows(keys(count)[5:])
    report = await library.reconcile()
    assert (report.files, report.rows) == (count, count - 5)
    assert [found.problem for found in library.findings] == [Problem.FILE_WITHOUT_ROW] * 5
