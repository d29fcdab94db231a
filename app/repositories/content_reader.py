"""Contents with their media as public traffic reads them: bounded pages, each one statement that walks an index.

A page ends after PAGE_BYTES of text, or after one row that is larger: who reads a content of any size holds that much.
PostgreSQL measures the rows, because their JSON is compressed there and may be a hundred times longer here.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from app.core.media_types import MediaType
from app.core.paging import Cursor
from app.core.postgres.statements import Row, StatementPool
from app.repositories.media_reader import COLUMNS, MediaRecord, record_of

PAGE_BYTES: Final = 256 * 1024
PAGE_ROWS: Final = 200
LISTED_MEDIA: Final = 20
"""So many media of each content a list of contents shows."""
_LIST_BYTES: Final = 512 * 1024

_ORDER: Final = "created_at, id"
_TEXT_BYTES: Final = "octet_length(user_metadata) + octet_length(properties) + octet_length(filename)"
_ROW_BYTES: Final = 800  # what an item takes besides: names of fields, ids, addresses, times
_AS_TEXT: Final = COLUMNS.replace("metadata AS", "metadata::text AS").replace("properties", "properties::text")
_CONTENT: Final = (
    "content.id AS the_id, title, created_by, content.created_at AS made_at, content.updated_at AS changed_at, attach"
)


class ContentRecord(NamedTuple):
    """A row of `content`, read only; `media_total` where a list wanted it."""

    id: uuid.UUID
    title: str
    body: str
    created_by: uuid.UUID
    created_at: datetime
    updated_at: datetime
    attach: str
    media_total: int | None = None


class MediaSpan(NamedTuple):
    """Which media of a content are wanted, oldest first: those after `after`, up to and with `until`."""

    content_id: uuid.UUID
    media_type: MediaType | None = None
    after: Cursor | None = None
    until: Cursor | None = None


class MediaBatch(NamedTuple):
    """Some media in order, and whether the span ends with them."""

    media: Sequence[MediaRecord]
    is_last: bool


class ContentReader:
    def __init__(self, pool: StatementPool) -> None:
        self._pool = pool

    async def media(self, span: MediaSpan, *, rows: int) -> MediaBatch:
        """The first media of `span`: at most `rows` and PAGE_BYTES; idx_media_content_created."""
        values: list[object] = [span.content_id]
        return _batch(await self._pool.fetch(_page(span, "$1", rows, values), *values), rows)

    async def content(self, span: MediaSpan, *, rows: int) -> tuple[ContentRecord, MediaBatch] | None:
        """The content, and the same of its media, in one statement."""
        values: list[object] = [span.content_id]
        page = _page(span, "content.id", rows, values)
        query = (
            f"SELECT page.*, {_CONTENT}, CASE WHEN coalesce(place, 1) = 1 THEN body END AS body "  # noqa: S608 - ours
            f"FROM content LEFT JOIN LATERAL ({page}) AS page ON true WHERE content.id = $1 ORDER BY place"
        )
        found = await self._pool.fetch(query, *values)
        return (_content_of(found[0]), _batch(found, rows)) if found else None

    async def boundary(self, span: MediaSpan, *, limit: int) -> tuple[Cursor | None, bool]:
        """Where the `limit`-th media of `span` is, None when there are fewer, and whether one follows it."""
        values: list[object] = [span.content_id]
        condition = _condition(span, "$1", values)
        query = (
            f"SELECT created_at, id FROM media WHERE {condition} ORDER BY {_ORDER} "  # noqa: S608 - ours
            f"OFFSET {_place(limit - 1, values)} LIMIT 2"
        )
        found = [Cursor(row["created_at"], row["id"]) for row in await self._pool.fetch(query, *values)]
        return (found[0] if found else None), len(found) == 2

    async def listed(self, *, offset: int, limit: int) -> Sequence[tuple[ContentRecord, Sequence[MediaRecord]]] | None:
        """A page of contents, newest first, with their first media; None when that is too much to hold at once."""
        rows = await self._pool.fetch(_LISTED, limit, offset)
        if len(rows) < (rows[0]["all_rows"] if rows else 0):
            return None
        contents: dict[uuid.UUID, tuple[ContentRecord, list[MediaRecord]]] = {}
        for row in rows:
            _, media = contents.setdefault(row["the_id"], (_content_of(row), []))
            if row["id"] is not None:
                media.append(record_of(row))
        return list(contents.values())

    async def listed_ids(self, *, offset: int, limit: int) -> Sequence[tuple[uuid.UUID, int]]:
        """The same contents, by their ids and numbers of media."""
        rows = await self._pool.fetch(_LISTED_IDS, limit, offset)
        return [(row["id"], row["media_total"]) for row in rows]

    async def count(self) -> int:
        """How many contents there are."""
        (row,) = await self._pool.fetch("SELECT count(*) AS count FROM content")
        return int(row["count"])


def _place(value: object, values: list[object]) -> str:
    values.append(value)
    return f"${len(values)}"


def _condition(span: MediaSpan, content_id: str, values: list[object]) -> str:
    conditions = [f"media.content_id = {content_id}"]
    if span.media_type is not None:
        conditions.append(f"media_type = '{span.media_type.value}'")  # one of four words of ours
    for sign, end in ((">", span.after), ("<=", span.until)):
        if end is not None:
            place = f"({_place(end.created_at, values)}, {_place(end.id, values)})"
            conditions.append(f"(media.created_at, media.id) {sign} {place}")
    return " AND ".join(conditions)


def _page(span: MediaSpan, content_id: str, rows: int, values: list[object]) -> str:
    """The text of a page; `values` gets what stands in for its places."""
    condition = _condition(span, content_id, values)
    whole = f"SELECT {_AS_TEXT} FROM media WHERE {condition} ORDER BY {_ORDER} LIMIT {_place(rows, values)}"  # noqa: S608
    measured = (
        f"SELECT *, row_number() OVER walk AS place, count(*) OVER () AS all_rows, "  # noqa: S608 - as above
        f"sum({_TEXT_BYTES} + {_ROW_BYTES}) OVER (walk ROWS UNBOUNDED PRECEDING) AS up_to_bytes "
        f"FROM ({whole}) AS whole WINDOW walk AS (ORDER BY {_ORDER})"
    )
    return f"SELECT * FROM ({measured}) AS measured WHERE place = 1 OR up_to_bytes <= {PAGE_BYTES} ORDER BY place"  # noqa: S608


_NEWEST: Final = "ORDER BY content.created_at DESC, content.id DESC LIMIT $1 OFFSET $2"
_MEDIA_TOTAL: Final = "(SELECT count(*) FROM media WHERE content_id = content.id) AS media_total"
_LISTED_IDS: Final = f"SELECT id, {_MEDIA_TOTAL} FROM content {_NEWEST}"  # noqa: S608 - ours
_LISTED: Final = f"""
SELECT * FROM (
    SELECT *, count(*) OVER () AS all_rows, row_number() OVER walk AS row_place,
           sum(coalesce({_TEXT_BYTES}, 0) + {_ROW_BYTES} + coalesce(octet_length(body), 0))
               OVER (walk ROWS UNBOUNDED PRECEDING) AS up_to_bytes
    FROM (
        SELECT shown.*, {_CONTENT}, CASE WHEN coalesce(place, 1) = 1 THEN body END AS body, media_total
        FROM (SELECT *, {_MEDIA_TOTAL} FROM content {_NEWEST}) AS content
        LEFT JOIN LATERAL (
            SELECT {_AS_TEXT}, row_number() OVER (ORDER BY {_ORDER}) AS place
            FROM media WHERE content_id = content.id ORDER BY {_ORDER} LIMIT {LISTED_MEDIA}
        ) AS shown ON true
    ) AS joined WINDOW walk AS (ORDER BY made_at DESC, the_id DESC, place)
) AS measured WHERE row_place = 1 OR up_to_bytes <= {_LIST_BYTES} ORDER BY row_place
"""  # noqa: S608 - ours


def _batch(rows: Sequence[Row], asked: int) -> MediaBatch:
    if not rows or rows[0]["id"] is None:
        return MediaBatch([], is_last=True)
    all_rows = rows[0]["all_rows"]
    return MediaBatch([record_of(row) for row in rows], is_last=len(rows) == all_rows < asked)


def _content_of(row: Row) -> ContentRecord:
    return ContentRecord(
        row["the_id"],
        row["title"],
        row["body"],
        row["created_by"],
        row["made_at"],
        row["changed_at"],
        row["attach"],
        row.get("media_total"),
    )
