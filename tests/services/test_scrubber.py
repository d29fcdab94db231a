"""Scrub finds every kind of damage, goes on after it, keeps to its rate and can begin anywhere."""

import hashlib
import time
import uuid
from pathlib import Path

import pytest

from app.core.database import Database
from app.core.metrics import Damage, render_metrics
from app.core.staging import Staging
from app.core.storage import StorageManager
from app.core.storage_backends.local import LocalBackend
from app.models import Media
from app.services.scrubber import Scrubber, ScrubResult

DATA = b"0123456789" * 1000
IDS = [uuid.UUID(int=number + 1) for number in range(5)]
FAST = 1e12
BEGINNING = uuid.UUID(int=0)


def key_of(media_id: uuid.UUID) -> str:
    return f"2026/11/a_{media_id.int:012x}.txt"


@pytest.fixture
async def storage(tmp_path: Path, clean_database: Database) -> StorageManager:
    """Five media with their files."""
    (tmp_path / "2026/11").mkdir(parents=True)
    async with clean_database.transaction() as session:
        for media_id in IDS:
            key = key_of(media_id)
            (tmp_path / key).write_bytes(DATA)
            session.add(
                Media(
                    id=media_id,
                    media_type="document",
                    filename="a.txt",
                    url=f"/api/v1/media/files/{key}",
                    storage_path=key,
                    file_size=len(DATA),
                    checksum_sha256=hashlib.sha256(DATA).hexdigest(),
                    uploaded_by=uuid.uuid4(),
                )
            )
    return StorageManager(backend=LocalBackend(tmp_path), staging=Staging(tmp_path), public_url="http://media.test")


async def scrubbed(
    storage: StorageManager, database: Database, *, after: uuid.UUID = BEGINNING, bytes_per_s: float = FAST
) -> list[ScrubResult]:
    scrubber = Scrubber(database=database, storage=storage, bytes_per_s=bytes_per_s)
    return [result async for result in scrubber.run(after=after)]


async def test_sound_files_are_found_sound(storage: StorageManager, clean_database: Database) -> None:
    results = await scrubbed(storage, clean_database)
    assert [(result.media_id, result.damage) for result in results] == [(media_id, None) for media_id in IDS]


async def test_every_kind_of_damage_is_found_and_counted(
    storage: StorageManager, clean_database: Database, tmp_path: Path
) -> None:
    flipped, short, lost, unreadable = (tmp_path / key_of(media_id) for media_id in IDS[:4])
    flipped.write_bytes(DATA[:-1] + b"\x00")
    short.write_bytes(DATA[:-1])
    lost.unlink()
    unreadable.unlink()
    unreadable.symlink_to(unreadable.name)  # a loop: open(2) fails with an error of its own
    before = counted(Damage.WRONG_CHECKSUM)

    results = {result.media_id: result.damage for result in await scrubbed(storage, clean_database)}

    assert results[IDS[0]] is Damage.WRONG_CHECKSUM
    assert results[IDS[1]] is Damage.WRONG_SIZE
    assert results[IDS[2]] is Damage.MISSING
    assert results[IDS[3]] in (Damage.MISSING, Damage.UNREADABLE)
    assert results[IDS[4]] is None
    assert counted(Damage.WRONG_CHECKSUM) == before + 1


async def test_a_run_begins_where_it_is_told(storage: StorageManager, clean_database: Database) -> None:
    results = await scrubbed(storage, clean_database, after=IDS[2])
    assert [result.media_id for result in results] == IDS[3:]


async def test_the_rate_is_kept(storage: StorageManager, clean_database: Database) -> None:
    began = time.monotonic()
    await scrubbed(storage, clean_database, bytes_per_s=5 * len(DATA) / 0.5)
    assert time.monotonic() - began >= 0.5


def counted(damage: Damage) -> float:
    text = render_metrics()[0].decode()
    return float(text.partition(f'\nmedia_scrub_damaged_files_total{{damage="{damage}"}} ')[2].partition("\n")[0])
