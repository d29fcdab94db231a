"""Listens to one channel of PostgreSQL's NOTIFY, for as long as the service runs, and knows whether it hears.

A connection can be dead without a sign, and a pooler between us and the server may take LISTEN without ever passing a
notice on. So the listener speaks to itself: only who hears an own notice come back is said to hear.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from app.core.errors import DatabaseUnavailable
from app.core.logging import get_logger
from app.core.postgres.driver import ConnectionOptions, Listening, connect, listen, say

HEARTBEAT_S: Final = 5.0
"""How long a silent end of the connection can go unnoticed, plus the time that one statement may take."""
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

    async def run_forever(self) -> None:
        """Connect, listen, and begin anew after every loss."""
        while True:
            try:
                connection = await connect(self._options)
                try:
                    await self._listen(connection)
                finally:
                    self._on_hearing(False)
                    connection.terminate()
            except (DatabaseUnavailable, OSError) as exc:  # TimeoutError is an OSError
                log.warning("notices.lost", channel=self._channel, cause=repr(exc))
            await asyncio.sleep(_RETRY_S)

    async def _listen(self, connection: Listening) -> None:
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        await listen(connection, self._channel, self._take)
        is_first = True
        while not ended.is_set():
            self._has_heard_itself.clear()
            async with asyncio.timeout(self._options.connect_timeout_s):
                await say(connection, self._channel, self._own)
                await self._has_heard_itself.wait()
            if is_first:
                self._on_hearing(True)
                is_first = False
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await ended.wait()
            except TimeoutError:
                continue

    def _take(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        text = str(payload)
        if text == self._own:
            self._has_heard_itself.set()
        elif not text.startswith(_OWN):
            self._on_notice(text)
