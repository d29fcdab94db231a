"""Bounds and shields for concurrent work: admission without a queue, work that outlives its caller."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from app.core.errors import ServiceBusy, TooManyUploads
from app.core.logging import get_logger

Result = TypeVar("Result")

log = get_logger(__name__)


class Admission:
    """At most `limit` holders at once, `per_user` of them for one user; the next is turned away instead of waiting.

    Whoever fills all of his own places leaves the rest to the others: 260 bodies of one user that trickled in once held
    every place of four processes for an hour.
    """

    def __init__(self, limit: int, *, per_user: int) -> None:
        self._limit = limit
        self._per_user = per_user
        self._held: Counter[Hashable] = Counter()
        self.active = 0

    @contextmanager
    def enter(self, user: Hashable) -> Iterator[None]:
        """Hold one place. Raises TooManyUploads when `user` has all of his, ServiceBusy when all are taken."""
        if self._held[user] >= self._per_user:
            raise TooManyUploads(limit=self._per_user)
        if self.active >= self._limit:
            raise ServiceBusy
        self.active += 1
        self._held[user] += 1
        try:
            yield
        finally:
            self.active -= 1
            self._held[user] -= 1
            if not self._held[user]:
                del self._held[user]


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
