"""Queries on `content`. Takes a session and never commits."""

import uuid
from collections.abc import Sequence

from sqlalchemy import delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app.models.content import Content


class ContentRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def exists(self, content_id: uuid.UUID) -> bool:
        return bool((await self._session.execute(select(exists().where(Content.id == content_id)))).scalar_one())

    async def get_with_media(self, content_id: uuid.UUID) -> Content | None:
        """The row and its media, oldest first, in two queries."""
        query = select(Content).where(Content.id == content_id).options(selectinload(Content.media))
        return (await self._session.execute(query)).scalar_one_or_none()

    async def lock(self, content_id: uuid.UUID) -> Content | None:
        return await self._session.get(Content, content_id, with_for_update=True)

    async def page_with_media(self, *, offset: int, limit: int) -> Sequence[Content]:
        """Newest first, all media of the page in one extra query; idx_content_created."""
        query = (
            select(Content)
            .order_by(Content.created_at.desc(), Content.id.desc())
            .offset(offset)
            .limit(limit)
            .options(selectinload(Content.media))
        )
        return (await self._session.execute(query)).scalars().all()

    async def count(self) -> int:
        return (await self._session.execute(select(func.count()).select_from(Content))).scalar_one()

    def add(self, content: Content) -> None:
        self._session.add(content)

    async def remove(self, content: Content) -> None:
        """Its media stay; the foreign key sets their content_id to NULL."""
        await self._session.execute(delete(Content).where(Content.id == content.id))
