"""Hands a stored file out: validators, ranges, HEAD and the headers that keep user files harmless in a browser.

Source: RFC 9110 (conditional and range requests), RFC 9530 (Repr-Digest), RFC 6266 and 8187 (names).
"""

import asyncio
import base64
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.core import metrics
from app.core.errors import StoredFileNotFound
from app.core.filenames import content_disposition, with_extension
from app.core.http_conditions import conditions_of
from app.core.http_ranges import ByteRange, http_date, wanted_ranges
from app.core.media_types import by_mime_type, is_known
from app.core.storage import StorageManager
from app.core.storage_backends.base import OpenFile
from app.services.media_service import StoredFile

Disposition = Literal["inline", "attachment"]

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "public, max-age=0, must-revalidate"

_AT_ONCE_BYTES: Final = 512 * 1024
"""Up to here a file goes out in one message; beyond, the client's pace decides how much of it is held in memory."""
_KEPT_HEADERS: Final = 4096
_UNKNOWN: Final = "application/octet-stream"

# A file of a user never gets a script, a form, a frame or a request of its own, whatever it turns out to be.
_POLICY = "default-src 'none'; sandbox"
_SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; sandbox"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a file is handed out: shown or saved, and how long caches may keep it."""

    disposition: Disposition
    cache_control: str
    accel_redirect_prefix: str | None = None


async def file_response(request: Request, file: StoredFile, storage: StorageManager, delivery: Delivery) -> Response:
    """The answer to a GET or HEAD for `file`: 200, 206 or 304.

    Raises PreconditionFailed, StoredFileNotFound when the bytes are gone, and RangeNotSatisfiable; all before anything
    is sent.
    """
    headers = _headers(file, delivery)
    asked, conditions = request.headers, conditions_of(request.scope["headers"])
    if conditions:
        last_modified = file.last_modified
        if last_modified is None and conditions.needs_date:
            last_modified = (await storage.stat(file.key)).modified_at
        if conditions.is_not_modified(file.etag, last_modified):
            return Response(status_code=304, headers=_without(headers, "Content-Type", "Content-Disposition"))
    if request.method == "HEAD" or delivery.accel_redirect_prefix is not None:
        found = await storage.stat(file.key)
        dated = _dated(headers, file.last_modified or found.modified_at)
        if delivery.accel_redirect_prefix is None:
            return Response(headers=dated | {"Content-Length": str(found.size_bytes)})
        if request.method == "GET":
            metrics.download_sent(found.size_bytes, by_proxy=True)
        # The proxy reads the file and answers ranges itself; an empty body tells it to.
        return Response(headers=dated | {"X-Accel-Redirect": delivery.accel_redirect_prefix + quote(file.key)})
    opened = await storage.open_file(file.key)
    try:
        last_modified = file.last_modified or opened.modified_at
        ranges = wanted_ranges(
            range_header=asked.get("range"),
            if_range=asked.get("if-range"),
            etag=file.etag,
            last_modified=last_modified,
            size_bytes=opened.size_bytes,
        )
        can_send_paths = "http.response.pathsend" in request.scope.get("extensions", {})
        path = storage.local_path(file.key) if can_send_paths else None
        return _reply(opened, _dated(headers, last_modified), ranges, path)
    except BaseException:
        opened.close()
        raise


def _reply(
    opened: OpenFile, headers: Mapping[str, str], ranges: list[ByteRange] | None, whole_path: Path | None
) -> "FileReply":
    size_bytes = opened.size_bytes
    if ranges is None:
        whole = [_Part(b"", ByteRange(0, size_bytes))] if size_bytes else []
        return FileReply(status_code=200, headers=headers, file=opened, parts=whole, whole_path=whole_path)
    if len(ranges) == 1:
        partial = {**headers, "Content-Range": ranges[0].content_range(size_bytes)}
        return FileReply(status_code=206, headers=partial, file=opened, parts=[_Part(b"", ranges[0])])
    boundary = secrets.token_hex(16)
    parts = [_Part(_part_header(boundary, headers["Content-Type"], part, size_bytes), part) for part in ranges]
    several = {**headers, "Content-Type": f"multipart/byteranges; boundary={boundary}"}
    trailer = f"\r\n--{boundary}--\r\n".encode()
    return FileReply(status_code=206, headers=several, file=opened, parts=parts, trailer=trailer)


def _part_header(boundary: str, content_type: str, part: ByteRange, size_bytes: int) -> bytes:
    return (
        f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {part.content_range(size_bytes)}\r\n\r\n"
    ).encode("latin-1")


