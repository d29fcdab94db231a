"""Rows as clients see them: the one place where keys become URLs and columns become fields.

Documents go straight into JSON. The response models of `app/schemas` describe them for OpenAPI, and a test holds each
answer against its model; validating every answer on its way out would cost more than the rest of a read.
"""

import uuid
from collections.abc import Mapping, Sequence

import orjson
from starlette.responses import Response

from app.core.json_safety import RawJson, is_readable
from app.core.logging import get_logger
from app.core.storage import StorageManager
from app.models import Content, Media
from app.repositories.content_reader import ContentRecord
from app.repositories.media_reader import MediaRecord
from app.services.media_lists import MediaPage
from app.services.media_service import page_count

Document = dict[str, object]

log = get_logger(__name__)


class JsonReply(Response):
    """A document as JSON, times in RFC 3339 with `Z`."""

    media_type = "application/json"

    def __init__(
        self, document: Document | list[Document], status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(_as_json(document), status_code, headers)


# The driver's UUIDs are a subclass, which the serialiser does not take: they become text here.


def media_document(media: Media | MediaRecord, storage: StorageManager) -> Document:
    """One media, as `MediaResponse` describes it. `storage_path` stays inside."""
    return {
        "id": str(media.id),
        "content_id": None if media.content_id is None else str(media.content_id),
        "media_type": media.media_type,
        "filename": media.filename,
        "url": storage.absolute(media.url),
        "thumbnail_url": storage.url_of(media.thumbnail_path) if media.thumbnail_path else None,
        "poster_url": storage.url_of(media.poster_path) if media.poster_path else None,
        "file_size": media.file_size,
        "mime_type": media.mime_type,
        "width": media.width,
        "height": media.height,
        "duration": media.duration,
        "metadata": _object(media.id, "metadata", media.user_metadata),
        "properties": _object(media.id, "properties", media.properties),
        "checksum_sha256": media.checksum_sha256,
        "uploaded_by": str(media.uploaded_by),
        "created_at": media.created_at,
        "updated_at": media.updated_at,
    }


def media_json(media: MediaRecord, storage: StorageManager) -> bytes:
    """The same as it stands in a list; empty when the row cannot be shown, which the log knows then."""
    try:
        return _as_json(media_document(media, storage))
    except (TypeError, ValueError, OverflowError):
        log.exception("media.not_shown", media_id=str(media.id))
        return b""


def page_document(found: MediaPage, *, page: int, page_size: int) -> Document:
    """A page of media, as `MediaList` describes it."""
    total = found.total.count
    return {
        "items": [orjson.Fragment(text) for text in found.items],
        "total": total,
        "total_is_estimate": found.total.is_estimate,
        "page": page,
        "page_size": page_size,
        "pages": None if total is None else page_count(total, page_size),
        "next_cursor": found.next_cursor.encode() if found.next_cursor else None,
    }


def content_head(content: Content | ContentRecord) -> bytes:
    """The JSON of a content up to its media, as `ContentWithMedia` describes it; they and `]}` follow."""
    document: Document = {
        "id": str(content.id),
        "title": content.title,
        "body": content.body,
        "attach": content.attach,
        "created_by": str(content.created_by),
        "created_at": content.created_at,
        "updated_at": content.updated_at,
    }
    if isinstance(content, ContentRecord) and content.media_total is not None:
        document["media_total"] = content.media_total
    return _as_json(document)[:-1] + b',"media":['


def media_texts(found: Sequence[MediaRecord], storage: StorageManager) -> bytes:
    """Several media as they stand in a list, without its brackets; without those that cannot be shown."""
    return b",".join(filter(None, (media_json(media, storage) for media in found)))


def _as_json(document: Document | list[Document]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


def _object(media_id: uuid.UUID, column: str, value: RawJson) -> orjson.Fragment:
    """What a column holds, or nothing where somebody put what clients choke on: it must not cost them the page."""
    if is_readable(value):
        return orjson.Fragment(value.text)
    log.error("media.unreadable_json", media_id=str(media_id), column=column, size_chars=len(value.text))
    return orjson.Fragment("{}")
