"""Which connections wait for a request, and which of them makes room when there are too many. Knows asyncio, no server.

Sockets that say nothing, or half a head, cost their owner nothing: 3,000 of one address kept everybody else out.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

SPARE_AFTER_S: Final = 1.0
"""A connection that has waited for so long is in nobody's use; browsers and clients open another one."""


class Waiting(Protocol):
    """A connection between two requests, or before its first."""

    transport: asyncio.Transport


class WaitingConnections:
    """All of a server process, in the order in which they began to wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[Waiting, float] = {}

    def add(self, connection: Waiting) -> None:
        """It waits from now on."""
        self._since.pop(connection, None)
        self._since[connection] = self._clock()

    def discard(self, connection: Waiting) -> None:
        """It has a request now, or it is gone."""
        self._since.pop(connection, None)

    def longest(self) -> Waiting | None:
        """Take the one that has waited longest, if that is for more than `SPARE_AFTER_S`."""
        connection = next(iter(self._since), None)
        if connection is None or self._clock() - self._since[connection] < SPARE_AFTER_S:
            return None
        del self._since[connection]
        return connection
