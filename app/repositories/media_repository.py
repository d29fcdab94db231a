"""Queries on `media` for changes, sweeps and metrics; the lists are in `media_list_reader`. Never commits."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.media_types import MediaType
from app.models.media import Media, MediaWaveform


@dataclass(frozen=True, slots=True)
class StoredSum:
    """How many media there are, and the bytes of their files without thumbnails and posters."""

    files: int
    size_bytes: int


class MediaRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, media_id: uuid.UUID) -> Media | None:
        return await self._session.get(Media, media_id)

    async def lock(self, media_id: uuid.UUID) -> Media | None:
        """The row, locked until the transaction ends, so that updates and deletes of one media take turns."""
        return await self._session.get(Media, media_id, with_for_update=True)

    async def owned_keys(self, keys: Sequence[str]) -> set[str]:
        """Those of `keys` that some row owns."""
        owned: set[str] = set()
        for column in (Media.storage_path, Media.thumbnail_path, Media.poster_path):
            found = await self._session.execute(select(column).where(column.in_(keys)))
            owned.update(key for key in found.scalars() if key is not None)
        return owned

    async def stored_by_type(self) -> dict[MediaType, StoredSum]:
        """What is stored of each media type; reads the whole table, so it is for the metrics and not for requests."""
        query = select(Media.media_type, func.count(), func.sum(Media.file_size))
        found = await self._session.execute(query.group_by(Media.media_type))
        return {MediaType(media_type): StoredSum(files, int(size or 0)) for media_type, files, size in found}

    async def batch_by_id(self, *, after: uuid.UUID, limit: int) -> Sequence[Media]:
        """`limit` media with ids above `after`, in the order of ids: a walk over the whole table; pk_media."""
        query = select(Media).where(Media.id > after).order_by(Media.id).limit(limit)
        return (await self._session.execute(query)).scalars().all()

    async def remove(self, media: Media) -> None:
        await self._session.execute(delete(Media).where(Media.id == media.id))

    async def waveform(self, media_id: uuid.UUID) -> MediaWaveform | None:
        return await self._session.get(MediaWaveform, media_id)
