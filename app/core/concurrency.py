"""Bounds and shields for concurrent work: admission without a queue, work that outlives its caller."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from app.core.errors import ServiceBusy
from app.core.logging import get_logger

Result = TypeVar("Result")

log = get_logger(__name__)


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
    """Run `work` to its end however often the caller is cancelled meanwhile; then the cancellation goes on.

    For the steps that must not stop half way: a cancelled COMMIT leaves nobody knowing whether it happened. Whatever
    `work` raises passes through, unless the caller was cancelled: then it is logged.
    """
    task = asyncio.ensure_future(work)
    is_cancelled = False
    while not task.done():
        try:
            # Not `shield` or `gather`: the first returns too early, and a second cancellation goes through the other.
            await asyncio.wait({task})
        except asyncio.CancelledError:
            is_cancelled = True
    if not is_cancelled:
        return task.result()
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("work.failed_unseen", error=repr(error))
    raise asyncio.CancelledError
