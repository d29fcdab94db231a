"""Lets the pages of other origins call the API: Cross-Origin Resource Sharing (Fetch Standard, section 3.2).

Starlette's own forgets that an answer which is cached without an Origin is no use to a page that sends one, and it
knows only headers that were listed beforehand, which shuts out every uploader and tracer that adds one.
"""

import re
from collections.abc import Collection
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.http_answers import Refusal, error_body

_METHODS: Final = "GET, HEAD, POST, PUT, DELETE"
_UNDERSTOOD: Final = (
    "Accept", "Accept-Language", "Authorization", "Baggage", "Cache-Control", "Content-Digest", "Content-Language",
    "Content-Type", "Idempotency-Key", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range",
    "If-Unmodified-Since", "Pragma", "Range", "Repr-Digest", "Sentry-Trace", "Traceparent", "Tracestate",
    "X-Request-ID", "X-Requested-With",
)  # fmt: skip
EXPOSED: Final = (
    "Accept-Ranges, Allow, Content-Disposition, Content-Length, Content-Range, ETag, Idempotent-Replayed, "
    "Last-Modified, Link, Location, Repr-Digest, Retry-After, WWW-Authenticate, X-Request-ID"
)
_PREFLIGHT_S: Final = 600

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
# With these a proxy tells the service who asks and what to send: no page has a reason to.
_OF_PROXIES = re.compile(r"forwarded|x-forwarded-.*|x-real-ip|x-accel-.*|x-sendfile.*|x-original-.*|x-rewrite-.*")

Fields = list[tuple[bytes, bytes]]


class CorsMiddleware:
    """No cookies, so no credentials: a page has to know a token, and with it may send what any program may send.

    What a page asks to send is therefore granted by kind and not by name: uploaders, tracers and monitors add headers
    of their own (`X-Requested-With`, `traceparent`, `x-datadog-…`), and nobody here reads them.
    """

    def __init__(self, app: ASGIApp, *, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origin.encode("latin-1", "replace") for origin in origins)
        self._for_all = "*" in origins
        # Said with and without an Origin: a cache has one answer for both when it depends on it, and two otherwise.
        self._vary: Fields = [] if self._for_all else [(b"vary", b"Origin")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = _value_of(scope, b"origin")
        if origin is not None and scope["method"] == "OPTIONS":
            method = _value_of(scope, b"access-control-request-method")
            if method is not None:
                await self._preflight(scope, origin, method)(scope, receive, send)
                return
        added = [*self._vary, *self._allowed(origin)]

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        await self._app(scope, receive, send_with_cors)

    def _allowed(self, origin: bytes | None) -> Fields:
        if self._for_all:
            allowed = b"*"
        elif origin is not None and origin in self._origins:
            allowed = origin
        else:
            return []
        return [(b"access-control-allow-origin", allowed), (b"access-control-expose-headers", EXPOSED.encode())]

    def _preflight(self, scope: Scope, origin: bytes, method: bytes) -> Response:
        asked = [name.strip().lower() for name in _list_of(scope, b"access-control-request-headers") if name.strip()]
        depends_on = ["Access-Control-Request-Method", "Access-Control-Request-Headers"]
        headers = {"Vary": ", ".join(depends_on if self._for_all else ["Origin", *depends_on])}
        if not self._allowed(origin):
            return _refused("This origin may not call the API from a page.", headers)
        headers["Access-Control-Allow-Origin"] = "*" if self._for_all else origin.decode("latin-1")
        if method.decode("latin-1") not in _METHODS.split(", "):
            return _refused(f"Pages may use {_METHODS}.", headers)
        if not all(_TOKEN.fullmatch(name) and not _OF_PROXIES.fullmatch(name) for name in asked):
            return _refused("Pages may not send one of these headers.", headers)
        known = {name.lower() for name in _UNDERSTOOD}
        others = dict.fromkeys(name for name in asked if name not in known)
        headers |= {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": ", ".join([*_UNDERSTOOD, *others]),
            "Access-Control-Max-Age": str(_PREFLIGHT_S),
        }
        return Response("OK", headers=headers, media_type="text/plain")


def _refused(detail: str, headers: dict[str, str]) -> Response:
    body = error_body(Refusal(400, "cors_refused", detail))
    return Response(body, 400, headers, media_type="application/json")


def _value_of(scope: Scope, wanted: bytes) -> bytes | None:
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return None


def _list_of(scope: Scope, wanted: bytes) -> list[str]:
    lines = [value for name, value in scope["headers"] if name == wanted]
    return b",".join(lines).decode("latin-1").split(",")
