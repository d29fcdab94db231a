"""Gives every request an id that is in its answer, in its state and on every log line; nothing else happens here."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.logging import bind_context, clear_context
from app.core.request_ids import HEADER, request_id_of


class RequestIdMiddleware:
    """Takes the client's or the proxy's `X-Request-ID` when it is harmless, makes one otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id
        clear_context()
        bind_context(request_id=request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [field for field in message.get("headers", ()) if field[0].lower() != HEADER]
                message = {**message, "headers": [*others, (HEADER, request_id.encode())]}
            await send(message)

        await self._app(scope, receive, send_with_id)
