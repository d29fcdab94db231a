"""Queries on `idempotency_key`."""

import uuid
from datetime import timedelta

from sqlalchemy import CursorResult, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.idempotency import IdempotencyKey

KEPT_FOR = timedelta(hours=24)


class IdempotencyRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, user_id: uuid.UUID, key: str) -> IdempotencyKey | None:
        """What the first upload under this key left, unless it has expired."""
        query = select(IdempotencyKey).where(
            IdempotencyKey.user_id == user_id,
            IdempotencyKey.key == key,
            IdempotencyKey.created_at > func.now() - KEPT_FOR,
        )
        return (await self._session.execute(query)).scalar_one_or_none()

    async def remove_expired(self) -> int:
        result = await self._session.execute(
            delete(IdempotencyKey).where(IdempotencyKey.created_at <= func.now() - KEPT_FOR)
        )
        assert isinstance(result, CursorResult)
        return result.rowcount
