"""Rows as clients see them: the one place where keys become URLs and columns become fields."""

import uuid
from datetime import datetime

from app.core.media_types import MediaType
from app.core.storage import StorageManager
from app.models import Content, Media
from app.schemas.content import ContentWithMedia
from app.schemas.media import MediaResponse


def media_response(media: Media, storage: StorageManager) -> MediaResponse:
    """One media. `storage_path` stays inside."""
    return MediaResponse(
        id=media.id,
        content_id=media.content_id,
        media_type=MediaType(media.media_type),
        filename=media.filename,
        url=storage.absolute(media.url),
        thumbnail_url=storage.url_of(media.thumbnail_path) if media.thumbnail_path else None,
        poster_url=storage.url_of(media.poster_path) if media.poster_path else None,
        file_size=media.file_size,
        mime_type=media.mime_type,
        width=media.width,
        height=media.height,
        duration=media.duration,
        metadata=media.user_metadata,
        properties=media.properties,
        checksum_sha256=media.checksum_sha256,
        uploaded_by=media.uploaded_by,
        created_at=media.created_at,
        updated_at=media.updated_at,
    )


def content_with_media(content: Content, storage: StorageManager) -> ContentWithMedia:
    """One content with its media."""
    return ContentWithMedia(
        id=content.id,
        title=content.title,
        body=content.body,
        created_by=content.created_by,
        created_at=content.created_at,
        updated_at=content.updated_at,
        media=[media_response(media, storage) for media in content.media],
    )


def entity_tag(resource_id: uuid.UUID, updated_at: datetime) -> str:
    """The validator of a row's JSON: it changes with every update (RFC 9110 section 8.8.3)."""
    return f'"{resource_id.hex[:12]}-{int(updated_at.timestamp() * 1_000_000):x}"'
