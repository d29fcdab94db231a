"""Writes one staging file while its bytes arrive: gathered to 1 MiB, each batch stored by visits to threads.

What comes in lent memory is written from there, and of a large file past the page cache. Not for published files:
nothing is promised here, publishing syncs.
"""

import asyncio
import contextlib
import ctypes
import errno
import hashlib
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from app.core.os_errors import storage_error

BATCH_BYTES: Final = 1024 * 1024
"""Of what is stored at once, and of one lent room. Each room costs two visits to threads: with 2 MiB an upload takes a
sixth less CPU, and twice the memory."""
PAST_CACHE_BYTES: Final = 16 * 1024 * 1024
"""From this size on a file goes to the disk past the page cache. No picture is as large: those are read at once."""
_WRITEBACK_BYTES: Final = 8 * 1024 * 1024
_BLOCK_BYTES: Final = 4096
_FILE_MODE: Final = 0o640
_DIRECTORY_MODE: Final = 0o750
_SYNC_FILE_RANGE_WRITE: Final = 2

_libc = ctypes.CDLL(None)


class StagedFile:
    """One new file at `path`. Call `add` for each piece, `drain` when it wants to, in the end `finish` or `abandon`.

    The directory of `path` is the upload's own and is made together with the file, if it is not there yet.
    expected_bytes: about how large it will be, 0 when nobody knows.  restore: called in a thread when the directory
    above that has vanished, to make it anew.
    Two batches exist at most, one filling and one on its way to the disk: about 2 MiB per upload, whatever its size.
    Who can write into memory gets it from `room`, and what is written from there is not copied here.
    """

    def __init__(self, path: Path, *, expected_bytes: int = 0, restore: Callable[[], None] | None = None) -> None:
        self.size_bytes = 0
        self._path = path
        self._restore = restore
        self._fd: int | None = None
        self._fd_past_cache: int | None = None
        self._goes_past_cache = expected_bytes >= PAST_CACHE_BYTES
        self._digest = hashlib.sha256()
        self._batch: list[bytes | memoryview] = []
        self._batch_bytes = 0
        self._rooms: list[memoryview] = []
        self._holds_room = False
        self._stored_bytes = 0
        self._started_bytes = 0
        self._storing: list[asyncio.Future[None]] = []

    @property
    def wants_drain(self) -> bool:
        """Whether a whole batch waits, or a room; ask before `drain`, as most chunks do not fill one."""
        return self._holds_room or self._batch_bytes >= BATCH_BYTES

    def room(self) -> memoryview:
        """Memory for the next bytes: `add` a view of what came, and drain before asking again."""
        if not self._rooms:
            # By mmap, since what goes past the page cache must begin with a page.
            self._rooms = [memoryview(mmap.mmap(-1, BATCH_BYTES)) for _ in range(2)]
        # Up to the next whole batch of the file, so that the writes after it begin and end with its blocks.
        return self._rooms[0][: BATCH_BYTES - self.size_bytes % BATCH_BYTES]

    def add(self, data: bytes | memoryview, start: int, end: int) -> None:
        """Take `data[start:end]`, which is not copied here; a view is taken for one of `room`."""
        self._holds_room = self._holds_room or isinstance(data, memoryview)
        self._batch.append(data if end - start == len(data) else memoryview(data)[start:end])
        self._batch_bytes += end - start
        self.size_bytes += end - start

    async def drain(self) -> None:
        """Start storing what was gathered, once the batch before is done. Raises StorageFull, StorageUnavailable."""
        await self._settle()
        self._begin_storing(is_last=False)

    async def finish(self) -> str:
        """Store the rest, close the file and return its SHA-256 in lower-case hex. Raises as `drain` does."""
        await self._settle()
        self._begin_storing(is_last=True)
        await self._settle()
        self._rooms = []
        return self._digest.hexdigest()

    async def abandon(self) -> None:
        """Wait for the thread and close the file, for an upload that has failed; raises nothing of its own.

        A cancellation meanwhile is passed on after that: the directory of the file is about to be removed.
        """
        closing = asyncio.ensure_future(self._abandon())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.wait([closing])
            raise

    async def _abandon(self) -> None:
        storing, self._storing = self._storing, []
        # The upload has failed already, for a better reason than the rest of its bytes not reaching the disk.
        await asyncio.gather(*storing, return_exceptions=True)
        self._close()
        self._rooms = []

    async def _settle(self) -> None:
        if running := [stored for stored in self._storing if not stored.done()]:
            # `wait` leaves it running when this task is cancelled: a thread cannot be stopped, and closing the file
            # under a write would lose the reason of its failure.
            await asyncio.wait(running)
        storing, self._storing = self._storing, []
        for stored in storing:
            stored.result()

    def _begin_storing(self, *, is_last: bool) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if self._holds_room:
            self._rooms.reverse()
        self._holds_room = False
        loop = asyncio.get_running_loop()
        if self._goes_past_cache and len(batch) == 1 and len(batch[0]) == BATCH_BYTES:
            # The thread that writes sleeps while the disk works: another one hashes meanwhile.
            self._storing = [
                loop.run_in_executor(None, self._store_past_cache, batch[0], is_last),
                loop.run_in_executor(None, self._digest.update, batch[0]),
            ]
        else:
            self._storing = [loop.run_in_executor(None, self._store, batch, is_last)]

    # -- in a thread, one call at a time ---------------------------------------------------------------------------

    def _store(self, batch: list[bytes | memoryview], is_last: bool) -> None:
        # One buffer is one call without the GIL for writing and one for hashing; a list of pieces would be as many,
        # and every one has to win the GIL back from the event loop. Both in one thread: two would be faster on idle
        # cores, but cost more visits, and under load there are no idle cores.
        data = batch[0] if len(batch) == 1 else b"".join(batch)
        batch.clear()
        with self._storage_errors(is_last=is_last):
            self._write(data)
        self._digest.update(data)

    def _store_past_cache(self, data: bytes | memoryview, is_last: bool) -> None:
        with self._storage_errors(is_last=is_last):
            self._write_past_cache(data)

    @contextlib.contextmanager
    def _storage_errors(self, *, is_last: bool) -> Iterator[None]:
        try:
            yield
            if is_last:
                self._close()
        except OSError as exc:
            raise storage_error(exc) from exc

    def _write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        fd = self._opened()
        while rest:
            written = os.pwrite(fd, rest, self._stored_bytes)
            rest = rest[written:]
            self._stored_bytes += written
        if self._stored_bytes - self._started_bytes >= _WRITEBACK_BYTES:
            self._start_writeback(fd)

    def _write_past_cache(self, data: bytes | memoryview) -> None:
        # The page cache costs a copy of every byte and a page that has to be found for it. Nobody reads all of a
        # large file soon, and until it is on the disk the upload is not answered anyway.
        rest = memoryview(data)
        fd = self._opened_past_cache()
        while fd is not None and rest and not (self._stored_bytes % _BLOCK_BYTES or len(rest) % _BLOCK_BYTES):
            try:
                written = os.pwrite(fd, rest, self._stored_bytes)
            except OSError as exc:
                if exc.errno != errno.EINVAL:
                    raise
                self._goes_past_cache = False  # this file system wants larger blocks, or none at all
                break
            rest = rest[written:]
            self._stored_bytes += written
        self._write(rest)

    def _opened(self) -> int:
        if self._fd is None:
            self._make_directory()
            self._fd = os.open(
                self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE
            )
        return self._fd

    def _make_directory(self) -> None:
        directory = self._path.parent
        try:
            directory.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
        except FileNotFoundError:
            if self._restore is None:
                raise
            self._restore()
            directory.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)

    def _opened_past_cache(self) -> int | None:
        if self._fd_past_cache is None and self._goes_past_cache:
            self._opened()
            try:
                self._fd_past_cache = os.open(self._path, os.O_WRONLY | os.O_DIRECT | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError as exc:
                if exc.errno != errno.EINVAL:
                    raise
                self._goes_past_cache = False  # a file system without it
        return self._fd_past_cache

    def _start_writeback(self, fd: int) -> None:
        # The disk works while the client sends, and the fsync at the end finds little left to do: 97 instead of 150 ms
        # for 95 MB (measured 2026-11). Only a hint, so an error of it means nothing; those of the disk, fsync tells.
        start, length = self._started_bytes, self._stored_bytes - self._started_bytes
        _libc.sync_file_range(fd, ctypes.c_int64(start), ctypes.c_int64(length), _SYNC_FILE_RANGE_WRITE)
        self._started_bytes = self._stored_bytes

    def _close(self) -> None:
        fds, self._fd, self._fd_past_cache = (self._fd, self._fd_past_cache), None, None
        for fd in fds:
            if fd is not None:
                os.close(fd)
