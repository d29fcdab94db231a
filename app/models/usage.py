"""Table `user_usage`: what each user has stored, kept by the transactions that add and remove media."""

import uuid

from sqlalchemy import BigInteger, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class UserUsage(Base):
    """One row per user. Summing up `media` for each upload would cost more with every file a user has."""

    __tablename__ = "user_usage"

    user_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    file_count: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    stored_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
