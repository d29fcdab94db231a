"""Entity tags of what is answered as JSON: each changes with every change of the answer (RFC 9110 section 8.8.3)."""

import uuid
from datetime import datetime

from app.models import Content, Media
from app.repositories.content_repository import ContentVersion
from app.repositories.media_reader import MediaRecord


def media_tag(media: Media | MediaRecord) -> str:
    """Of one media. Its content is told apart because it goes without an update when that content is deleted."""
    tag = _tag(media.id, media.updated_at)
    return f'"{tag}"' if media.content_id is None else f'"{tag}-{media.content_id.hex[:12]}"'


def content_tag(content_id: uuid.UUID, version: ContentVersion) -> str:
    """Of one content with its media."""
    return f'"{_tag(content_id, version.updated_at)}-{version.media_count:x}-{version.media_mark:x}"'


def new_content_tag(content: Content) -> str:
    """Of a content that has no media yet."""
    return content_tag(content.id, ContentVersion(content.updated_at, media_count=0, media_mark=0))


def _tag(resource_id: uuid.UUID, updated_at: datetime) -> str:
    return f"{resource_id.hex[:12]}-{int(updated_at.timestamp() * 1_000_000):x}"
