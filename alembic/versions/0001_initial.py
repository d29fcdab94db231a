"""Initial schema: content, media with its facts, and the bookkeeping of uploads.

Revision 0001, the first.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    _create_content()
    _create_media()
    _create_media_facts()
    _create_storage_journal()
    _create_idempotency_key()
    _create_user_usage()


def downgrade() -> None:
    op.drop_table("user_usage")
    op.drop_table("idempotency_key")
    op.drop_table("storage_journal")
    op.drop_table("media_text")
    op.drop_table("media_waveform")
    op.drop_table("media")
    op.drop_table("content")


def _id() -> sa.Column[object]:
    return sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False)


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _json_object(name: str) -> sa.Column[object]:
    return sa.Column(name, JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False)


def _create_content() -> None:
    op.create_table(
        "content",
        _id(),
        sa.Column("title", sa.String(500), nullable=False),
        sa.Column("body", sa.Text(), server_default="", nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_content"),
    )
    op.create_index("idx_content_created", "content", ["created_at", "id"])


def _create_media() -> None:
    op.create_table(
        "media",
        _id(),
        sa.Column("content_id", sa.Uuid()),
        sa.Column("media_type", sa.String(20), nullable=False),
        sa.Column("filename", sa.String(500), nullable=False),
        sa.Column("url", sa.String(1000), nullable=False),
        sa.Column("storage_path", sa.String(1000)),
        sa.Column("thumbnail_path", sa.String(1000)),
        sa.Column("poster_path", sa.String(1000)),
        sa.Column("file_size", sa.Integer()),
        sa.Column("mime_type", sa.String(100)),
        sa.Column("width", sa.Integer()),
        sa.Column("height", sa.Integer()),
        sa.Column("duration", sa.Integer()),
        _json_object("metadata"),
        _json_object("properties"),
        sa.Column("checksum_sha256", sa.String(64)),
        sa.Column("uploaded_by", sa.Uuid(), nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_media"),
        sa.ForeignKeyConstraint(
            ["content_id"], ["content.id"], name="fk_media_content_id_content", ondelete="SET NULL"
        ),
    )
    op.create_index("idx_media_type_content", "media", ["media_type", "content_id"])
    op.create_index("idx_uploaded_by_created", "media", ["uploaded_by", "created_at"])
    op.create_index("idx_media_content_id", "media", ["content_id"])
    op.create_index("idx_media_url", "media", ["url"])
    op.create_index("idx_media_created", "media", ["created_at", "id"])
    op.create_index("idx_media_type_created", "media", ["media_type", "created_at", "id"])
    for column in ("storage_path", "thumbnail_path", "poster_path"):
        op.create_index(f"uq_media_{column}", "media", [column], unique=True)


def _create_media_facts() -> None:
    op.create_table(
        "media_waveform",
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("sample_rate", sa.Integer(), nullable=False),
        sa.Column("samples_per_pixel", sa.Integer(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("media_id", name="pk_media_waveform"),
        sa.ForeignKeyConstraint(
            ["media_id"], ["media.id"], name="fk_media_waveform_media_id_media", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "media_text",
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("media_id", name="pk_media_text"),
        sa.ForeignKeyConstraint(["media_id"], ["media.id"], name="fk_media_text_media_id_media", ondelete="CASCADE"),
    )


def _create_storage_journal() -> None:
    op.create_table(
        "storage_journal",
        sa.Column("key", sa.String(1000), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        _moment("created_at"),
        sa.PrimaryKeyConstraint("key", name="pk_storage_journal"),
    )
    op.create_index("idx_storage_journal_created", "storage_journal", ["created_at"])


def _create_idempotency_key() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        _moment("created_at"),
        sa.PrimaryKeyConstraint("user_id", "key", name="pk_idempotency_key"),
        sa.ForeignKeyConstraint(
            ["media_id"], ["media.id"], name="fk_idempotency_key_media_id_media", ondelete="CASCADE"
        ),
    )
    op.create_index("idx_idempotency_key_created", "idempotency_key", ["created_at"])


def _create_user_usage() -> None:
    op.create_table(
        "user_usage",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("file_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_user_usage"),
    )
