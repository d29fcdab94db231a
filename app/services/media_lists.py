"""Pages of media and how many there are, read cheaply: what many requests would find out again is kept for a moment.

Exact totals and where pages begin are right as soon as an upload or a delete was answered (`changed`), in every process
of the machine; what other machines add shows within a second. Estimates are kept longer: they say that they are
estimates, and the planner's statistics are minutes old anyway.
"""

import time
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from app.core.errors import InvalidField
from app.core.paging import Cursor
from app.core.read_cache import ChangeMarks, Marks, ReadCache
from app.core.shared_reads import SharedReads
from app.repositories.media_list_reader import EXACT_COUNT_CAP, MediaFilter, MediaListReader, MediaPlace
from app.services.listed_media import ListedMedia, Render

MAX_OFFSET: Final = 2**31
EXACT_TTL_S: Final = 1.0
ESTIMATE_TTL_S: Final = 5.0

_KEPT: Final = 1_000  # of each kind, at a few hundred bytes
_MEMBERSHIP: Final = "which media there are"
_STATISTICS: Final = "statistics about media"  # nobody says when they change


class CountMode(StrEnum):
    """How hard a list tries to know its total. Unset: exact while that is cheap, an estimate beyond."""

    EXACT = "exact"
    ESTIMATED = "estimated"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Total:
    """How many media match; None when nobody wanted to know."""

    count: int | None
    is_estimate: bool = False


@dataclass(frozen=True, slots=True)
class MediaPage:
    """items: the media as JSON, as `Render` writes it."""

    items: Sequence[bytes]
    total: Total
    next_cursor: Cursor | None


class _Beginning(NamedTuple):
    """Where a page begins: after the row `before`, as it was counted off at `counted_at_s`."""

    before: Cursor
    counted_at_s: float


