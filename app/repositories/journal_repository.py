"""Queries on `storage_journal`: the keys whose bytes may exist without a row."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CursorResult, delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.journal import StorageJournal


@dataclass(frozen=True, slots=True)
class JournalBacklog:
    """How many keys are noted, and for how many seconds the oldest has been; 0 for none."""

    keys: int
    oldest_s: float


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

    async def page(self, *, limit: int, after: str) -> Sequence[StorageJournal]:
        """Up to `limit` entries with keys above `after`; nothing is locked, so running uploads are not held up."""
        query = select(StorageJournal).where(StorageJournal.key > after).order_by(StorageJournal.key).limit(limit)
        return (await self._session.execute(query)).scalars().all()

    async def claim(self, keys: Collection[str]) -> list[str]:
        """Those of `keys` that are still noted, locked until the transaction ends.

        A key that another transaction has locked is left out: it is being removed, or being committed.
        """
        query = (
            select(StorageJournal.key)
            .where(StorageJournal.key.in_(keys))
            .order_by(StorageJournal.key)
            .with_for_update(skip_locked=True)
        )
        return list((await self._session.execute(query)).scalars())

    async def noted(self, keys: Collection[str]) -> set[str]:
        """Those of `keys` that are in flight."""
        found = await self._session.execute(select(StorageJournal.key).where(StorageJournal.key.in_(keys)))
        return set(found.scalars())

    async def owners(self) -> set[str]:
        """Every process that is noted with some key."""
        return set((await self._session.execute(select(StorageJournal.owner).distinct())).scalars())

    async def knows(self, owner: str) -> bool:
        """Whether any key of this process is noted."""
        return bool((await self._session.execute(select(exists().where(StorageJournal.owner == owner)))).scalar_one())

    async def backlog(self) -> JournalBacklog:
        """For the metrics."""
        oldest_s = func.extract("epoch", func.now() - func.min(StorageJournal.created_at))
        count, age_s = (await self._session.execute(select(func.count(), oldest_s).select_from(StorageJournal))).one()
        return JournalBacklog(count, float(age_s or 0))

    async def database_time(self) -> datetime:
        """The clock that `created_at` was taken from; ours may differ."""
        return (await self._session.execute(select(func.now()))).scalar_one()
