"""Reads every stored file again and compares it with its checksum, slowly, to find what the disk has forgotten."""

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from app.core import metrics
from app.core.database import Database
from app.core.errors import StoredFileNotFound
from app.core.metrics import Damage
from app.core.storage import StorageManager
from app.models import Media
from app.repositories.media_repository import MediaRepository

_BATCH = 200


@dataclass(frozen=True, slots=True)
class ScrubResult:
    """One media looked at; `damage` is None when its bytes are what they were."""

    media_id: uuid.UUID
    key: str
    size_bytes: int
    damage: Damage | None


class Scrubber:
    def __init__(self, *, database: Database, storage: StorageManager, bytes_per_s: float) -> None:
        """bytes_per_s: the mean reading rate that is not exceeded."""
        self._database = database
        self._storage = storage
        self._bytes_per_s = bytes_per_s

    async def run(self, *, after: uuid.UUID) -> AsyncIterator[ScrubResult]:
        """Check all media with ids above `after`, in the order of ids, so that a run can go on where one stopped."""
        started_at, read_bytes = time.monotonic(), 0
        while True:
            async with self._database.read() as session:
                batch = await MediaRepository(session).batch_by_id(after=after, limit=_BATCH)
            if not batch:
                return
            for media in batch:
                if media.storage_path is None or media.checksum_sha256 is None:
                    continue
                result = await self._check(media, media.storage_path)
                metrics.scrub_checked()
                if result.damage is not None:
                    metrics.damage_found(result.damage)
                yield result
                read_bytes += result.size_bytes
                ahead_s = read_bytes / self._bytes_per_s - (time.monotonic() - started_at)
                if ahead_s > 0:
                    await asyncio.sleep(ahead_s)
            after = batch[-1].id

    async def _check(self, media: Media, key: str) -> ScrubResult:
        digest, size_bytes = hashlib.sha256(), 0
        try:
            length = (await self._storage.stat(key)).size_bytes
            async with aclosing(self._storage.read(key, start=0, length=length)) as chunks:
                async for chunk in chunks:
                    await asyncio.to_thread(digest.update, chunk)
                    size_bytes += len(chunk)
        except StoredFileNotFound:
            # A delete takes the row first; only a file that is missing under a row that is there is damage.
            return ScrubResult(media.id, key, size_bytes, Damage.MISSING if await self._exists(media.id) else None)
        is_intact = digest.hexdigest() == media.checksum_sha256
        return ScrubResult(media.id, key, size_bytes, None if is_intact else Damage.WRONG_CHECKSUM)

    async def _exists(self, media_id: uuid.UUID) -> bool:
        async with self._database.read() as session:
            return await MediaRepository(session).get(media_id) is not None
