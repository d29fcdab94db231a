"""Answers that are written before there is an application to ask: the head and JSON body of a refusal, as bytes.

Knows no server and no framework.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from app.core.request_ids import HEADER as REQUEST_ID


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a connection is told before it is closed. `detail` is safe to show; `code` is stable."""

    status: int
    code: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)


MALFORMED_REQUEST = Refusal(400, "malformed_request", "The request is not valid HTTP/1.1.")
HEADER_TIMED_OUT = Refusal(408, "request_timeout", "The request header arrived too slowly.")
BODY_TIMED_OUT = Refusal(408, "request_timeout", "The request body arrived too slowly.")
URI_TOO_LONG = Refusal(414, "uri_too_long", "The request target is too long.")
HEADER_TOO_LARGE = Refusal(431, "header_too_large", "The request header is too large.")
TOO_MANY_CONNECTIONS = Refusal(
    503, "service_busy", "The service is at its limit of connections; try again shortly.", {"Retry-After": "2"}
)


def error_body(refusal: Refusal) -> bytes:
    """The JSON body every error of the service has: `detail` and `code`."""
    return json.dumps({"detail": refusal.detail, "code": refusal.code}).encode()


def error_headers(refusal: Refusal, *, body_bytes: int, request_id: str) -> list[tuple[bytes, bytes]]:
    """The header fields of that answer, in lower case; it is never cached and the connection ends with it."""
    return [
        (b"content-type", b"application/json"),
        (b"content-length", str(body_bytes).encode()),
        (REQUEST_ID, request_id.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"connection", b"close"),
        *((name.lower().encode(), value.encode()) for name, value in refusal.headers.items()),
    ]


def render(refusal: Refusal, *, default_headers: Iterable[tuple[bytes, bytes]], request_id: str) -> bytes:
    """The whole HTTP/1.1 response (RFC 9112 section 4). `default_headers` are the server's own, such as Date."""
    body = error_body(refusal)
    headers = error_headers(refusal, body_bytes=len(body), request_id=request_id)
    phrase = HTTPStatus(refusal.status).phrase
    lines = [f"HTTP/1.1 {refusal.status} {phrase}".encode()]
    lines += [name + b": " + value for name, value in (*default_headers, *headers)]
    return b"\r\n".join([*lines, b"", body])
