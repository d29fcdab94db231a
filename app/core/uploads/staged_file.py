"""Writes one staging file while its bytes arrive: gathered to 1 MiB, written and hashed side by side in threads.

Not for published files: nothing is synced here, publishing does that.
"""

import asyncio
import contextlib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiofiles

from app.core.os_errors import storage_error

if TYPE_CHECKING:
    from aiofiles.threadpool.binary import AsyncBufferedIOBase

BATCH_BYTES: Final = 1024 * 1024
_INLINE_HASH_BYTES: Final = 64 * 1024
_MODE: Final = 0o640


class StagedFile:
    """One new file at `path`. Call `add` for each piece, `drain` when it wants to, in the end `finish` or `abandon`.

    Two batches exist at most, one filling and one on its way to the disk: about 2 MiB per upload, whatever its size.
    """

    def __init__(self, path: Path) -> None:
        self.size_bytes = 0
        self._path = path
        self._file: AsyncBufferedIOBase | None = None
        self._digest = hashlib.sha256()
        self._batch: list[bytes | memoryview] = []
        self._batch_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._hashing: asyncio.Future[None] | None = None

    @property
    def wants_drain(self) -> bool:
        """Whether a whole batch waits; ask before `drain`, as most chunks do not fill one."""
        return self._batch_bytes >= BATCH_BYTES

    def add(self, data: bytes, start: int, end: int) -> None:
        """Take `data[start:end]`; copied once, when its batch is full."""
        self._batch.append(data if end - start == len(data) else memoryview(data)[start:end])
        self._batch_bytes += end - start
        self.size_bytes += end - start

    async def drain(self) -> None:
        """Start writing what was gathered, once the batch before is done. Raises StorageFull, StorageUnavailable."""
        await self._settle()
        # One buffer of 1 MiB is one call without the GIL for each thread; a list of 16 pieces is 16, and every one has
        # to win the GIL back from the event loop (best of 18: 351 against 255 MB/s, less CPU, 2026-11).
        batch, self._batch, self._batch_bytes = b"".join(self._batch), [], 0
        self._writing = asyncio.create_task(self._write(batch))
        # Hashing in the thread that writes costs 31-47 % of the throughput, hashing in the event loop stalls the
        # others; for a small file the way to a thread costs more than its hash (measured 2026-11).
        if len(batch) < _INLINE_HASH_BYTES:
            self._digest.update(batch)
        else:
            self._hashing = asyncio.get_running_loop().run_in_executor(None, self._digest.update, batch)

    async def finish(self) -> str:
        """Write the rest, close the file and return its SHA-256 in lower-case hex. Raises as `drain` does."""
        await self.drain()
        await self._settle()
        file, self._file = self._file, None
        assert file is not None  # the drain above opened it, also for an empty file
        try:
            await file.close()
        except OSError as exc:
            raise storage_error(exc) from exc
        return self._digest.hexdigest()

    async def abandon(self) -> None:
        """Wait for what the threads hold and close the file, for an upload that has failed; raises nothing of its own.

        A cancellation meanwhile is passed on after that: the directory of the file is about to be removed.
        """
        closing = asyncio.ensure_future(self._abandon())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.wait([closing])
            raise

    async def _abandon(self) -> None:
        running = [work for work in (self._writing, self._hashing) if work is not None]
        self._writing = self._hashing = None
        await asyncio.gather(*running, return_exceptions=True)
        file, self._file = self._file, None
        if file is not None:
            # The upload has failed already, for a better reason than the rest of its bytes not reaching the disk.
            with contextlib.suppress(OSError):
                await file.close()

    async def _settle(self) -> None:
        # `wait` leaves both running when this task is cancelled, unlike `gather`: a thread cannot be stopped, and
        # closing the file under a write would lose the reason of its failure.
        running = [work for work in (self._writing, self._hashing) if work is not None]
        if running:
            await asyncio.wait(running)
        self._writing = self._hashing = None
        for work in running:
            work.result()

    async def _write(self, batch: bytes) -> None:
        try:
            if self._file is None:
                # Buffered for its loop around short writes; batches pass its 8 KiB buffer by.
                self._file = await aiofiles.open(self._path, "xb", opener=_create)
            await self._file.write(batch)
        except OSError as exc:
            raise storage_error(exc) from exc


def _create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
