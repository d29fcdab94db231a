"""Queries on `storage_journal`: the keys whose bytes may exist without a row."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import CursorResult, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.journal import StorageJournal


class JournalRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def write(self, keys: Collection[str], *, owner: str) -> None:
        """Note `keys` as in flight, worked on by the process `owner`."""
        self._session.add_all(StorageJournal(key=key, owner=owner) for key in keys)

    async def clear(self, keys: Collection[str]) -> int:
        """Strike `keys` out; returns how many were still noted."""
        result = await self._session.execute(delete(StorageJournal).where(StorageJournal.key.in_(keys)))
        assert isinstance(result, CursorResult)
        return result.rowcount

    async def take(self, *, limit: int, after: str) -> Sequence[StorageJournal]:
        """Up to `limit` entries with keys above `after`, locked; entries that are locked already are left out."""
        query = (
            select(StorageJournal)
            .where(StorageJournal.key > after)
            .order_by(StorageJournal.key)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return (await self._session.execute(query)).scalars().all()

    async def noted(self, keys: Collection[str]) -> set[str]:
        """Those of `keys` that are in flight."""
        found = await self._session.execute(select(StorageJournal.key).where(StorageJournal.key.in_(keys)))
        return set(found.scalars())

    async def backlog(self) -> int:
        return (await self._session.execute(select(func.count()).select_from(StorageJournal))).scalar_one()

    async def database_time(self) -> datetime:
        """The clock that `created_at` was taken from; ours may differ."""
        return (await self._session.execute(select(func.now()))).scalar_one()
