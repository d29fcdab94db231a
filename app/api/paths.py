"""Paths that only look like one of ours: every resource has one address (RFC 3986 section 6.2.2)."""

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from app.core.errors import StoredFileNotFound


class _LineFeedRoute(BaseRoute):
    """A path that ends in a line feed. The routes behind end in `$`, which takes it for the path without."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.FULL if scope["type"] == "http" and scope["path"].endswith("\n") else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        raise HTTPException(404)


def refuse_line_feeds(app: FastAPI) -> None:
    """404 in front of all routes that `app` has now."""
    app.router.routes.insert(0, _LineFeedRoute())


def require_plain_path(request: Request) -> None:
    """Raises StoredFileNotFound for a path with percent signs: what they stand for is part of no key."""
    if b"%" in request.scope["raw_path"]:
        raise StoredFileNotFound
