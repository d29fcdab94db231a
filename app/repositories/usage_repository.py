"""Queries on `user_usage`: bytes and files per user, exact because they change in the transaction of the media."""

import uuid
from dataclasses import dataclass

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.usage import UserUsage


@dataclass(frozen=True, slots=True)
class Usage:
    file_count: int
    stored_bytes: int


class UsageRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def subtract(self, user_id: uuid.UUID, *, size_bytes: int) -> None:
        await self._session.execute(
            update(UserUsage)
            .where(UserUsage.user_id == user_id)
            .values(file_count=UserUsage.file_count - 1, stored_bytes=UserUsage.stored_bytes - size_bytes)
        )

    async def recount(self) -> None:
        """Make the table what `media` says, after a restore or hand-made changes."""
        await self._session.execute(text("LOCK TABLE user_usage IN SHARE ROW EXCLUSIVE MODE"))
        await self._session.execute(text("DELETE FROM user_usage"))
        await self._session.execute(
            text(
                "INSERT INTO user_usage (user_id, file_count, stored_bytes) "
                "SELECT uploaded_by, count(*), coalesce(sum(file_size), 0) FROM media GROUP BY uploaded_by"
            )
        )
