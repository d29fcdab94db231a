"""The sweep finishes what nobody works on, leaves what somebody does, and never takes a file that a row owns."""

import asyncio
import os
import shutil
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, text

from app.core.database import Database
from app.core.owner_names import Machine
from app.core.staging import Staging
from app.core.storage import StorageManager
from app.core.storage_backends.local import LocalBackend
from app.models import IdempotencyKey, Media, StorageJournal
from app.services.in_flight import InFlight
from app.services.sweeper import LOCK_NAME, Sweeper
from tests.storage.test_staging import other_process

AGE_S = 3600.0
KEYS = [f"2026/11/a_{number:012x}.txt" for number in range(5)]


@pytest.fixture
async def storage(tmp_path: Path) -> StorageManager:
    storage = StorageManager(backend=LocalBackend(tmp_path), staging=Staging(tmp_path), public_url="http://media.test")
    storage.open()
    return storage


@pytest.fixture
def in_flight() -> InFlight:
    return InFlight()


@pytest.fixture
def sweeper(storage: StorageManager, clean_database: Database, in_flight: InFlight) -> Sweeper:
    return Sweeper(database=clean_database, storage=storage, in_flight=in_flight, interval_s=300, age_s=AGE_S)


async def noted(database: Database, key: str, *, owner: str, age_s: float = 0) -> None:
    async with database.transaction() as session:
        entry = StorageJournal(key=key, owner=owner)
        if age_s:
            entry.created_at = func.now() - timedelta(seconds=age_s)
        session.add(entry)


async def journal(database: Database) -> list[str]:
    async with database.read() as session:
        return sorted((await session.execute(text("SELECT key FROM storage_journal"))).scalars())


def stored(root: Path, key: str) -> Path:
    (root / key).parent.mkdir(parents=True, exist_ok=True)
    (root / key).write_bytes(b"bytes")
    return root / key


async def test_what_a_dead_process_noted_and_staged_goes(
    sweeper: Sweeper, storage: StorageManager, clean_database: Database, tmp_path: Path
) -> None:
    with other_process(tmp_path) as (process, owner):
        process.kill()
        process.wait()
    file = stored(tmp_path, KEYS[0])
    await noted(clean_database, KEYS[0], owner=owner)
    await noted(clean_database, KEYS[1], owner=owner)  # its file never came

    report = await sweeper.sweep(wait=True)

    assert report is not None
    assert (report.keys_removed, report.uploads_removed, report.entries_left, report.refused) == (2, 1, 0, 0)
    assert not file.exists()
    assert await journal(clean_database) == []
    assert not (storage.staging.root / owner).exists()


async def test_what_a_live_process_noted_and_staged_stays(
    sweeper: Sweeper, clean_database: Database, tmp_path: Path
) -> None:
    with other_process(tmp_path) as (_, owner):
        file = stored(tmp_path, KEYS[0])
        await noted(clean_database, KEYS[0], owner=owner, age_s=10 * AGE_S)
        report = await sweeper.sweep(wait=True)
        assert report is not None
        assert (report.keys_removed, report.uploads_removed, report.entries_left) == (0, 0, 1)
        assert file.exists()


async def test_what_this_process_works_on_stays_and_what_it_left_goes(
    sweeper: Sweeper, storage: StorageManager, clean_database: Database, in_flight: InFlight, tmp_path: Path
) -> None:
    for key in KEYS[:2]:
        stored(tmp_path, key)
        await noted(clean_database, key, owner=storage.staging.owner)
    with in_flight.working_on([KEYS[0]]):
        await sweeper.sweep(wait=True)
        assert await journal(clean_database) == [KEYS[0]]
        assert (tmp_path / KEYS[0]).exists()
        assert not (tmp_path / KEYS[1]).exists()


async def test_a_process_that_cannot_be_asked_is_given_longer_than_the_longest_upload(
    sweeper: Sweeper, clean_database: Database, tmp_path: Path
) -> None:
    stranger = uuid.uuid4().hex
    young, old = stored(tmp_path, KEYS[0]), stored(tmp_path, KEYS[1])
    await noted(clean_database, KEYS[0], owner=stranger, age_s=AGE_S - 60)
    await noted(clean_database, KEYS[1], owner=stranger, age_s=AGE_S + 60)
    await sweeper.sweep(wait=True)
    assert (young.exists(), old.exists()) == (True, False)


async def test_another_machines_process_keeps_its_work_until_it_shows_no_life_for_long(
    sweeper: Sweeper, clean_database: Database, tmp_path: Path
) -> None:
    other = Staging(tmp_path, machine=Machine(boot="0" * 12, machine="0" * 12))
    other.open()
    upload = other.root / other.owner / "upload"
    upload.mkdir()
    file = stored(tmp_path, KEYS[0])
    await noted(clean_database, KEYS[0], owner=other.owner, age_s=10 * AGE_S)
    await sweeper.sweep(wait=True)
    assert (file.exists(), upload.exists(), await journal(clean_database)) == (True, True, [KEYS[0]])

    used = upload.parent.stat().st_mtime
    os.utime(upload.parent, (used, used - AGE_S - 60))
    await sweeper.sweep(wait=True)
    assert (file.exists(), upload.parent.exists(), await journal(clean_database)) == (False, False, [])

    # It was alive after all: the next upload there is as before.
    other.check_writable()
    assert other.root.joinpath(other.owner).exists()
    other.close(is_settled=True)


