"""Listens to one channel of PostgreSQL's NOTIFY, for as long as the service runs, and knows whether it hears.

A connection can be dead without a sign, and a pooler between us and the server may take LISTEN without ever passing a
notice on. So the listener speaks to itself: only who hears an own notice come back is said to hear. It does so often
while somebody relies on it, and rarely otherwise.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from app.core.errors import DatabaseUnavailable
from app.core.logging import get_logger
from app.core.postgres.driver import ConnectionOptions, Listening, connect, listen, say

HEARTBEAT_S: Final = 5.0
"""How long a silent end of the connection can go unnoticed while nobody relies on it."""
PROOF_S: Final = 0.4
"""How old the last proof may be, at most, when somebody relies on it."""
DOUBT_S: Final = 0.4
"""How long a proof may take before nobody should rely on it; together less than a second."""
_RETRY_S: Final = 2.0
_OWN: Final = "own:"

log = get_logger(__name__)


class NoticeListener:
    """One connection of its own. Run `run_forever` as a task and cancel it at the end."""

    def __init__(
        self,
        options: ConnectionOptions,
        channel: str,
        *,
        on_notice: Callable[[str], None],
        on_hearing: Callable[[bool], None],
    ) -> None:
        """on_notice: called with the payload of each notice of others.

        on_hearing: called with True once notices surely arrive, what was said before excepted, and with False as soon
        as that is no longer known.
        """
        self._options = options
        self._channel = channel
        self._on_notice = on_notice
        self._on_hearing = on_hearing
        self._own = _OWN + secrets.token_hex(8)
        self._has_heard_itself = asyncio.Event()
        self._is_wanted = asyncio.Event()
        self._is_hearing = False

    def relied_on(self) -> None:
        """Somebody has just trusted that every change was told: prove it soon. Cheap, for every read from memory."""
        self._is_wanted.set()

    async def run_forever(self) -> None:
        """Connect, listen, and begin anew after every loss."""
        while True:
            try:
                connection = await connect(self._options)
                try:
                    await self._listen(connection)
                finally:
                    self._say_hearing(False)
                    connection.terminate()
            except (DatabaseUnavailable, OSError) as exc:  # TimeoutError is an OSError
                log.warning("notices.lost", channel=self._channel, cause=repr(exc))
            await asyncio.sleep(_RETRY_S)

    async def _listen(self, connection: Listening) -> None:
        ended = asyncio.Event()

        def end(_: object) -> None:
            ended.set()
            self._is_wanted.set()

        connection.add_termination_listener(end)
        await listen(connection, self._channel, self._take)
        while not ended.is_set():
            await self._prove(connection)
            proven_at = time.monotonic()
            self._is_wanted.clear()
            await _wait_for(self._is_wanted, HEARTBEAT_S)
            await _wait_for(ended, proven_at + PROOF_S - time.monotonic())

    async def _prove(self, connection: Listening) -> None:
        """Hear an own notice. Raises OSError (also TimeoutError) when the connection is dead."""
        self._has_heard_itself.clear()
        doubt = asyncio.get_running_loop().call_later(DOUBT_S, self._say_hearing, False)
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                await say(connection, self._channel, self._own)
                await self._has_heard_itself.wait()
        finally:
            doubt.cancel()
        self._say_hearing(True)

    def _say_hearing(self, is_hearing: bool) -> None:
        if is_hearing != self._is_hearing:
            self._is_hearing = is_hearing
            self._on_hearing(is_hearing)

    def _take(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        text = str(payload)
        if text == self._own:
            self._has_heard_itself.set()
        elif not text.startswith(_OWN):
            self._on_notice(text)


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    if seconds > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
