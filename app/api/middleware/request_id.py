"""Gives every request an id that is in its answer, in its state and on every log line; nothing else happens here."""

import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.logging import bind_context, clear_context

HEADER = b"x-request-id"

_USABLE = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestIdMiddleware:
    """Takes the client's or the proxy's `X-Request-ID` when it is harmless, makes one otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given_id(scope) or secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id
        clear_context()
        bind_context(request_id=request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [field for field in message.get("headers", ()) if field[0].lower() != HEADER]
                message = {**message, "headers": [*others, (HEADER, request_id.encode())]}
            await send(message)

        await self._app(scope, receive, send_with_id)


def _given_id(scope: Scope) -> str | None:
    values: list[bytes] = [value for name, value in scope["headers"] if name == HEADER]
    return values[0].decode() if len(values) == 1 and _USABLE.fullmatch(values[0]) else None
