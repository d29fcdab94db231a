"""What an upload asks of the database and writes into it: three prepared statements, each one round trip of its own.

Through sessions and the ORM the same took nine round trips and a third of the CPU of a small upload (measured 2026-11).
A test holds the columns against the models.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from app.core.postgres.statements import ConstraintViolated, StatementPool
from app.models import IdempotencyKey, Media, MediaText, MediaWaveform
from app.repositories.idempotency_repository import KEPT_FOR
from app.repositories.usage_repository import Usage

_STANDING = """
SELECT coalesce(file_count, 0) AS file_count, coalesce(stored_bytes, 0) AS stored_bytes,
       content.created_by, content.attach,
       (SELECT count(*) FROM (SELECT FROM media WHERE content_id = $2 LIMIT $3) AS first_ones) AS media_count
FROM (SELECT $1::uuid AS user_id) AS asked LEFT JOIN user_usage USING (user_id) LEFT JOIN content ON content.id = $2
"""

_NOTE = "INSERT INTO storage_journal (key, owner) SELECT unnest($1::text[]), $2"

# A NULL where the row must have a value is how this statement says no; the column tells why, see _GUARDS. Everything
# in it is undone then. The row of user_usage stays locked from its change to the commit, so that a quota is exact; so
# does the content, once its rules and its room are looked at (migration 0003). The usage is locked before the key
# (`FROM counted`), as a delete does: the other way round would be a deadlock.
_RECORD = """
WITH struck AS (
    DELETE FROM storage_journal WHERE key = ANY($1::text[]) RETURNING key
), counted AS (
    INSERT INTO user_usage AS usage (user_id, file_count, stored_bytes) VALUES ($20::uuid, 1, coalesce($12::integer, 0))
    ON CONFLICT (user_id) DO UPDATE
    SET file_count = usage.file_count + 1, stored_bytes = usage.stored_bytes + excluded.stored_bytes
    RETURNING file_count, stored_bytes
), remembered AS (
    INSERT INTO idempotency_key AS earlier (user_id, key, fingerprint, media_id)
    SELECT $20::uuid, $21::text, $22, $4::uuid FROM counted WHERE $21::text IS NOT NULL
    ON CONFLICT (user_id, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, media_id = excluded.media_id, created_at = excluded.created_at
    WHERE earlier.created_at <= now() - $23::interval
    RETURNING key
), kept_waveform AS (
    INSERT INTO media_waveform (media_id, sample_rate, samples_per_pixel, length, data)
    SELECT $4::uuid, $24::integer, $25::integer, $26::integer, $27::bytea WHERE $27::bytea IS NOT NULL
), kept_text AS (
    INSERT INTO media_text (media_id, text) SELECT $4::uuid, $28::text WHERE $28::text IS NOT NULL
)
INSERT INTO media (id, media_type, filename, url, content_id, storage_path, thumbnail_path, poster_path, file_size,
                   mime_type, width, height, duration, metadata, properties, checksum_sha256, uploaded_by)
SELECT CASE WHEN (SELECT count(*) FROM struck) = cardinality($1::text[]) THEN $4::uuid END,
       CASE WHEN $21::text IS NULL OR EXISTS (SELECT FROM remembered) THEN $5 END,
       CASE WHEN $2::bigint IS NULL OR (SELECT file_count FROM counted) <= $2::bigint THEN $6 END,
       CASE WHEN $3::bigint IS NULL OR (SELECT stored_bytes FROM counted) <= $3::bigint THEN $7 END,
       CASE WHEN $8::uuid IS NULL OR ($21::text IS NOT NULL AND NOT EXISTS (SELECT FROM remembered)) THEN $8::uuid
            ELSE place_in_content($8::uuid, $20::uuid, $29::bigint) END,
       $9, $10, $11, $12::integer, $13, $14::integer, $15::integer, $16::integer, $17::jsonb, $18::jsonb, $19,
       $20::uuid
RETURNING created_at, updated_at
"""


class RecordRefusal(StrEnum):
    """Why a media was not recorded; nothing has changed then."""

    KEYS_TAKEN_AWAY = "keys_taken_away"
    """A sweep took this process for dead and removed the files."""
    IDEMPOTENCY_KEY_USED = "idempotency_key_used"
    FILES_OVER_QUOTA = "files_over_quota"
    BYTES_OVER_QUOTA = "bytes_over_quota"
    CONTENT_GONE = "content_gone"
    CONTENT_CLOSED = "content_closed"
    """Its creator keeps uploads for himself."""
    CONTENT_FULL = "content_full"


_GUARDS = {
    "id": RecordRefusal.KEYS_TAKEN_AWAY,
    "media_type": RecordRefusal.IDEMPOTENCY_KEY_USED,
    "filename": RecordRefusal.FILES_OVER_QUOTA,
    "url": RecordRefusal.BYTES_OVER_QUOTA,
}
_CONSTRAINTS = {
    "fk_media_content_id_content": RecordRefusal.CONTENT_GONE,
    "content_closed": RecordRefusal.CONTENT_CLOSED,
    "content_full": RecordRefusal.CONTENT_FULL,
}


class RecordRefused(Exception):
    """What `record` raises; services turn it into what clients see."""

    def __init__(self, reason: RecordRefusal) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ContentRoom:
    """Who made a content, who may upload to it, and how many media it has, counted up to the most that it may have."""

    created_by: uuid.UUID
    attach: str
    media_count: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What has to be known before an upload begins; no `content` when there is none, or none was asked for."""

    usage: Usage
    content: ContentRoom | None


@dataclass(frozen=True, slots=True)
class Quota:
    """Most files and bytes of one user, None is no limit; most media of one content."""

    files: int | None
    size_bytes: int | None
    media_per_content: int


class UploadLedger:
    def __init__(self, pool: StatementPool) -> None:
        self._pool = pool

    async def standing(self, user_id: uuid.UUID, content_id: uuid.UUID | None, *, media_per_content: int) -> Standing:
        """What this user has stored, and what is known of the content; its media are counted up to the limit."""
        row = await self._pool.fetch_row(_STANDING, user_id, content_id, media_per_content)
        assert row is not None  # its FROM always has one
        content = ContentRoom(row["created_by"], row["attach"], row["media_count"]) if row["created_by"] else None
        return Standing(Usage(row["file_count"], row["stored_bytes"]), content)

    async def note(self, keys: Sequence[str], *, owner: str) -> None:
        """Write `keys` into the journal, worked on by the process `owner`; committed on return.

        Raises ConstraintViolated when one is there already.
        """
        await self._pool.write_row(_NOTE, keys, owner)

    async def record(
        self,
        media: Media,
        *,
        keys: Sequence[str],
        quota: Quota,
        waveform: MediaWaveform | None,
        text: MediaText | None,
        idempotency: IdempotencyKey | None,
    ) -> None:
        """Insert the row with what hangs on it, count it and strike its `keys` out of the journal: all or nothing.

        Committed on return, and `media` has its times. Raises RecordRefused, and ConstraintViolated for anything else
        that the database refuses.
        """
        try:
            row = await self._pool.write_row(
                _RECORD,
                keys,
                quota.files,
                quota.size_bytes,
                *_media_values(media),
                *_idempotency_values(idempotency),
                *_waveform_values(waveform),
                None if text is None else text.text,
                quota.media_per_content,
            )
        except ConstraintViolated as exc:
            if (reason := _reason(exc)) is None:
                raise
            raise RecordRefused(reason) from exc
        assert row is not None  # an INSERT of one row gives back one row
        media.created_at, media.updated_at = row["created_at"], row["updated_at"]


def _media_values(media: Media) -> tuple[object, ...]:
    return (
        media.id,
        media.media_type,
        media.filename,
        media.url,
        media.content_id,
        media.storage_path,
        media.thumbnail_path,
        media.poster_path,
        media.file_size,
        media.mime_type,
        media.width,
        media.height,
        media.duration,
        media.user_metadata.text,
        media.properties.text,
        media.checksum_sha256,
        media.uploaded_by,
    )


def _idempotency_values(entry: IdempotencyKey | None) -> tuple[str | None, str | None, timedelta]:
    return (None, None, KEPT_FOR) if entry is None else (entry.key, entry.fingerprint, KEPT_FOR)


def _waveform_values(waveform: MediaWaveform | None) -> tuple[object, ...]:
    if waveform is None:
        return (None, None, None, None)
    return waveform.sample_rate, waveform.samples_per_pixel, waveform.length, waveform.data


def _reason(violation: ConstraintViolated) -> RecordRefusal | None:
    return _CONSTRAINTS.get(violation.name or "") or _GUARDS.get(violation.column or "")
