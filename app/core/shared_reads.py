"""Callers that ask the same at the same moment share one answer; nobody gets one that was begun before they asked.

That makes it right without any notice of changes: each caller's answer is read after its call, as if for it alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class SharedReads(Generic[Value]):
    """One per event loop."""

    def __init__(self) -> None:
        self._joinable: dict[Hashable, list[asyncio.Future[Value]]] = {}

    async def get(self, key: Hashable, read: Callable[[], Awaitable[Value]]) -> Value:
        """What `read` returns or raises; called once for all who come with this `key` in one turn of the event loop."""
        while (others := self._joinable.get(key)) is not None:
            mine: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
            others.append(mine)
            try:
                return await mine
            except _Abandoned:
                continue
        others = self._joinable[key] = []
        try:
            value = await self._begun(key, read)
        except asyncio.CancelledError:
            _tell(others, _Abandoned())
            raise
        except Exception as exc:
            _tell(others, exc)
            raise
        for future in others:
            if not future.done():  # its caller was cancelled
                future.set_result(value)
        return value

    async def _begun(self, key: Hashable, read: Callable[[], Awaitable[Value]]) -> Value:
        try:
            # What came over several sockets at once is handled in one turn: after this, all of it has asked.
            await asyncio.sleep(0)
        finally:
            del self._joinable[key]
        return await read()


class _Abandoned(Exception):
    """Who was to read for the others was cancelled."""


def _tell(others: list[asyncio.Future[Value]], error: Exception) -> None:
    for future in others:
        if not future.done():
            future.set_exception(error)