async def test_what_a_process_of_an_earlier_boot_noted_goes_at_once(
    storage: StorageManager, clean_database: Database, in_flight: InFlight, tmp_path: Path
) -> None:
    this, before = Machine(boot="1" * 12, machine="2" * 12), Machine(boot="0" * 12, machine="2" * 12)
    storage.staging = Staging(tmp_path, machine=this)
    storage.open()
    sweeper = Sweeper(database=clean_database, storage=storage, in_flight=in_flight, interval_s=300, age_s=AGE_S)
    file = stored(tmp_path, KEYS[0])
    await noted(clean_database, KEYS[0], owner=before.new_owner())
    await sweeper.sweep(wait=True)
    assert (file.exists(), await journal(clean_database)) == (False, [])


async def test_a_heart_beats_and_brings_back_what_vanished(
    storage: StorageManager, clean_database: Database, in_flight: InFlight
) -> None:
    own = storage.staging.root / storage.staging.owner
    sweeper = Sweeper(database=clean_database, storage=storage, in_flight=in_flight, interval_s=300, age_s=0.2)
    await asyncio.to_thread(shutil.rmtree, storage.staging.root)
    task = asyncio.create_task(sweeper.beat_forever())
    async with asyncio.timeout(5):
        while not await asyncio.to_thread(own.exists):  # noqa: ASYNC110 - a directory that comes notifies nobody
            await asyncio.sleep(0.02)
        first = own.stat().st_mtime_ns
        while await asyncio.to_thread(lambda: own.stat().st_mtime_ns) == first:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_file_that_a_row_owns_is_never_removed(
    sweeper: Sweeper, storage: StorageManager, clean_database: Database, tmp_path: Path
) -> None:
    file = stored(tmp_path, KEYS[0])
    async with clean_database.transaction() as session:
        session.add(media_of(KEYS[0]))
    await noted(clean_database, KEYS[0], owner=storage.staging.owner)
    report = await sweeper.sweep(wait=True)
    assert report is not None
    assert report.keys_removed == 0
    assert file.exists()
    assert await journal(clean_database) == []


async def test_one_file_that_cannot_be_removed_does_not_keep_the_others(
    sweeper: Sweeper, storage: StorageManager, clean_database: Database, tmp_path: Path
) -> None:
    (tmp_path / KEYS[0]).mkdir(parents=True)  # unlink(2) refuses a directory
    for key in KEYS:
        await noted(clean_database, key, owner=storage.staging.owner)
    report = await sweeper.sweep(wait=True)
    assert report is not None
    assert (report.keys_removed, report.refused) == (4, 1)
    assert await journal(clean_database) == [KEYS[0]]

    (tmp_path / KEYS[0]).rmdir()
    again = await sweeper.sweep(wait=True)
    assert again is not None
    assert (again.keys_removed, again.refused) == (1, 0)


async def test_one_process_sweeps_at_a_time(sweeper: Sweeper, clean_database: Database) -> None:
    async with clean_database.advisory_lock(LOCK_NAME, wait=True):
        assert await sweeper.sweep(wait=False) is None
        waiting = asyncio.create_task(sweeper.sweep(wait=True))
        await asyncio.sleep(0.2)
        assert not waiting.done()
    assert await waiting is not None


async def test_an_upload_that_is_committing_keeps_its_files_and_holds_no_sweep_up(
    sweeper: Sweeper, storage: StorageManager, clean_database: Database, tmp_path: Path
) -> None:
    for key in KEYS[:2]:
        stored(tmp_path, key)
        await noted(clean_database, key, owner=storage.staging.owner)
    async with clean_database.transaction() as session:
        await session.execute(text("DELETE FROM storage_journal WHERE key = :key"), {"key": KEYS[0]})
        async with asyncio.timeout(2):
            await sweeper.sweep(wait=True)
        session.add(media_of(KEYS[0]))
    assert (tmp_path / KEYS[0]).exists()
    assert not (tmp_path / KEYS[1]).exists()


async def test_thousands_of_entries_are_swept_in_batches(
    sweeper: Sweeper, storage: StorageManager, clean_database: Database
) -> None:
    async with clean_database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO storage_journal (key, owner) "
                "SELECT '2026/11/k_' || lpad(n::text, 12, '0') || '.txt', :owner FROM generate_series(1, 1050) n"
            ),
            {"owner": storage.staging.owner},
        )
    report = await sweeper.sweep(wait=True)
    assert report is not None
    assert report.keys_removed == 1050


async def test_answers_to_retries_are_forgotten_after_a_day(sweeper: Sweeper, clean_database: Database) -> None:
    async with clean_database.transaction() as session:
        media = media_of(KEYS[0])
        session.add(media)
        await session.flush()
        for hours in (23, 25):
            session.add(
                IdempotencyKey(
                    user_id=uuid.uuid4(),
                    key="k",
                    fingerprint="f",
                    media_id=media.id,
                    created_at=func.now() - timedelta(hours=hours),
                )
            )
    report = await sweeper.sweep(wait=True)
    assert report is not None
    assert report.idempotency_keys_expired == 1


async def test_a_nudge_brings_the_next_sweep_forward(
    sweeper: Sweeper, storage: StorageManager, clean_database: Database, tmp_path: Path
) -> None:
    task = asyncio.create_task(sweeper.run_forever())
    await asyncio.sleep(0.3)
    file = stored(tmp_path, KEYS[0])
    await noted(clean_database, KEYS[0], owner=storage.staging.owner)
    sweeper.nudge()
    async with asyncio.timeout(5):
        while await asyncio.to_thread(file.exists):  # noqa: ASYNC110 - a file that goes notifies nobody
            await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def media_of(key: str) -> Media:
    """A row that owns `key`."""
    return Media(
        id=uuid.uuid4(),
        media_type="document",
        filename="a.txt",
        url=f"/api/v1/media/files/{key}",
        storage_path=key,
        file_size=5,
        mime_type="text/plain",
        checksum_sha256="0" * 64,
        uploaded_by=uuid.uuid4(),
    )
