"""How much one user may store, as the settings say."""

from app.core.config import Settings
from app.core.errors import QuotaExceeded
from app.repositories.usage_repository import Usage


def hold_quota(settings: Settings, usage: Usage) -> None:
    """Raises QuotaExceeded when `usage` is more than a user may have; 0 in the settings is no limit."""
    if settings.quota_files and usage.file_count > settings.quota_files:
        raise QuotaExceeded(f"Your quota of {settings.quota_files} files is used up.")
    if settings.quota_bytes and usage.stored_bytes > settings.quota_bytes:
        raise QuotaExceeded(f"Your quota of {settings.quota_bytes} bytes is used up.")
