"""The statements of an upload write every column of the models, wholly or not at all, and say why they did not."""

import asyncio
import uuid
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import func, inspect, select, update

from app.core.database import Database
from app.core.json_safety import RawJson
from app.core.postgres.statements import ConstraintViolated
from app.models import Base, Content, IdempotencyKey, Media, MediaText, MediaWaveform, StorageJournal, UserUsage
from app.repositories.idempotency_repository import KEPT_FOR
from app.repositories.upload_ledger import ContentRoom, Quota, RecordRefusal, RecordRefused, Standing, UploadLedger
from app.repositories.usage_repository import Usage

USER = uuid.UUID(int=7)
NO_QUOTA = Quota(files=None, size_bytes=None, media_per_content=10)
_numbers = count(1)


@pytest.fixture
def ledger(clean_database: Database) -> UploadLedger:
    return UploadLedger(clean_database.statements)


def media_of(*, size_bytes: int = 10, content_id: uuid.UUID | None = None) -> Media:
    """A row with a value of its own in every column but the times."""
    number = next(_numbers)
    key = f"2026/11/a_{number:012x}"
    return Media(
        id=uuid.uuid4(),
        content_id=content_id,
        media_type="video",
        filename="a.mp4",
        url=f"/api/v1/media/files/{key}.mp4",
        storage_path=f"{key}.mp4",
        thumbnail_path=f"{key}_thumb.jpg",
        poster_path=f"{key}_poster.jpg",
        file_size=size_bytes,
        mime_type="video/mp4",
        width=3,
        height=4,
        duration=5,
        user_metadata=RawJson('{"n": [1, 2.5, null, true], "title": "Ä"}'),  # as PostgreSQL writes it
        properties=RawJson('{"codec": "h264"}'),
        checksum_sha256="0" * 64,
        uploaded_by=USER,
    )


async def record(
    ledger: UploadLedger,
    media: Media,
    *,
    quota: Quota = NO_QUOTA,
    waveform: MediaWaveform | None = None,
    text: MediaText | None = None,
    idempotency: IdempotencyKey | None = None,
) -> None:
    await ledger.note(media.stored_keys, owner="me")
    await ledger.record(
        media, keys=media.stored_keys, quota=quota, waveform=waveform, text=text, idempotency=idempotency
    )


def remembered(media: Media, key: str = "key") -> IdempotencyKey:
    return IdempotencyKey(user_id=USER, key=key, fingerprint="f" * 64, media_id=media.id)


async def rows(database: Database, model: type[Base]) -> int:
    async with database.read() as session:
        return (await session.execute(select(func.count()).select_from(model))).scalar_one()


def values_of(row: Base) -> dict[str, object]:
    return {column.key: getattr(row, column.key) for column in inspect(type(row)).column_attrs}


async def test_every_column_of_every_row_is_what_was_given(ledger: UploadLedger, clean_database: Database) -> None:
    async with clean_database.transaction() as session:
        session.add(content := Content(title="t", created_by=USER))
    media = media_of(content_id=content.id)
    waveform = MediaWaveform(media_id=media.id, sample_rate=1, samples_per_pixel=2, length=3, data=b"\0\xff")
    text = MediaText(media_id=media.id, text="words")
    idempotency = remembered(media)
    await record(ledger, media, waveform=waveform, text=text, idempotency=idempotency)

    async with clean_database.read() as session:
        for given in (media, waveform, text):
            kept = await session.get_one(type(given), media.id)
            assert None not in values_of(kept).values()
            assert values_of(kept) == values_of(given)
        key = await session.get_one(IdempotencyKey, (USER, "key"))
        assert (key.fingerprint, key.media_id) == (idempotency.fingerprint, media.id)
        usage = await session.get_one(UserUsage, USER)
    assert (usage.file_count, usage.stored_bytes) == (1, 10)
    assert await rows(clean_database, StorageJournal) == 0


async def test_noted_keys_name_their_owner(ledger: UploadLedger, clean_database: Database) -> None:
    await ledger.note(["a", "b"], owner="me")
    async with clean_database.read() as session:
        found = (await session.execute(select(StorageJournal).order_by(StorageJournal.key))).scalars().all()
    assert [(entry.key, entry.owner) for entry in found] == [("a", "me"), ("b", "me")]


async def test_noting_a_key_twice_notes_nothing(ledger: UploadLedger, clean_database: Database) -> None:
    await ledger.note(["a"], owner="me")
    with pytest.raises(ConstraintViolated):
        await ledger.note(["b", "a"], owner="other")
    assert await rows(clean_database, StorageJournal) == 1


async def test_what_a_user_has_and_whether_a_content_is_there(ledger: UploadLedger, clean_database: Database) -> None:
    async with clean_database.transaction() as session:
        session.add(content := Content(title="t", created_by=USER))
    assert (await ledger.standing(USER, None, media_per_content=9)).usage == Usage(0, 0)
    for _ in range(2):
        await record(ledger, media_of(size_bytes=2**30))
    standing = await ledger.standing(USER, content.id, media_per_content=9)
    assert standing == Standing(Usage(2, 2**31), ContentRoom(USER, "anyone", 0))
    assert (await ledger.standing(USER, uuid.uuid4(), media_per_content=9)).content is None


