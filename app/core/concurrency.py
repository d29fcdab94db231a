"""Bounds and shields for concurrent work: admission without a queue, work that outlives its caller."""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from app.core.errors import ServiceBusy

Result = TypeVar("Result")


class Admission:
    """At most `limit` holders at once; the next one is turned away instead of waiting."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.active = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Hold one place. Raises ServiceBusy when all are taken."""
        if self.active >= self._limit:
            raise ServiceBusy
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1


async def finish(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end even when the caller is cancelled meanwhile; then the cancellation goes on.

    For the steps that must not stop half way: a cancelled COMMIT leaves nobody knowing whether it happened.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await _settle(task)
        raise


async def _settle(task: Awaitable[object]) -> None:
    await asyncio.gather(task, return_exceptions=True)
