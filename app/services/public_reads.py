"""The reads that public traffic is made of: a media by id, a stored file by key. Short queries, kept for a while.

Who changes or deletes a media says so here (`changed`), after the COMMIT and before the answer. What others change,
other machines and people with psql, the database tells (migration 0002) a moment after their COMMIT. While nobody
listens to it, values are kept for a second only; whoever listens is asked for a proof while kept values are handed out.
"""

import uuid
from collections.abc import Callable
from typing import Final

from app.core.read_cache import ChangeMarks, ReadCache
from app.repositories.media_reader import MediaReader, MediaRecord

CHANGE_CHANNEL: Final = "media_changed"
"""Where the database tells the id of each media that was updated or deleted, or EVERYTHING."""
EVERYTHING: Final = "*"
UNHEARD_TTL_S: Final = 1.0
_CACHED_MEDIA: Final = 10_000


class PublicReads:
    """One per process; the marks are shared by all processes of the machine."""

    def __init__(self, reader: MediaReader, marks: ChangeMarks, *, ttl_s: float) -> None:
        """ttl_s: how long a read is kept while changes are heard of."""
        self._reader = reader
        self._marks = marks
        self._ttl_s = ttl_s
        self._cache: ReadCache[MediaRecord] = ReadCache(marks, size=_CACHED_MEDIA, ttl_s=min(ttl_s, UNHEARD_TTL_S))
        self._relied_on: Callable[[], None] = _nobody

    def rely_on(self, relied_on: Callable[[], None]) -> None:
        """Call `relied_on` with each value that is handed out because no change of it was told."""
        self._relied_on = relied_on

    async def media(self, media_id: uuid.UUID) -> MediaRecord | None:
        """One media, at most as old as the last answered change."""
        subject = str(media_id)
        if (known := self._cache.get(subject)) is not None:
            self._relied_on()
            return known
        marks = self._marks.of(subject)
        record = await self._reader.get(media_id)
        if record is not None:
            self._cache.put(subject, record, subject=subject, marks=marks)
        return record

    async def owner_of_file(self, key: str) -> MediaRecord | None:
        """The media that owns the file under `key`."""
        if (known := self._cache.get(key)) is not None:
            self._relied_on()
            return known
        latest = self._marks.latest()
        record = await self._reader.owner_of_file(key)
        if record is not None:
            subject = str(record.id)
            marks = self._marks.of(subject)
            # Only now is it known whose mark counts; a change of anything in between might have been a change of it.
            if self._marks.latest() == latest:
                self._cache.put(key, record, subject=subject, marks=marks)
        return record

    def changed(self, media_id: uuid.UUID) -> None:
        """This media was changed or deleted."""
        self._marks.change(str(media_id))

    def many_changed(self) -> None:
        """An unknown number of media was changed, as when their content goes."""
        self._marks.change_all()

    def told(self, notice: str) -> None:
        """The database says that something was changed."""
        if notice == EVERYTHING:
            self.many_changed()
        else:
            self._marks.change(notice)

    def hearing(self, is_hearing: bool) -> None:
        """Whether every change will be told from now on."""
        self._cache.keep_for(self._ttl_s if is_hearing else min(self._ttl_s, UNHEARD_TTL_S))


def _nobody() -> None:
    """Nobody listens."""
