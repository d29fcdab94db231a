"""Queries on `content` for changes; reads are in `content_reader`. Takes a session and never commits."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.content import Content
from app.models.media import Media

# Order does not matter to a sum, and a media that comes, goes or changes moves it. Of 64 bits, as large as a tag needs.
_MARK = text("coalesce(sum(hashtextextended(media.id::text || extract(epoch FROM media.updated_at)::text, 0)), 0)")


class ContentVersion(NamedTuple):
    """What moves with every change of a content or of one of its media."""

    updated_at: datetime
    media_count: int
    media_mark: int


class ContentRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def exists(self, content_id: uuid.UUID) -> bool:
        return bool((await self._session.execute(select(exists().where(Content.id == content_id)))).scalar_one())

    async def get(self, content_id: uuid.UUID) -> Content | None:
        """The row alone."""
        return await self._session.get(Content, content_id)

    async def version(self, content_id: uuid.UUID) -> ContentVersion | None:
        """Which state the row and its media are in; idx_media_content_id."""
        query = (
            select(Content.updated_at, func.count(Media.id), _MARK)
            .outerjoin(Media, Media.content_id == Content.id)
            .where(Content.id == content_id)
            .group_by(Content.id)
        )
        found = (await self._session.execute(query)).one_or_none()
        return None if found is None else ContentVersion(found[0], found[1], int(found[2]) % 2**64)

    async def media_ids(self, content_id: uuid.UUID, *, limit: int) -> Sequence[uuid.UUID]:
        """The ids of at most `limit` of its media; idx_media_content_id."""
        query = select(Media.id).where(Media.content_id == content_id).limit(limit)
        return (await self._session.execute(query)).scalars().all()

    async def lock(self, content_id: uuid.UUID) -> Content | None:
        return await self._session.get(Content, content_id, with_for_update=True)

    async def count_of(self, user_id: uuid.UUID) -> int:
        """How many contents this user has made; nobody adds one for him until the transaction ends."""
        lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:user, 0))")
        await self._session.execute(lock, {"user": str(user_id)})
        query = select(func.count()).select_from(Content).where(Content.created_by == user_id)
        return (await self._session.execute(query)).scalar_one()

    def add(self, content: Content) -> None:
        self._session.add(content)

    async def remove(self, content: Content) -> None:
        """Its media stay; the foreign key sets their content_id to NULL."""
        await self._session.execute(delete(Content).where(Content.id == content.id))
