"""How an answer ends: without a body for HEAD, and with its connection when it comes before the end of its request.

The server then closes only its own side, so that a client that is still sending can read the answer
(app/server/lingering.py).
"""

from collections.abc import Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.lifecycle import is_draining

# A declared rest of this size is in the socket's buffer already; the server skips it and keeps the connection.
_SKIPPED_BYTES: Final = 64 * 1024


class EarlyAnswerMiddleware:
    """`Connection: close` on early answers; while the process drains, every answer is a connection's last.

    Inside of what counts bytes, so that the body that HEAD does not get is not counted.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.get("state", {})
        has_ended, is_head = _may_skip(scope["headers"]), scope["method"] == "HEAD"

        async def receive_watched() -> Message:
            nonlocal has_ended
            message = await receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                has_ended = True
            return message

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start" and (not has_ended or is_draining(state)):
                others = [field for field in message.get("headers", ()) if field[0].lower() != b"connection"]
                message = {**message, "headers": [*others, (b"connection", b"close")]}
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, receive_watched, send_last)


def _may_skip(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the whole body, if there is one, is little enough to be skipped.

    A client that waits for `100 Continue` may have sent nothing of it yet, and would have to send it all now.
    """
    has_body = expects_100 = is_long = False
    for name, value in headers:
        if name == b"content-length":
            has_body = value != b"0"
            is_long = not value.isdigit() or int(value) > _SKIPPED_BYTES
        elif name == b"transfer-encoding":
            has_body = is_long = True
        elif name == b"expect":
            expects_100 = value.lower() == b"100-continue"
    return not has_body or not (is_long or expects_100)
