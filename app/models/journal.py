"""Table `storage_journal`: keys whose bytes may exist without a row, see docs/reliability.md."""

from datetime import datetime

from sqlalchemy import Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class StorageJournal(Base):
    """One key in flight. `owner` names the process that works on it, so that a dead one's keys are swept at once."""

    __tablename__ = "storage_journal"
    __table_args__ = (Index("idx_storage_journal_created", "created_at"),)

    key: Mapped[str] = mapped_column(String(1000), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
