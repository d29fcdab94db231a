"""Measures every request once, for its one log line and for the metrics.

Never a query string, a header or a body: they hold tokens and people's data.
"""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.route_template import route_template
from app.core import metrics
from app.core.logging import get_logger

CLIENT_CLOSED_REQUEST = 499
"""Logged when no answer was begun because the client had gone; nginx made the number common."""

_MAX_LOGGED_CHARS = 512

log = get_logger("http")


class AccessLogMiddleware:
    """`http.request` with method, route, path, status, duration, bytes, client, and what the request's state knows.

    The state may hold `user_id` and `error_code`; the request id is bound to the log context before. The metrics get
    the same measurement, by the route's template.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_at = time.perf_counter()
        bytes_in = bytes_out = 0
        status: int | None = None

        async def receive_counted() -> Message:
            nonlocal bytes_in
            message = await receive()
            bytes_in += len(message.get("body", b""))
            return message

        async def send_counted(message: Message) -> None:
            nonlocal bytes_out, status
            if message["type"] == "http.response.start":
                status = message["status"]
            bytes_out += len(message.get("body", b""))
            await send(message)

        try:
            with metrics.request_in_progress():
                await self._app(scope, receive_counted, send_counted)
        finally:
            duration_s, route = time.perf_counter() - began_at, route_template(scope)
            status = status or CLIENT_CLOSED_REQUEST
            metrics.observe_request(
                method=scope["method"], route=route, status=status, duration_s=duration_s, size_bytes=bytes_out
            )
            if log.isEnabledFor(logging.INFO):
                log.info(
                    "http.request",
                    method=printable(scope["method"]),
                    route=route,
                    path=printable(scope["path"]),
                    status=status,
                    duration_ms=round(duration_s * 1000, 1),
                    bytes_in=bytes_in,
                    bytes_out=bytes_out,
                    client=_client_of(scope),
                    **_facts(scope),
                )


def printable(text: str) -> str:
    """`text` in one line and bounded: whatever would move a terminal's cursor or begin a line is escaped."""
    if len(text) <= _MAX_LOGGED_CHARS and text.isprintable():
        return text
    shown = text[:_MAX_LOGGED_CHARS]
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return escaped + ("…" if len(text) > _MAX_LOGGED_CHARS else "")


def _client_of(scope: Scope) -> str | None:
    # Behind a trusted proxy the address comes from X-Forwarded-For, so it is text of the outside as well.
    client = scope.get("client")
    return printable(str(client[0])) if client else None


def _facts(scope: Scope) -> dict[str, str]:
    state = scope.get("state", {})
    return {name: printable(str(state[name])) for name in ("user_id", "error_code") if state.get(name)}
