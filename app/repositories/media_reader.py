"""Media as public traffic reads them: the record, and the two queries for one; see `core/postgres/statements`."""

import uuid
from datetime import datetime
from typing import NamedTuple

from app.core.json_safety import RawJson
from app.core.postgres.statements import Row, StatementPool

COLUMNS = (
    "id, content_id, media_type, filename, url, storage_path, thumbnail_path, poster_path, file_size, mime_type, "
    "width, height, duration, metadata AS user_metadata, properties, checksum_sha256, uploaded_by, created_at, "
    "updated_at"
)
_BY_ID = f"SELECT {COLUMNS} FROM media WHERE id = $1"  # noqa: S608 - the columns are ours
# One query per column, so that each is one look into one unique index.
_BY_KEY = {
    column: f"SELECT {COLUMNS} FROM media WHERE {column} = $1"  # noqa: S608 - as above
    for column in ("storage_path", "thumbnail_path", "poster_path")
}


# Tuples, which are made in a third of the time of frozen dataclasses: a list is made of a hundred and more.


class MediaRecord(NamedTuple):
    """A row of `media`, read only; the attributes are those of the model, in the order of COLUMNS."""

    id: uuid.UUID
    content_id: uuid.UUID | None
    media_type: str
    filename: str
    url: str
    storage_path: str | None
    thumbnail_path: str | None
    poster_path: str | None
    file_size: int | None
    mime_type: str | None
    width: int | None
    height: int | None
    duration: int | None
    user_metadata: RawJson
    properties: RawJson
    checksum_sha256: str | None
    uploaded_by: uuid.UUID
    created_at: datetime
    updated_at: datetime


class MediaReader:
    def __init__(self, pool: StatementPool) -> None:
        self._pool = pool

    async def get(self, media_id: uuid.UUID) -> MediaRecord | None:
        """One media; pk_media."""
        return await self._read(_BY_ID, media_id)

    async def owner_of_file(self, key: str) -> MediaRecord | None:
        """The row that owns the file under `key`; the unique index of the column that such a key is kept in."""
        return await self._read(_BY_KEY[_column_of(key)], key)

    async def _read(self, query: str, argument: object) -> MediaRecord | None:
        row = await self._pool.fetch_row(query, argument)
        return None if row is None else record_of(row)


def record_of(row: Row) -> MediaRecord:
    """The record of a row that begins with COLUMNS."""
    values = list(row.values())[:_COLUMN_COUNT]
    values[_USER_METADATA] = RawJson(values[_USER_METADATA])
    values[_PROPERTIES] = RawJson(values[_PROPERTIES])
    return MediaRecord._make(values)


_COLUMN_COUNT = len(MediaRecord._fields)
_USER_METADATA, _PROPERTIES = (MediaRecord._fields.index(name) for name in ("user_metadata", "properties"))


def _column_of(key: str) -> str:
    # A file's own key ends in its random id, a rendition's in its kind.
    kind = key.rpartition(".")[0].rpartition("_")[2]
    return {"thumb": "thumbnail_path", "poster": "poster_path"}.get(kind, "storage_path")
