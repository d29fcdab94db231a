"""Reads every stored file again and compares it with its checksum, slowly, to find what the disk has forgotten."""

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from dataclasses import dataclass

from app.core import metrics
from app.core.database import Database
from app.core.errors import StorageUnavailable, StoredFileNotFound
from app.core.logging import get_logger
from app.core.metrics import Damage
from app.core.storage import StorageManager
from app.models import Media
from app.repositories.media_repository import MediaRepository

_BATCH = 200

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ScrubResult:
    """One media looked at; `damage` is None when its bytes are what they were. `size_bytes` counts what was read."""

    media_id: uuid.UUID
    key: str
    size_bytes: int
    damage: Damage | None


class Scrubber:
    def __init__(self, *, database: Database, storage: StorageManager, bytes_per_s: float) -> None:
        """bytes_per_s: the mean reading rate of a run that is not exceeded by more than one chunk."""
        self._database = database
        self._storage = storage
        self._bytes_per_s = bytes_per_s

    async def run(self, *, after: uuid.UUID) -> AsyncIterator[ScrubResult]:
        """Check all media with ids above `after`, in the order of ids, so that a run can go on where one stopped.

        Raises DatabaseUnavailable. A file that cannot be read is damage too, not the end of the run.
        """
        pace = _Pace(self._bytes_per_s)
        while True:
            async with self._database.read() as session:
                batch = await MediaRepository(session).batch_by_id(after=after, limit=_BATCH)
            if not batch:
                return
            for media in batch:
                if media.storage_path is None or media.checksum_sha256 is None:
                    continue
                result = await self._check(media, media.storage_path, pace)
                metrics.scrub_checked()
                if result.damage is not None:
                    metrics.damage_found(result.damage)
                yield result
            after = batch[-1].id

    async def _check(self, media: Media, key: str, pace: "_Pace") -> ScrubResult:
        digest, size_bytes = hashlib.sha256(), 0
        damage: Damage | None = None
        try:
            with closing(await self._storage.open_file(key)) as file:
                async with aclosing(file.read(start=0, length=file.size_bytes)) as chunks:
                    async for chunk in chunks:
                        await asyncio.to_thread(digest.update, chunk)
                        size_bytes += len(chunk)
                        await pace.has_read(len(chunk))
        except StoredFileNotFound:
            # A delete takes the row first; only a file that is missing under a row that is there is damage.
            damage = Damage.MISSING if await self._exists(media.id) else None
        except StorageUnavailable as exc:
            log.warning("scrub.unreadable", key=key, cause=repr(exc.__cause__))
            damage = Damage.UNREADABLE
        else:
            if size_bytes != media.file_size:
                damage = Damage.WRONG_SIZE
            elif digest.hexdigest() != media.checksum_sha256:
                damage = Damage.WRONG_CHECKSUM
        return ScrubResult(media.id, key, size_bytes, damage)

    async def _exists(self, media_id: uuid.UUID) -> bool:
        async with self._database.read() as session:
            return await MediaRepository(session).get(media_id) is not None


class _Pace:
    """Waits after each chunk until the run is no faster than its rate."""

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._started_at = time.monotonic()
        self._read_bytes = 0

    async def has_read(self, count: int) -> None:
        self._read_bytes += count
        ahead_s = self._read_bytes / self._bytes_per_s - (time.monotonic() - self._started_at)
        if ahead_s > 0:
            await asyncio.sleep(ahead_s)
