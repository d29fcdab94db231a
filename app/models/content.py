"""Table `content`: the small resource that media belong to."""

import uuid
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Index, String, Text, Uuid, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base

if TYPE_CHECKING:
    from app.models.media import Media


class Content(Base):
    __tablename__ = "content"
    __table_args__ = (Index("idx_content_created", "created_at", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, server_default=text("gen_random_uuid()"))
    title: Mapped[str] = mapped_column(String(500))
    body: Mapped[str] = mapped_column(Text, server_default="")
    created_by: Mapped[uuid.UUID] = mapped_column(Uuid)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.clock_timestamp())

    media: Mapped[list["Media"]] = relationship(
        back_populates="content", lazy="raise", passive_deletes=True, order_by="(Media.created_at, Media.id)"
    )
