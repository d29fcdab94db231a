"""Long lists as JSON, written as they are read: whole and at once when they are short, else at the pace of the client.

A reader that is slow holds one page of ours, in the buffer of its connection, and no connection to the database.
"""

from collections.abc import AsyncGenerator, Mapping

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.presenters import content_head, media_texts
from app.core.storage import StorageManager
from app.repositories.content_reader import ContentRecord
from app.services.content_media import MediaRun
from app.services.content_service import ContentPage

Chunks = AsyncGenerator[bytes, None]

_JSON = "application/json"


def media_list_reply(run: MediaRun, storage: StorageManager, headers: Mapping[str, str] | None = None) -> Response:
    """The media of `run` as a list."""
    return _reply(b"[", run, b"]", storage, headers)


def content_reply(
    content: ContentRecord, run: MediaRun, storage: StorageManager, headers: Mapping[str, str] | None = None
) -> Response:
    """One content with the media of `run`, as `ContentWithMedia` describes it."""
    return _reply(content_head(content), run, b"]}", storage, headers)


def content_list_reply(found: ContentPage, tail: Mapping[str, int], storage: StorageManager) -> Response:
    """A page of contents, as `ContentList` describes it; tail: the numbers behind its items."""
    end = b"]" + b"".join(f',"{name}":{value}'.encode() for name, value in tail.items()) + b"}"
    if found.items is None:
        return JsonStream(_contents(found, end, storage), media_type=_JSON)
    items = (content_head(content) + media_texts(media, storage) + b"]}" for content, media in found.items)
    return Response(b'{"items":[' + b",".join(items) + end, media_type=_JSON)


class JsonStream(StreamingResponse):
    """Sends chunks as the client takes them; to HEAD it sends none and reads none."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            # A Response of its own would say that GET has a body of no bytes; how many it has nobody knows.
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b""})
        else:
            await super().__call__(scope, receive, send)


def _reply(
    head: bytes, run: MediaRun, end: bytes, storage: StorageManager, headers: Mapping[str, str] | None
) -> Response:
    if run.rest is None:
        return Response(head + media_texts(run.first, storage) + end, headers=headers, media_type=_JSON)
    return JsonStream(_whole(head, run, end, storage), headers=headers, media_type=_JSON)


async def _whole(head: bytes, run: MediaRun, end: bytes, storage: StorageManager) -> Chunks:
    async for chunk in _media(head, run, storage):
        yield chunk
    yield end


async def _media(head: bytes, run: MediaRun, storage: StorageManager) -> Chunks:
    has_items = False
    text = media_texts(run.first, storage)
    yield head + text
    has_items = bool(text)
    if run.rest is None:
        return
    # An empty chunk is sent when the one before it has left our memory: only then is the next page read.
    yield b""
    async for media in run.rest:
        text = media_texts(media, storage)
        if text:
            yield b"," + text if has_items else text
            yield b""
            has_items = True


async def _contents(found: ContentPage, end: bytes, storage: StorageManager) -> Chunks:
    assert found.rest is not None
    before = b'{"items":['
    async for content, run in found.rest:
        async for chunk in _media(before + content_head(content), run, storage):
            yield chunk
        yield b"]}"
        yield b""
        before = b","
    yield (before if before != b"," else b"") + end
