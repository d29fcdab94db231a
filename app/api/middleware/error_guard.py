"""The last net for bugs: whatever escapes becomes our JSON 500 and one traceback in the log.

Errors that were meant are rendered in app/api/errors.py and never come here.
"""

import asyncio

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import ServiceError, ShuttingDown
from app.core.http_answers import Refusal, error_body
from app.core.lifecycle import is_draining
from app.core.logging import get_logger

log = get_logger(__name__)


class ErrorGuardMiddleware:
    """Answers when nothing has been sent yet; otherwise leaves the answer cut short, which closes the connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_started = False

        async def send_watched(message: Message) -> None:
            nonlocal has_started
            has_started = has_started or message["type"] == "http.response.start"
            await send(message)

        async def answer(error: ServiceError) -> None:
            scope.setdefault("state", {})["error_code"] = error.code
            if not has_started:
                await _send_error(error, send)

        try:
            await self._app(scope, receive, send_watched)
        except asyncio.CancelledError:
            # The server cancels what outlasts the grace of a shutdown; its client learns that a retry makes sense.
            if is_draining(scope.get("state", {})):
                await answer(ShuttingDown())
            raise
        except ClientDisconnect:
            scope.setdefault("state", {})["error_code"] = "client_disconnected"
        except Exception:
            # Not raised again: the server would log the same traceback a second time.
            log.exception("request.crashed")
            await answer(ServiceError())


async def _send_error(error: ServiceError, send: Send) -> None:
    body = error_body(Refusal(error.status, error.code, str(error)))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in error.headers.items()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
