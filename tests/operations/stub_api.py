"""A stand-in for the service behind the proxy: records what arrives and answers as the service would."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

FILE_HEADERS = {
    "Content-Type": "image/png",
    "Content-Disposition": "inline; filename=\"a.png\"; filename*=UTF-8''a.png",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "public, max-age=31536000, immutable",
    "Accept-Ranges": "bytes",
    "ETag": '"0123456789abcdef"',
    "Last-Modified": "Wed, 01 Jul 2026 10:00:00 GMT",
    "Repr-Digest": "sha-256=:AAAA:",
    "X-Request-ID": "request-1",
}


@dataclass(slots=True)
class Recorded:
    """What the stub saw; `arrived` grows while an upload streams in."""

    port: int
    arrived: int = 0
    header: dict[str, str] = field(default_factory=dict)
    path: str = ""


@contextmanager
def running_stub() -> Iterator[Recorded]:
    """The stub on a port of this machine, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    recorded = Recorded(port=listener.getsockname()[1])
    configuration = uvicorn.Config(_application(recorded), log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(configuration)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        yield recorded
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def _application(recorded: Recorded) -> Starlette:
    async def upload(request: Request) -> Response:
        recorded.header, recorded.arrived = dict(request.headers), 0
        if "authorization" not in request.headers:
            return JSONResponse({"code": "unauthenticated"}, 401, headers={"Connection": "close"})
        async for chunk in request.stream():
            recorded.arrived += len(chunk)
        return JSONResponse({"arrived": recorded.arrived}, 201)

    async def file(request: Request) -> Response:
        recorded.header, recorded.path = dict(request.headers), request.url.path
        if "x-direct" in request.headers:
            return Response(b"direct", headers=FILE_HEADERS)
        return Response(headers=FILE_HEADERS | {"X-Accel-Redirect": f"/_media_files/{request.headers['x-stored-as']}"})

    async def anything(request: Request) -> Response:
        recorded.header, recorded.path = dict(request.headers), request.url.path
        if request.url.path == "/too-many":
            return JSONResponse({"code": "service_busy"}, 503, headers={"Retry-After": "2"})
        return JSONResponse({"body": len(await request.body())})

    return Starlette(
        routes=[
            Route("/api/v1/media/upload", upload, methods=["POST"]),
            Route("/api/v1/media/content/{content_id}/upload", upload, methods=["POST"]),
            Route("/api/v1/media/files/{key:path}", file, methods=["GET", "HEAD"]),
            Route("/{rest:path}", anything, methods=["GET", "POST", "PUT"]),
        ]
    )
