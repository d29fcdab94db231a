"""How much one user may store, as the settings say; 0 there is no limit."""

from app.core.config import Settings
from app.core.errors import QuotaExceeded
from app.repositories.upload_ledger import Quota
from app.repositories.usage_repository import Usage


def quota_of(settings: Settings) -> Quota:
    """What the database holds the last step of an upload to."""
    return Quota(files=settings.quota_files or None, size_bytes=settings.quota_bytes or None)


def hold_quota(settings: Settings, usage: Usage) -> None:
    """Raises QuotaExceeded when `usage` is more than a user may have."""
    if settings.quota_files and usage.file_count > settings.quota_files:
        raise files_used_up(settings)
    if settings.quota_bytes and usage.stored_bytes > settings.quota_bytes:
        raise bytes_used_up(settings)


def files_used_up(settings: Settings) -> QuotaExceeded:
    """One file too many."""
    return QuotaExceeded(f"Your quota of {settings.quota_files} files is used up.")


def bytes_used_up(settings: Settings) -> QuotaExceeded:
    """Some bytes too many."""
    return QuotaExceeded(f"Your quota of {settings.quota_bytes} bytes is used up.")
