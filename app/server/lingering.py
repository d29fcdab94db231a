"""The end of a connection whose client may still be sending: our side is closed, the rest is read and dropped.

Closing a socket with unread input makes the kernel send a reset, which overtakes the answer: clients and proxies then
report a broken connection instead of our 413 (RFC 9112 section 9.6; nginx calls it a lingering close). So we wait until
the client hangs up, within limits of time, of bytes, and of connections. Knows asyncio and no server.
"""

import asyncio
from typing import Final

LINGERING_CONNECTIONS: Final = 64
"""How many may linger in one process; another one ends the one that has had the longest time to read its answer."""
_TOTAL_S: Final = 30.0
_IDLE_S: Final = 5.0
_HASTY_S: Final = 2.0


class LingeringConnections:
    """Those of one process, in the order in which they began."""

    def __init__(self, limit: int = LINGERING_CONNECTIONS) -> None:
        self._limit = limit
        self._lingering: dict[Linger, None] = {}

    def add(self, one: "Linger") -> None:
        """One more, which may be the end of the oldest."""
        if len(self._lingering) >= self._limit:
            next(iter(self._lingering)).end()
        self._lingering[one] = None

    def discard(self, one: "Linger") -> None:
        """One less."""
        self._lingering.pop(one, None)


class Linger:
    """One per connection. Whoever reads its socket reports what came with `heard`, and drops it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, others: LingeringConnections, *, max_bytes: int) -> None:
        self._loop = loop
        self._others = others
        self._max_bytes = max_bytes
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ends_at = 0.0
        self._heard_at = 0.0
        self._heard_bytes = 0

    @property
    def is_running(self) -> bool:
        return self._timer is not None

    def begin(self, transport: asyncio.Transport, *, is_hasty: bool) -> None:
        """Send what is written, close our side of `transport` and wait; is_hasty: the process is about to end."""
        if self.is_running or transport.is_closing():
            return
        transport.write_eof()
        self._transport = transport
        self._heard_at = self._loop.time()
        self._ends_at = self._heard_at + (_HASTY_S if is_hasty else _TOTAL_S)
        self._others.add(self)
        self._wait()

    def heard(self, length: int) -> None:
        """`length` bytes came and were dropped."""
        if not self.is_running:
            return
        self._heard_at = self._loop.time()
        self._heard_bytes += length
        if self._heard_bytes > self._max_bytes:
            self.end()

    def hasten(self) -> None:
        """The process is about to end."""
        if self._timer is not None:
            self._timer.cancel()
            self._ends_at = min(self._ends_at, self._loop.time() + _HASTY_S)
            self._wait()

    def end(self) -> None:
        """Cut the connection."""
        self.stop()
        if self._transport is not None:
            self._transport.abort()

    def stop(self) -> None:
        """The connection has ended."""
        self._others.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        left_s = min(self._ends_at, self._heard_at + _IDLE_S) - self._loop.time()
        self._timer = self._loop.call_later(max(left_s, 0.0), self._look)

    def _look(self) -> None:
        if self._loop.time() >= min(self._ends_at, self._heard_at + _IDLE_S) - 0.001:
            self.end()
        else:
            self._wait()
