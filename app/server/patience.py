"""How long one connection may keep us waiting: for a head, for a body, for its reader. Knows asyncio and no server."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.core.config import Settings

_LINGER_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may take, in seconds; `max_connections` per server process.

    linger_bytes: how much a client may go on sending after the answer that ends its connection.
    """

    header_timeout_s: float
    keep_alive_timeout_s: float
    send_timeout_s: float
    body_idle_timeout_s: float
    body_timeout_s: float
    body_least_bytes_per_s: int
    max_connections: int
    linger_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> "ConnectionLimits":
        return cls(
            header_timeout_s=settings.HEADER_TIMEOUT_S,
            keep_alive_timeout_s=settings.KEEP_ALIVE_TIMEOUT_S,
            send_timeout_s=settings.SEND_TIMEOUT_S,
            # An upload watches its body itself and answers better; this holds for every other body, a little later.
            body_idle_timeout_s=settings.UPLOAD_IDLE_TIMEOUT_S * 1.5,
            body_timeout_s=settings.UPLOAD_TIMEOUT_S * 1.1,
            body_least_bytes_per_s=settings.UPLOAD_MIN_BYTES_PER_S,
            max_connections=settings.MAX_CONNECTIONS,
            # Clients that look for an answer only when they have sent everything, and have misjudged the limit.
            linger_bytes=max(_LINGER_BYTES, 2 * settings.MAX_UPLOAD_SIZE),
        )


class Deadline:
    """Calls `on_late` once, `seconds` after the last `start`, unless stopped before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, on_late: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._on_late = on_late
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        return self._timer is not None

    def start(self) -> None:
        self.stop()
        self._timer = self._loop.call_later(self._seconds, self._late)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        self._on_late()


class BodyWatch:
    """Calls `on_late` when a body makes no progress for `idle_s` although we read, or takes longer than `total_s`.

    It may not trickle either: over each `idle_s` it has to bring the least rate, unless we paused reading meanwhile.
    Noting a chunk costs one assignment; the timer looks at it when it fires, so a fast upload sets no timers.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: ConnectionLimits,
        *,
        is_read_paused: Callable[[], bool],
        received_bytes: Callable[[], int],
        on_late: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._idle_s = limits.body_idle_timeout_s
        self._total_s = limits.body_timeout_s
        self._least_bytes = limits.body_least_bytes_per_s * limits.body_idle_timeout_s
        self._is_read_paused = is_read_paused
        self._received_bytes = received_bytes
        self._on_late = on_late
        self._timer: asyncio.TimerHandle | None = None
        self._began_at = 0.0
        self._heard_at = 0.0
        self._window_began_at = 0.0
        self._window_began_bytes = 0

    @property
    def is_running(self) -> bool:
        return self._timer is not None

    def begin(self) -> None:
        """A head is complete and its body is expected."""
        self.stop()
        self._began_at = self._heard_at = self._loop.time()
        self._open_window(self._began_at)
        self._timer = self._loop.call_later(self._idle_s, self._look)

    def heard(self) -> None:
        """Some bytes have come."""
        self._heard_at = self._loop.time()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        if self._is_read_paused():
            self._heard_at = now  # it is us who do not read
            self._open_window(now)
        elif now - self._window_began_at >= self._idle_s:
            if self._received_bytes() - self._window_began_bytes < self._least_bytes:
                self._on_late()
                return
            self._open_window(now)
        left_s = min(self._heard_at + self._idle_s, self._began_at + self._total_s) - now
        if left_s <= 0:
            self._on_late()
        else:
            self._timer = self._loop.call_later(left_s, self._look)

    def _open_window(self, now: float) -> None:
        self._window_began_at, self._window_began_bytes = now, self._received_bytes()


class WriteWatch:
    """Cuts a connection whose peer takes no byte for `seconds` while bytes wait for it, also while it is closing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, seconds: float) -> None:
        self._loop = loop
        self._transport = transport
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._unsent_bytes = 0
        self._has_progressed = False

    def begin(self) -> None:
        """Watch from now on, if anything is unsent."""
        if self._timer is None and (unsent_bytes := self._transport.get_write_buffer_size()):
            self._unsent_bytes = unsent_bytes
            self._has_progressed = False
            self._timer = self._loop.call_later(self._seconds, self._look)

    def progressed(self) -> None:
        """The peer took enough for the transport to ask for more."""
        self._has_progressed = True

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._has_progressed or self._transport.get_write_buffer_size() < self._unsent_bytes:
            self.begin()
        else:
            self._transport.abort()
