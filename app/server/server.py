"""One HTTP server: uvicorn with our way to start and to stop. Imports uvicorn, as `protocol.py` does."""

import asyncio
import math
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

from uvicorn import Server
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

from app.core.config import Settings
from app.core.lifecycle import STATE_KEY, Draining
from app.core.logging import get_logger
from app.server.lingering import LingeringConnections
from app.server.patience import ConnectionLimits
from app.server.protocol import ConnectionConfig, MediaHttpProtocol
from app.server.start_failure import words_of_failure
from app.server.waiting import WaitingConnections

_DRAIN_NOTICE_S: Final = 1.0
_CANCEL_S: Final = 2.0

log = get_logger(__name__)


class MediaConfig(ConnectionConfig):
    """uvicorn's configuration from our settings; carries the limits to every connection's protocol object."""

    def __init__(self, settings: Settings, app: str | Callable[[], object]) -> None:
        super().__init__(
            app,
            factory=True,
            host=settings.HOST,
            port=settings.PORT,
            http=MediaHttpProtocol,
            ws="none",
            lifespan="on",
            log_config=None,  # app/core/logging.py owns the handlers
            access_log=False,  # one line per request comes from our middleware
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=settings.FORWARDED_ALLOW_IPS,
            workers=settings.WORKERS,
        )
        self.limits = ConnectionLimits.of(settings)
        self.lingering = LingeringConnections()
        self.waiting = WaitingConnections()
        self.grace_s = settings.SHUTDOWN_GRACE_S
        self.drain_notice_s = min(_DRAIN_NOTICE_S, settings.SHUTDOWN_GRACE_S / 5)

    def load(self) -> None:
        super().load()
        self.lifespan_class = _PlainLifespan


class _PlainLifespan(LifespanOn):
    """Logs a failed start in words; Starlette gives a traceback, while it handles the error."""

    async def send(self, message: LifespanSendMessage) -> None:
        if message["type"] == "lifespan.startup.failed":
            message["message"] = words_of_failure(message["message"])
        await super().send(message)


class MediaServer(Server):
    """uvicorn's server, which drains before it closes and ends with exit code 0.

    is_viable: asked ten times a second; once it says no, the server drains and ends as after a signal.
    """

    def __init__(self, config: MediaConfig, *, is_viable: Callable[[], bool] = lambda: True) -> None:
        super().__init__(config)
        self.draining = Draining()
        self._is_viable = is_viable
        self._grace_s = config.grace_s - config.drain_notice_s
        self._notice_s = config.drain_notice_s
        self._notice_ends_at = math.inf

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.lifespan.state[STATE_KEY] = self.draining
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal passes both
        # uvicorn would remember the signal and raise it again at the end: the process would count as killed.
        if self.draining.is_draining:
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self.should_exit = True
            return
        self.draining.start()
        # Listeners stay open for a moment: balancers read 503 on /readyz, uploads are told to go elsewhere, and
        # nobody meets a closed port. Who presses Ctrl-C does not wait for that.
        self._notice_ends_at = time.monotonic() + (0.0 if sig == signal.SIGINT else self._notice_s)

    async def on_tick(self, counter: int) -> bool:
        if not self._is_viable() and not self.draining.is_draining:
            self.handle_exit(signal.SIGTERM, None)
        self.should_exit = self.should_exit or time.monotonic() >= self._notice_ends_at
        return await super().on_tick(counter)

    async def _wait_tasks_to_complete(self) -> None:
        try:
            async with asyncio.timeout(self._grace_s):
                await super()._wait_tasks_to_complete()
        except TimeoutError:
            # uvicorn cancels too, but then shuts the application down while the cancelled requests still clean up.
            late = set(self.server_state.tasks)
            log.warning("server.requests_cut_off", count=len(late))
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_CANCEL_S)
            for connection in list(self.server_state.connections):
                connection.transport.abort()
