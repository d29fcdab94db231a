"""The media of a content from the first to the last, as few at a time as a reader takes; no connection waits for it."""

import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from app.core.media_types import MediaType
from app.core.paging import Cursor
from app.repositories.content_reader import PAGE_ROWS, ContentReader, ContentRecord, MediaBatch, MediaSpan
from app.repositories.media_reader import MediaRecord

MAX_LIMIT: Final = 1_000
_LEAST_ROWS: Final = 2


@dataclass(frozen=True, slots=True)
class MediaRun:
    """first: what is there already; rest: what follows, a page at a time, None when that was all.

    next_cursor: where to go on, when a limit was asked for and there are more.
    """

    first: Sequence[MediaRecord]
    rest: AsyncGenerator[Sequence[MediaRecord], None] | None = None
    next_cursor: Cursor | None = None


class ContentMedia:
    def __init__(self, reader: ContentReader) -> None:
        self._reader = reader

    async def run(
        self, content_id: uuid.UUID, media_type: MediaType | None, *, limit: int | None, cursor: Cursor | None
    ) -> MediaRun:
        """The media of a content, oldest first: all that come after `cursor`, or `limit` of them."""
        span = MediaSpan(content_id, media_type, cursor)
        rows = _rows(limit)
        return await self._run(span, await self._reader.media(span, rows=rows), limit)

    async def with_content(
        self, content_id: uuid.UUID, *, limit: int | None, cursor: Cursor | None
    ) -> tuple[ContentRecord, MediaRun] | None:
        """The same, with the content."""
        span = MediaSpan(content_id, None, cursor)
        found = await self._reader.content(span, rows=_rows(limit))
        return None if found is None else (found[0], await self._run(span, found[1], limit))

    async def _run(self, span: MediaSpan, batch: MediaBatch, limit: int | None) -> MediaRun:
        media = batch.media
        if limit is not None and len(media) > limit:
            return MediaRun(media[:limit], next_cursor=_cursor_of(media[limit - 1]))
        if batch.is_last:
            return MediaRun(media)
        if limit is None:
            return MediaRun(media, self._rest(span, media))
        until, has_more = await self._reader.boundary(span, limit=limit)
        return MediaRun(media, self._rest(span._replace(until=until), media), until if has_more else None)

    async def _rest(self, span: MediaSpan, media: Sequence[MediaRecord]) -> AsyncGenerator[Sequence[MediaRecord], None]:
        is_last = False
        while media and not is_last:
            # Not many more than fit the last time: PostgreSQL has to write out all that it is asked for.
            rows = min(PAGE_ROWS, max(_LEAST_ROWS, 2 * len(media)))
            media, is_last = await self._reader.media(span._replace(after=_cursor_of(media[-1])), rows=rows)
            if media:
                yield media


def _rows(limit: int | None) -> int:
    return PAGE_ROWS if limit is None else min(PAGE_ROWS, limit + 1)


def _cursor_of(media: MediaRecord) -> Cursor:
    return Cursor(media.created_at, media.id)