@dataclass(frozen=True, slots=True)
class _Part:
    header: bytes
    range: ByteRange

    @property
    def size_bytes(self) -> int:
        return len(self.header) + self.range.length


class FileReply(Response):
    """Sends parts of one opened file, and closes it."""

    def __init__(
        self,
        *,
        status_code: int,
        headers: Mapping[str, str],
        file: OpenFile,
        parts: list[_Part],
        trailer: bytes = b"",
        whole_path: Path | None = None,
    ) -> None:
        """whole_path: where the server finds the whole file, when that is all that is sent and it can do so itself."""
        self._length = sum(part.size_bytes for part in parts) + len(trailer)
        super().__init__(status_code=status_code, headers={**headers, "Content-Length": str(self._length)})
        self._file = file
        self._parts = parts
        self._trailer = trailer
        self._whole_path = whole_path
        self._sent_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if self._whole_path is not None:
                await send({"type": "http.response.pathsend", "path": str(self._whole_path)})
                self._sent_bytes = self._length
            elif (body := self._at_once()) is not None:
                await send({"type": "http.response.body", "body": body, "more_body": False})
                self._sent_bytes = self._length
            else:
                await self._send_chunks(scope, receive, send)
        finally:
            self._file.close()
            metrics.download_sent(self._sent_bytes)

    async def _send_chunks(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The server takes what is sent to a client that has left without a word.
        leaving = asyncio.create_task(_client_left(receive))
        begun_bytes = 0
        try:
            async with aclosing(self._chunks()) as chunks:
                async for chunk in chunks:
                    # The server waits until what it was given before has gone out, all but a little.
                    has_more = begun_bytes + len(chunk) < self._length
                    await send({"type": "http.response.body", "body": chunk, "more_body": has_more})
                    # Sending to nobody never waits: without this turn of the loop nobody would learn of it.
                    await asyncio.sleep(0)
                    if leaving.done() and has_more:
                        scope.setdefault("state", {})["error_code"] = "client_disconnected"
                        return
                    self._sent_bytes, begun_bytes = begun_bytes, begun_bytes + len(chunk)
                self._sent_bytes = begun_bytes
        finally:
            leaving.cancel()

    def _at_once(self) -> bytes | memoryview | None:
        """All of it, when that is little and in memory already: one message, and no thread to wait for."""
        if not self._length:
            return b""
        if len(self._parts) != 1 or self._trailer or self._length > _AT_ONCE_BYTES:
            return None
        part = self._parts[0].range
        found = self._file.read_now(start=part.start, length=part.length)
        return found if found is not None and len(found) == part.length else None

    async def _chunks(self) -> AsyncGenerator[bytes | memoryview, None]:
        for part in self._parts:
            if part.header:
                yield part.header
            left = part.range.length
            async with aclosing(self._file.read(start=part.range.start, length=part.range.length)) as chunks:
                async for chunk in chunks:
                    left -= len(chunk)
                    yield chunk
            if left:
                raise StoredFileNotFound  # the file is shorter than it was a moment ago: cut the connection
        if self._trailer:
            yield self._trailer


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass  # a GET may have a body, which nobody asked for


@lru_cache(maxsize=_KEPT_HEADERS)
def _headers(file: StoredFile, delivery: Delivery) -> Mapping[str, str]:
    mime_type, filename = _UNKNOWN, file.filename
    shown: Disposition = "attachment"
    if is_known(file.mime_type):  # the column may be empty, and by hand anything may be written there
        file_type = by_mime_type(file.mime_type)
        mime_type = f"{file.mime_type}; charset={file.charset}" if file.charset else file.mime_type
        shown = delivery.disposition if file_type.inline else shown
        filename = with_extension(file.filename, file_type.extensions)
    headers = {
        "Content-Type": mime_type,
        "Content-Disposition": content_disposition(shown, filename),
        "Content-Security-Policy": _SVG_POLICY if file.mime_type == "image/svg+xml" else _POLICY,
        "X-Content-Type-Options": "nosniff",
        # Media are public and meant to be embedded by other origins' pages.
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Cache-Control": delivery.cache_control,
        "Accept-Ranges": "bytes",
        "ETag": file.etag,
    }
    if file.last_modified is not None:
        headers["Last-Modified"] = http_date(file.last_modified)
    if file.checksum_sha256 is not None:
        digest = base64.b64encode(bytes.fromhex(file.checksum_sha256)).decode()
        headers["Repr-Digest"] = f"sha-256=:{digest}:"
    return MappingProxyType(headers)


def _dated(headers: Mapping[str, str], last_modified: datetime) -> dict[str, str]:
    return {"Last-Modified": http_date(last_modified), **headers}


def _without(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}
