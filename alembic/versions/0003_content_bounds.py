"""Who may upload to a content, how many media it may have, and the index that its media are read by, page by page.

Revision 0003, after 0002. The indexes are built while others read and write (CREATE INDEX CONCURRENTLY), so each is a
transaction of its own; what comes before them locks `content` for an instant and `media` not at all.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Volatile, so that its queries see what was committed while it waited for the lock: that makes the limit exact. The
# names of the constraints are the reasons that app/repositories/upload_ledger.py knows.
_FUNCTION = """
CREATE OR REPLACE FUNCTION place_in_content(wanted uuid, uploader uuid, most bigint) RETURNS uuid
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    who text;
    creator uuid;
BEGIN
    SELECT attach, created_by INTO who, creator FROM content WHERE id = wanted FOR NO KEY UPDATE;
    IF who = 'creator' AND creator <> uploader THEN
        RAISE EXCEPTION 'uploads are for the creator' USING ERRCODE = 'check_violation', CONSTRAINT = 'content_closed';
    END IF;
    IF (SELECT count(*) FROM (SELECT FROM media WHERE content_id = wanted LIMIT most) AS first_ones) >= most THEN
        RAISE EXCEPTION 'the content is full' USING ERRCODE = 'check_violation', CONSTRAINT = 'content_full';
    END IF;
    RETURN wanted;
END
$$
"""
_INDEXES = {
    "idx_media_content_created": ("media", ["content_id", "created_at", "id"], "content_id IS NOT NULL"),
    "idx_content_created_by": ("content", ["created_by"], None),
}


def upgrade() -> None:
    # Each may be there already: an interrupted run has committed what comes before the indexes.
    op.execute("ALTER TABLE content ADD COLUMN IF NOT EXISTS attach varchar(10) DEFAULT 'anyone' NOT NULL")
    op.execute(_FUNCTION)
    with op.get_context().autocommit_block():
        for name, (table, columns, condition) in _INDEXES.items():
            # What was interrupted leaves an index that is not valid.
            op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
            where = sa.text(condition) if condition else None
            op.create_index(name, table, columns, postgresql_concurrently=True, postgresql_where=where)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name, (table, _, _) in _INDEXES.items():
            op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
    op.execute("DROP FUNCTION IF EXISTS place_in_content(uuid, uuid, bigint)")
    op.execute("ALTER TABLE content DROP COLUMN IF EXISTS attach")
