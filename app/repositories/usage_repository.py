"""Queries on `user_usage`: bytes and files per user, exact because they change in the transaction of the media."""

import uuid
from dataclasses import dataclass

from sqlalchemy import text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.usage import UserUsage


@dataclass(frozen=True, slots=True)
class Usage:
    file_count: int
    stored_bytes: int


class UsageRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def of(self, user_id: uuid.UUID) -> Usage:
        row = await self._session.get(UserUsage, user_id)
        return Usage(row.file_count, row.stored_bytes) if row else Usage(0, 0)

    async def add(self, user_id: uuid.UUID, *, size_bytes: int) -> Usage:
        """Count one more file; returns the sum with it. The row stays locked until the transaction ends."""
        statement = (
            insert(UserUsage)
            .values(user_id=user_id, file_count=1, stored_bytes=size_bytes)
            .on_conflict_do_update(
                index_elements=[UserUsage.user_id],
                set_={
                    "file_count": UserUsage.file_count + 1,
                    "stored_bytes": UserUsage.stored_bytes + size_bytes,
                },
            )
            .returning(UserUsage.file_count, UserUsage.stored_bytes)
        )
        row = (await self._session.execute(statement)).one()
        return Usage(row.file_count, row.stored_bytes)

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
