"""Table `media`: one row per stored file, and the tables of facts that hang on it."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, LargeBinary, String, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.json_safety import RawJson
from app.models.base import Base


class Media(Base):
    """The founding document's table, plus what DESIGN section 3 adds. `url` is relative to BASE_URL."""

    __tablename__ = "media"
    __table_args__ = (
        Index("idx_media_type_content", "media_type", "content_id"),
        Index("idx_uploaded_by_created", "uploaded_by", "created_at"),
        Index("idx_media_content_id", "content_id"),
        Index("idx_media_url", "url"),
        # The media of a content, page by page; most media have none.
        Index(
            "idx_media_content_created",
            "content_id",
            "created_at",
            "id",
            postgresql_where=text("content_id IS NOT NULL"),
        ),
        # What lists walk: newest first, with the id as the tie-break that makes the order total.
        Index("idx_media_created", "created_at", "id"),
        Index("idx_media_type_created", "media_type", "created_at", "id"),
        # Ownership look-ups of /files/{key}; unique, because two rows must never share a file.
        Index("uq_media_storage_path", "storage_path", unique=True),
        Index("uq_media_thumbnail_path", "thumbnail_path", unique=True),
        Index("uq_media_poster_path", "poster_path", unique=True),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, server_default=text("gen_random_uuid()"))
    content_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("content.id", ondelete="SET NULL"))
    media_type: Mapped[str] = mapped_column(String(20))
    filename: Mapped[str] = mapped_column(String(500))
    url: Mapped[str] = mapped_column(String(1000))
    storage_path: Mapped[str | None] = mapped_column(String(1000))
    thumbnail_path: Mapped[str | None] = mapped_column(String(1000))
    poster_path: Mapped[str | None] = mapped_column(String(1000))
    file_size: Mapped[int | None] = mapped_column(Integer)
    mime_type: Mapped[str | None] = mapped_column(String(100))
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    duration: Mapped[int | None] = mapped_column(Integer)
    # SQLAlchemy reserves the attribute name `metadata`.
    user_metadata: Mapped[RawJson] = mapped_column("metadata", JSONB, server_default=text("'{}'::jsonb"))
    properties: Mapped[RawJson] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    checksum_sha256: Mapped[str | None] = mapped_column(String(64))
    uploaded_by: Mapped[uuid.UUID] = mapped_column(Uuid)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.clock_timestamp())

    @property
    def stored_keys(self) -> list[str]:
        """Every key whose bytes belong to this row, the file itself first."""
        return [key for key in (self.storage_path, self.thumbnail_path, self.poster_path) if key]

    def forget_picture(self, key: str) -> None:
        """Drop the reference to a thumbnail or poster whose bytes are lost."""
        if self.thumbnail_path == key:
            self.thumbnail_path = None
        if self.poster_path == key:
            self.poster_path = None


class MediaWaveform(Base):
    """Peaks of an audio file: `length` pairs (min, max) of signed bytes, see `processing.contract.Waveform`."""

    __tablename__ = "media_waveform"

    media_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("media.id", ondelete="CASCADE"), primary_key=True)
    sample_rate: Mapped[int] = mapped_column(Integer)
    samples_per_pixel: Mapped[int] = mapped_column(Integer)
    length: Mapped[int] = mapped_column(Integer)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class MediaText(Base):
    """Plain text read out of a document, bounded; kept for search."""

    __tablename__ = "media_text"

    media_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("media.id", ondelete="CASCADE"), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
