"""The textbook's table: the founding document's columns with its four indexes."""

import uuid
from datetime import datetime

from sqlalchemy import DateTime, Index, Integer, String, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class TextbookBase(DeclarativeBase):
    """Its own metadata, so that nothing of ours is in it."""


class Media(TextbookBase):
    """One stored file."""

    __tablename__ = "media"
    __table_args__ = (
        Index("idx_media_type_content", "media_type", "content_id"),
        Index("idx_uploaded_by_created", "uploaded_by", "created_at"),
        Index("idx_media_content_id", "content_id"),
        Index("idx_media_url", "url"),
    )

    id: Mapped[uuid.UUID] = mapped_column(
        Uuid, primary_key=True, default=uuid.uuid4, server_default=text("gen_random_uuid()")
    )
    content_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    media_type: Mapped[str] = mapped_column(String(20))
    filename: Mapped[str] = mapped_column(String(500))
    url: Mapped[str] = mapped_column(String(1000))
    storage_path: Mapped[str | None] = mapped_column(String(1000))
    thumbnail_path: Mapped[str | None] = mapped_column(String(1000))
    file_size: Mapped[int | None] = mapped_column(Integer)
    mime_type: Mapped[str | None] = mapped_column(String(100))
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    user_metadata: Mapped[dict[str, object]] = mapped_column(
        "metadata", JSONB, default=dict, server_default=text("'{}'::jsonb")
    )
    uploaded_by: Mapped[uuid.UUID] = mapped_column(Uuid)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
