"""How much one user may store, as the settings say; 0 there is no limit."""

import uuid

from app.core.attach import Attach
from app.core.config import Settings
from app.core.errors import ContentFull, ContentNotFound, PermissionDenied, QuotaExceeded
from app.repositories.upload_ledger import ContentRoom, Quota
from app.repositories.usage_repository import Usage


def quota_of(settings: Settings) -> Quota:
    """What the database holds the last step of an upload to."""
    return Quota(
        files=settings.quota_files or None,
        size_bytes=settings.quota_bytes or None,
        media_per_content=settings.MAX_MEDIA_PER_CONTENT,
    )


def hold_quota(settings: Settings, usage: Usage) -> None:
    """Raises QuotaExceeded when `usage` is more than a user may have."""
    if settings.quota_files and usage.file_count > settings.quota_files:
        raise files_used_up(settings)
    if settings.quota_bytes and usage.stored_bytes > settings.quota_bytes:
        raise bytes_used_up(settings)


def hold_content(settings: Settings, room: ContentRoom | None, user_id: uuid.UUID) -> None:
    """Raises ContentNotFound, PermissionDenied or ContentFull when this user cannot add a media to the content."""
    if room is None:
        raise ContentNotFound
    if room.attach == Attach.CREATOR and room.created_by != user_id:
        raise closed_content()
    if room.media_count >= settings.MAX_MEDIA_PER_CONTENT:
        raise full_content(settings)


def closed_content() -> PermissionDenied:
    """Somebody else's content that only its creator may add to."""
    return PermissionDenied("Only its creator may upload for this content.")


def full_content(settings: Settings) -> ContentFull:
    """One media too many."""
    return ContentFull(limit=settings.MAX_MEDIA_PER_CONTENT)


def files_used_up(settings: Settings) -> QuotaExceeded:
    """One file too many."""
    return QuotaExceeded(f"Your quota of {settings.quota_files} files is used up.")


def bytes_used_up(settings: Settings) -> QuotaExceeded:
    """Some bytes too many."""
    return QuotaExceeded(f"Your quota of {settings.quota_bytes} bytes is used up.")


def contents_used_up(settings: Settings) -> QuotaExceeded:
    """One content too many."""
    return QuotaExceeded(f"Your quota of {settings.quota_contents} contents is used up.")
