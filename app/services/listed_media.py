"""The JSON of the media that lists show, kept for as long as PostgreSQL calls their rows unchanged.

Each page is asked of the database, which tells the version of every row on it, so what is kept is never older than the
page: nobody has to say that something changed. Knows neither pages nor how a media is written as JSON.
"""

import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from app.repositories.media_list_reader import MediaListReader, MediaPlace
from app.repositories.media_reader import MediaRecord

Render: TypeAlias = Callable[[MediaRecord], bytes]
"""Writes one media as JSON; the same bytes for the same record, and none for one that cannot be shown."""

MAX_KEPT_BYTES: Final = 8 * 1024 * 1024
_ENTRY_BYTES: Final = 400  # what an entry takes besides its text: the id, the tuple, its place in the dictionary
_MAX_TEXT_BYTES: Final = MAX_KEPT_BYTES // 64


class _Kept(NamedTuple):
    text: bytes
    version: int
    stored_at_s: float


class ListedMedia:
    """One per process; at most MAX_KEPT_BYTES, of which the oldest give way."""

    def __init__(self, reader: MediaListReader, render: Render, *, ttl_s: float) -> None:
        """ttl_s: how long a text is kept at most, lest a version comes to mean another row state; 0 keeps none.

        Versions are numbers of transactions: they begin again after four billion, or when a backup is restored.
        """
        self._reader = reader
        self._render = render
        self._ttl_s = ttl_s
        self._kept: OrderedDict[uuid.UUID, _Kept] = OrderedDict()
        self._kept_bytes = 0

    async def texts(self, places: Sequence[MediaPlace]) -> Sequence[bytes]:
        """The media of `places` in their order, without those that were deleted since or cannot be shown."""
        texts: dict[uuid.UUID, bytes | None] = {}
        missing = []
        oldest_s = time.monotonic() - self._ttl_s
        # One look-up for each media: this loop is most of what a list costs after its query.
        for media_id, _, version, record in places:
            kept = self._kept.get(media_id)
            if kept is not None and kept.version == version and kept.stored_at_s >= oldest_s:
                texts[media_id] = kept.text
            elif record is not None:
                texts[media_id] = self._rendered(record, version)
            else:
                texts[media_id] = None
                missing.append(media_id)
        if missing:
            for version, record in await self._reader.whole(missing):
                texts[record.id] = self._rendered(record, version)
        return [text for text in texts.values() if text]

    def _rendered(self, record: MediaRecord, version: int) -> bytes:
        text = self._render(record)
        if not self._ttl_s or len(text) > _MAX_TEXT_BYTES:
            return text
        if (old := self._kept.pop(record.id, None)) is not None:
            self._kept_bytes -= len(old.text) + _ENTRY_BYTES
        self._kept[record.id] = _Kept(text, version, time.monotonic())
        self._kept_bytes += len(text) + _ENTRY_BYTES
        while self._kept_bytes > MAX_KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest.text) + _ENTRY_BYTES
        return text
