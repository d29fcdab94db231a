"""The database tells each update and delete of a media on channel `media_changed`, whoever made it.

Revision 0002, after 0001. One notice per media; many at once are one notice `*`. Inserts tell nothing: nobody can have
kept what was not there.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Told by the statement and not by the row, so that a DELETE of a million rows does not fill the queue of notices.
_FUNCTION = """
CREATE FUNCTION tell_media_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM (SELECT FROM changed LIMIT 65) AS first_ones) > 64 THEN
        PERFORM pg_notify('media_changed', '*');
    ELSE
        PERFORM pg_notify('media_changed', id::text) FROM changed;
    END IF;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.execute(_FUNCTION)
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER tell_{event.lower()}_of_media AFTER {event} ON media REFERENCING OLD TABLE AS changed "
            "FOR EACH STATEMENT EXECUTE FUNCTION tell_media_changed()"
        )


def downgrade() -> None:
    for event in ("update", "delete"):
        op.execute(f"DROP TRIGGER tell_{event}_of_media ON media")
    op.execute("DROP FUNCTION tell_media_changed()")
