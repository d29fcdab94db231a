"""Every table, so that Alembic and the mapper see them all from one import."""

from app.models.base import Base
from app.models.content import Content
from app.models.idempotency import IdempotencyKey
from app.models.journal import StorageJournal
from app.models.media import Media, MediaText, MediaWaveform
from app.models.usage import UserUsage

__all__ = [
    "Base",
    "Content",
    "IdempotencyKey",
    "Media",
    "MediaText",
    "MediaWaveform",
    "StorageJournal",
    "UserUsage",
]
