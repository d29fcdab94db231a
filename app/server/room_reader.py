"""Reads the body of one request out of the socket into memory that the application lends, past the HTTP parser.

Only for bodies of a declared length: what follows the head is the body then and nothing else, so there is nothing to
parse. Reading stops at its last byte; what follows is the parser's again. Knows asyncio and no server.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeAlias

from app.core.uploads.body_room import EXTENSION, BodyRoom

# As ASGI has them; the server has types of its own for the same.
_Receive: TypeAlias = Callable[[], Awaitable[Any]]
_Application: TypeAlias = Callable[[Any, _Receive, Any], Awaitable[None]]

WORTHWHILE_BYTES: Final = 1024 * 1024
"""Smaller bodies are offered no room: copying them is less work than finding some."""
_SPARE_BYTES: Final = 64 * 1024
_HOLD_S: Final = 0.25


class Exchange(Protocol):
    """What a reader needs to know of the request and its answer: uvicorn's cycle."""

    body: bytearray
    more_body: bool
    response_complete: bool
    message_event: asyncio.Event


class Connection(Protocol):
    """What a reader needs of the protocol object that it stands in for."""

    transport: asyncio.Transport

    def pause_reading(self) -> None:
        """Let nothing come until somebody asks for the body again."""

    @property
    def is_deaf(self) -> bool:
        """Whether what still comes in is dropped."""

    def body_left(self) -> int:
        """How many bytes of the body have not come yet."""

    def body_came(self, length: int) -> None:
        """`length` more of them have."""

    def body_ended(self) -> None:
        """Those were the last ones: the connection takes its transport back."""

    def eof_received(self) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class RoomReader(asyncio.BufferedProtocol, BodyRoom):
    """One per request: stands between the application and its cycle, and behind the transport once room was lent.

    A message is due when the room is full, when the body ends, and after a quarter of a second with something in it:
    whoever waits for a slow client has to see that it is still there.
    """

    def __init__(self, connection: Connection, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self.expected_bytes = connection.body_left()
        self._connection = connection
        self._exchange = exchange
        self._loop = loop
        self._room: memoryview | None = None
        self._filled_bytes = 0
        self._spare: memoryview | None = None
        self._is_reading = False
        self._hold: asyncio.TimerHandle | None = None

    # -- the application's side ------------------------------------------------------------------------------------

    def around(self, app: Callable[..., Any]) -> _Application:
        """`app`, which finds us among the extensions of its scope and gets messages that were read into its room."""

        async def with_room(scope: Any, receive: _Receive, send: Any) -> None:
            scope["extensions"] = {EXTENSION: self}

            async def receive_in_room() -> Any:
                self.asked()
                message = await receive()
                if message["type"] == "http.request" and (taken := self.taken()) is not None:
                    message["body"] = taken  # ASGI says bytes; who lends room expects a view of it
                return message

            try:
                await app(scope, receive_in_room, send)
            finally:
                self.forget()

        return with_room

    def lend(self, room: memoryview) -> None:
        if not self._filled_bytes:
            self._room = room if self._exchange.more_body else None

    def asked(self) -> None:
        """The application waits for the next message: what comes from now on may go into its room."""
        exchange, connection = self._exchange, self._connection
        if self._room is None or self._is_reading or exchange.body or not exchange.more_body:
            return
        if exchange.response_complete:  # what is left belongs to nobody, and what follows to another request
            return
        if not (connection.is_deaf or connection.transport.is_closing()):
            self._begin()

    def taken(self) -> memoryview | None:
        """What came into the room, for the message that is on its way now; None when it has other bytes, or none."""
        if self._room is None or not self._filled_bytes:
            return None
        taken = self._room[: self._filled_bytes]
        self._room, self._filled_bytes = None, 0
        return taken

    def forget(self) -> None:
        """The application has ended. The scope refers to us and we to its cycle: only the collector ends the three."""
        self._room, self._filled_bytes = None, 0

    def _begin(self) -> None:
        self._is_reading = True
        self._connection.transport.set_protocol(self)
        self._hold_no_longer()

    # -- the transport's side --------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        left_bytes = self._connection.body_left()
        if self._room is not None and self._fills_room():
            return self._room[self._filled_bytes : self._filled_bytes + left_bytes]
        if self._spare is None:
            self._spare = memoryview(bytearray(_SPARE_BYTES))
        return self._spare[:left_bytes]

    def buffer_updated(self, nbytes: int) -> None:
        connection, exchange = self._connection, self._exchange
        fills_room = self._fills_room()
        connection.body_came(nbytes)
        is_last = not connection.body_left()
        if self._room is not None and fills_room:
            self._filled_bytes += nbytes
            if is_last:
                exchange.message_event.set()
            elif self._filled_bytes == len(self._room):
                connection.pause_reading()
                exchange.message_event.set()
        elif self._spare is not None and not (connection.is_deaf or exchange.response_complete):
            # Somebody asks for the body and lends no room, as who drains it after an early answer.
            exchange.body += self._spare[:nbytes]
            if len(exchange.body) > _SPARE_BYTES:
                connection.pause_reading()
            exchange.message_event.set()
        if is_last:
            self._stop_holding()
            connection.body_ended()

    def eof_received(self) -> None:
        self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_holding()
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def _fills_room(self) -> bool:
        # Not while earlier bytes wait to be fetched: they come first.
        return (
            self._room is not None
            and self._filled_bytes < len(self._room)
            and not self._exchange.body
            and not self._exchange.response_complete
            and not self._connection.is_deaf
        )

    # -- slow clients ----------------------------------------------------------------------------------------------

    def _hold_no_longer(self) -> None:
        if self._filled_bytes:
            self._exchange.message_event.set()
        self._hold = self._loop.call_later(_HOLD_S, self._hold_no_longer)

    def _stop_holding(self) -> None:
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None