class MediaLists:
    """One per process; the marks are shared by all processes of the machine."""

    def __init__(self, reader: MediaListReader, marks: ChangeMarks, *, render: Render, ttl_s: float) -> None:
        """ttl_s: how long anything but an estimate may be kept at all; 0 keeps nothing."""
        self._reader = reader
        self._listed = ListedMedia(reader, render, ttl_s=ttl_s)
        self._asked: OrderedDict[Hashable, None] = OrderedDict()
        self._shared: SharedReads[MediaPage] = SharedReads()
        self._marks = marks
        self._ttl_s = min(ttl_s, EXACT_TTL_S)
        self._exact: ReadCache[int] = ReadCache(marks, size=_KEPT, ttl_s=self._ttl_s)
        self._beginnings: ReadCache[_Beginning] = ReadCache(marks, size=_KEPT, ttl_s=self._ttl_s)
        self._many: ReadCache[bool] = ReadCache(marks, size=_KEPT, ttl_s=ESTIMATE_TTL_S)
        self._estimates: ReadCache[int] = ReadCache(marks, size=_KEPT, ttl_s=ESTIMATE_TTL_S)

    def changed(self) -> None:
        """Media came or went; to be said after the COMMIT and before the answer."""
        self._marks.change(_MEMBERSHIP)

    async def page(
        self, wanted: MediaFilter, *, page: int, page_size: int, cursor: Cursor | None, count: CountMode | None
    ) -> MediaPage:
        """One page, newest first. page: from 1, ignored with a cursor. Raises InvalidField for an absurd page."""
        offset = (page - 1) * page_size
        if offset > MAX_OFFSET:
            raise InvalidField("page", "is too large; use cursor to go on from a page.")
        asked = (wanted, offset, page_size, cursor, count)
        return await self._shared.get(asked, lambda: self._page(*asked))

    async def _page(
        self, wanted: MediaFilter, offset: int, page_size: int, cursor: Cursor | None, count: CountMode | None
    ) -> MediaPage:
        # Who walks through all pages never sees one again: each is read in one statement, as if nothing were kept.
        is_whole = not self._is_asked_again((wanted, offset, page_size, cursor))
        # One more than the page has: whether anything follows it.
        if cursor is not None:
            places = await self._reader.after(wanted, cursor, limit=page_size + 1, is_whole=is_whole)
            total = await self._total(wanted, count)
        elif offset == 0:
            places = await self._reader.newest(wanted, limit=page_size + 1, is_whole=is_whole)
            # A first page that nothing follows is all there is.
            is_all = len(places) <= page_size and count in (None, CountMode.EXACT)
            total = Total(len(places)) if is_all else await self._total(wanted, count)
        else:
            marks = self._marks.of(_MEMBERSHIP)  # before the total, by which the page may be counted off
            total = await self._total(wanted, count)
            places = await self._far_page(wanted, offset, page_size, total, marks, is_whole=is_whole)
        shown = places[:page_size]
        items = await self._listed.texts(shown)
        return MediaPage(items, total, shown[-1].cursor if len(places) > page_size else None)

    def _is_asked_again(self, page: Hashable) -> bool:
        """Whether this page was asked for lately, and its media are kept."""
        if not self._ttl_s:
            return False
        is_known = page in self._asked
        self._asked[page] = None
        self._asked.move_to_end(page)
        if len(self._asked) > _KEPT:
            self._asked.popitem(last=False)
        return is_known

    async def _total(self, wanted: MediaFilter, count: CountMode | None) -> Total:
        match count:
            case CountMode.NONE:
                return Total(None)
            case CountMode.EXACT:
                return Total(await self._reader.count(wanted, cap=None))
            case CountMode.ESTIMATED:
                return Total(await self._estimate(wanted), is_estimate=True)
            case None:
                return await self._affordable_total(wanted)

    async def _affordable_total(self, wanted: MediaFilter) -> Total:
        key = _key(wanted)
        if (exact := self._exact.get(key)) is not None:
            return Total(exact)
        if self._many.get(key) is None:
            membership, statistics = self._marks.of(_MEMBERSHIP), self._marks.of(_STATISTICS)
            found = await self._reader.count(wanted, cap=EXACT_COUNT_CAP)
            if found <= EXACT_COUNT_CAP:
                self._exact.put(key, found, subject=_MEMBERSHIP, marks=membership)
                return Total(found)
            self._many.put(key, True, subject=_STATISTICS, marks=statistics)
        return Total(max(EXACT_COUNT_CAP + 1, await self._estimate(wanted)), is_estimate=True)

    async def _estimate(self, wanted: MediaFilter) -> int:
        key = _key(wanted)
        if (known := self._estimates.get(key)) is not None:
            return known
        marks = self._marks.of(_STATISTICS)
        estimate = await self._reader.estimated_count(wanted)
        self._estimates.put(key, estimate, subject=_STATISTICS, marks=marks)
        return estimate

    async def _far_page(
        self, wanted: MediaFilter, offset: int, limit: int, total: Total, marks: Marks, *, is_whole: bool
    ) -> Sequence[MediaPlace]:
        """A page after the first and the place that follows it: from where it is known to begin, else counted off."""
        known, now_s = self._beginnings.get(_key(wanted, offset)), time.monotonic()
        if known is not None and now_s - known.counted_at_s <= self._ttl_s:
            places = await self._reader.after(wanted, known.before, limit=limit + 1, is_whole=is_whole)
        else:
            counted = await self._counted_off(wanted, offset, limit + 1, total, is_whole=is_whole)
            if not counted:
                return []
            known, places = _Beginning(counted[0].cursor, now_s), counted[1:]
            self._beginnings.put(_key(wanted, offset), known, subject=_MEMBERSHIP, marks=marks)
        if len(places) >= limit:
            # As old as the one before it, or a walk page by page would carry its first one along for ever.
            following = _Beginning(places[limit - 1].cursor, known.counted_at_s)
            self._beginnings.put(_key(wanted, offset + limit), following, subject=_MEMBERSHIP, marks=marks)
        return places

    async def _counted_off(
        self, wanted: MediaFilter, offset: int, limit: int, total: Total, *, is_whole: bool
    ) -> Sequence[MediaPlace]:
        """The row before the page and `limit` rows from it on, from the end that is nearer; empty beyond the oldest.

        Which end is nearer is known when the total is exact.
        """
        if total.count is None or total.is_estimate or offset <= total.count // 2:
            return await self._reader.from_newest(wanted, skip=offset - 1, limit=limit + 1, is_whole=is_whole)
        left = min(limit, total.count - offset)
        if left <= 0:
            return []
        skip = total.count - offset - left
        return await self._reader.from_oldest(wanted, skip=skip, limit=left + 1, is_whole=is_whole)


def _key(wanted: MediaFilter, offset: int = 0) -> str:
    return f"{wanted.media_type} {wanted.uploaded_by} {wanted.content_id} {offset}"
