"""Gets an answer to a client that is still sending its body: answer, drain a little, close (RFC 9112 section 9.6).

Closing at once makes the kernel send a reset, and many clients then report a broken connection instead of our 401.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.lifecycle import is_draining
from app.core.media_types import MIB

MAX_DRAINED_BYTES: Final = MIB
MAX_DRAIN_S: Final = 2.0

# A declared rest of this size is in the socket's buffer already; the server skips it and keeps the connection.
_SKIPPED_BYTES: Final = 64 * 1024


class EarlyAnswerMiddleware:
    """Closes the connection after an answer that comes before the body's end, once the client could read it.

    A client that waits for `100 Continue` and never got it has sent nothing: there is nothing to drain, and asking
    for the body now would send the 100 it must not get. While the process drains, every answer is a connection's last.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        await self._app(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer: what of the body was read, and what of the answer is held back."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._state = scope.get("state", {})
        headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
        self._waits_for_100 = any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)
        self._body_ended = not _has_body(headers)
        self._may_skip_rest = not self._waits_for_100 and _declared_bytes(headers) <= _SKIPPED_BYTES
        self._held_start: Message | None = None
        self._is_early = False

    async def receive(self) -> Message:
        # Asking for the body is what makes the server send the 100.
        self._waits_for_100 = False
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._body_ended = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._send_start(message)
        elif message["type"] == "http.response.body":
            await self._send_body(message)
        else:
            await self._send(message)

    async def _send_start(self, start: Message) -> None:
        self._is_early = not self._body_ended and not self._may_skip_rest
        if self._is_early or is_draining(self._state):
            others = [field for field in start.get("headers", ()) if field[0].lower() != b"connection"]
            start = {**start, "headers": [*others, (b"connection", b"close")]}
        if self._is_early and not _has_framing(start):
            # Without a length the client waits for the end of a chunked answer, and that end waits for the drain: so
            # these headers wait for the body, which most often comes in one piece and then gives them a length.
            self._held_start = start
        else:
            await self._send(start)

    async def _send_body(self, message: Message) -> None:
        body, is_last = message.get("body", b""), not message.get("more_body", False)
        if self._held_start is not None:
            start, self._held_start = self._held_start, None
            if is_last and body:
                start["headers"].append((b"content-length", str(len(body)).encode()))
            await self._send(start)
        if not is_last or not self._is_early:
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        if not self._body_ended and not self._waits_for_100:
            await self._drain()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drain(self) -> None:
        drained_bytes = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MAX_DRAIN_S):
                while drained_bytes < MAX_DRAINED_BYTES and not self._body_ended:
                    message = await self.receive()
                    drained_bytes += len(message.get("body", b""))


def _has_framing(start: Message) -> bool:
    return any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in start["headers"])


def _has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)


def _declared_bytes(headers: Iterable[tuple[bytes, bytes]]) -> float:
    lengths = [int(value) for name, value in headers if name == b"content-length" and value.isdigit()]
    return lengths[0] if len(lengths) == 1 else float("inf")
