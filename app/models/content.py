"""Table `content`: the small resource that media belong to."""

import uuid
from datetime import datetime

from sqlalchemy import Index, String, Text, Uuid, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class Content(Base):
    __tablename__ = "content"
    __table_args__ = (
        Index("idx_content_created", "created_at", "id"),
        Index("idx_content_created_by", "created_by"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, server_default=text("gen_random_uuid()"))
    title: Mapped[str] = mapped_column(String(500))
    body: Mapped[str] = mapped_column(Text, server_default="")
    created_by: Mapped[uuid.UUID] = mapped_column(Uuid)
    attach: Mapped[str] = mapped_column(String(10), server_default="anyone")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.clock_timestamp())