async def refused(
    ledger: UploadLedger, database: Database, media: Media, **given: Quota | IdempotencyKey
) -> RecordRefusal:
    """Why `media` is not recorded; and nothing has changed."""
    before = [await rows(database, model) for model in (Media, IdempotencyKey)]
    usage = (await ledger.standing(USER, None, media_per_content=9)).usage
    with pytest.raises(RecordRefused) as caught:
        await record(ledger, media, **given)  # type: ignore[arg-type]  # by name, of both types
    assert [await rows(database, model) for model in (Media, IdempotencyKey)] == before
    assert (await ledger.standing(USER, None, media_per_content=9)).usage == usage
    assert await rows(database, StorageJournal) == len(media.stored_keys)
    return caught.value.reason


async def test_a_quota_is_exact(ledger: UploadLedger, clean_database: Database) -> None:
    quota = Quota(files=1, size_bytes=10, media_per_content=10)
    await record(ledger, media_of(size_bytes=10), quota=quota)
    two_files = Quota(files=2, size_bytes=10, media_per_content=10)
    assert await refused(ledger, clean_database, media_of(), quota=quota) is RecordRefusal.FILES_OVER_QUOTA
    async with clean_database.transaction() as session:
        await session.execute(StorageJournal.__table__.delete())  # type: ignore[attr-defined]  # a Table has it
    over = await refused(ledger, clean_database, media_of(size_bytes=1), quota=two_files)
    assert over is RecordRefusal.BYTES_OVER_QUOTA


async def test_keys_that_were_taken_away_cost_the_row(ledger: UploadLedger, clean_database: Database) -> None:
    media = media_of()
    await ledger.note(media.stored_keys[1:], owner="me")
    with pytest.raises(RecordRefused) as caught:
        await ledger.record(media, keys=media.stored_keys, quota=NO_QUOTA, waveform=None, text=None, idempotency=None)
    assert caught.value.reason is RecordRefusal.KEYS_TAKEN_AWAY
    assert await rows(clean_database, Media) == 0
    assert await rows(clean_database, StorageJournal) == 2


async def test_a_content_that_is_gone_is_told(ledger: UploadLedger, clean_database: Database) -> None:
    media = media_of(content_id=uuid.uuid4())
    assert await refused(ledger, clean_database, media) is RecordRefusal.CONTENT_GONE


async def test_a_content_that_its_creator_keeps_is_told(ledger: UploadLedger, clean_database: Database) -> None:
    async with clean_database.transaction() as session:
        session.add(own := Content(title="t", created_by=USER, attach="creator"))
        session.add(other := Content(title="t", created_by=uuid.uuid4(), attach="creator"))
    await record(ledger, media_of(content_id=own.id))
    assert await refused(ledger, clean_database, media_of(content_id=other.id)) is RecordRefusal.CONTENT_CLOSED


async def test_the_room_of_a_content_is_exact_when_many_record_at_once(
    ledger: UploadLedger, clean_database: Database
) -> None:
    async with clean_database.transaction() as session:
        session.add(content := Content(title="t", created_by=USER))
    many = [media_of(content_id=content.id) for _ in range(12)]
    for number, media in enumerate(many):
        media.uploaded_by = uuid.UUID(int=number)  # else the row of the user's usage would make them take turns
    quota = Quota(files=None, size_bytes=None, media_per_content=5)
    outcomes = await asyncio.gather(*(record(ledger, media, quota=quota) for media in many), return_exceptions=True)
    assert [error.reason for error in outcomes if isinstance(error, RecordRefused)] == [RecordRefusal.CONTENT_FULL] * 7
    assert await rows(clean_database, Media) == 5
    assert (await ledger.standing(USER, content.id, media_per_content=5)).content == ContentRoom(USER, "anyone", 5)
    assert (await ledger.standing(USER, content.id, media_per_content=3)).content == ContentRoom(USER, "anyone", 3)


async def test_a_retry_into_a_full_content_is_still_a_retry(ledger: UploadLedger, clean_database: Database) -> None:
    async with clean_database.transaction() as session:
        session.add(content := Content(title="t", created_by=USER))
    first, second = media_of(content_id=content.id), media_of(content_id=content.id)
    quota = Quota(files=None, size_bytes=None, media_per_content=1)
    await record(ledger, first, quota=quota, idempotency=remembered(first))
    reason = await refused(ledger, clean_database, second, quota=quota, idempotency=remembered(second))
    assert reason is RecordRefusal.IDEMPOTENCY_KEY_USED


async def test_an_idempotency_key_is_used_once(ledger: UploadLedger, clean_database: Database) -> None:
    first, second = media_of(), media_of()
    await record(ledger, first, idempotency=remembered(first))
    reason = await refused(ledger, clean_database, second, idempotency=remembered(second))
    assert reason is RecordRefusal.IDEMPOTENCY_KEY_USED


async def test_an_expired_idempotency_key_makes_room(ledger: UploadLedger, clean_database: Database) -> None:
    first, second = media_of(), media_of()
    await record(ledger, first, idempotency=remembered(first))
    async with clean_database.transaction() as session:
        expired_at = func.now() - KEPT_FOR - timedelta(seconds=1)
        await session.execute(update(IdempotencyKey).values(created_at=expired_at))
    await record(ledger, second, idempotency=remembered(second))
    async with clean_database.read() as session:
        assert (await session.get_one(IdempotencyKey, (USER, "key"))).media_id == second.id


async def test_a_path_that_another_row_has_is_no_reason_of_ours(ledger: UploadLedger) -> None:
    first, second = media_of(), media_of()
    await record(ledger, first)
    second.storage_path = first.storage_path
    with pytest.raises(ConstraintViolated, match="uq_media_storage_path"):
        await record(ledger, second)
