"""Where files wait until they are published: one directory per upload, under one directory per process.

    UPLOAD_DIR/.staging/{owner}/              locked with flock(2) for as long as the process lives
    UPLOAD_DIR/.staging/{owner}/{upload}/     `incoming` (what the client sent) and `made/` (what a worker made of it)

The kernel drops the lock with the process, however it ends. So the sweep can tell what a crash left behind from what is
still being worked on, without a clock. Knows nothing of keys, rows or HTTP.
"""

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.core.os_errors import storage_error

STAGING_DIRECTORY = ".staging"
_NEW_PREFIX = ".new-"
_OWNER = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class StagingArea:
    """The directory of one upload. `incoming` does not exist yet; `made` exists and is empty."""

    incoming: Path
    made: Path


class Staging:
    """This process's part of the staging tree; `open()` before use, `close()` at the end."""

    def __init__(self, upload_dir: Path) -> None:
        self.root = upload_dir / STAGING_DIRECTORY
        self.owner = uuid.uuid4().hex
        self._own = self.root / self.owner
        self._lock_fd: int | None = None

    def open(self) -> None:
        """Create and lock this process's directory. Raises StorageUnavailable or StorageFull."""
        # It gets its name only when it is locked: a sweep that ran in between would take it for a dead one.
        new = self.root / f"{_NEW_PREFIX}{self.owner}"
        try:
            new.mkdir(parents=True, mode=0o750)
            self._lock_fd = _open_directory(new)
            _try_lock(self._lock_fd)
            new.rename(self._own)
        except OSError as exc:
            raise storage_error(exc) from exc

    def close(self) -> None:
        """Remove what this process staged and let the lock go; the empty directory tells the sweep that we ended."""
        if self._lock_fd is None:
            return
        for entry in self._own.iterdir():
            shutil.rmtree(entry, ignore_errors=True)
        os.close(self._lock_fd)
        self._lock_fd = None

    @asynccontextmanager
    async def area(self) -> AsyncIterator[StagingArea]:
        """A fresh directory for one upload, gone with everything in it on exit, also after errors and cancellation."""
        directory = self._own / uuid.uuid4().hex
        area = StagingArea(incoming=directory / "incoming", made=directory / "made")
        try:
            await asyncio.to_thread(area.made.mkdir, parents=True)
        except OSError as exc:
            raise storage_error(exc) from exc
        try:
            yield area
        finally:
            # Shielded: a client that hangs up cancels this task, and the directory has to go all the same.
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True))

    def is_alive(self, owner: str) -> bool | None:
        """Whether the process that calls itself `owner` still runs; None when this machine cannot tell."""
        if owner == self.owner:
            return True
        try:
            fd = _open_directory(self.root / owner)
        except OSError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None  # a file system without locks on directories (NFS)
        else:
            return False
        finally:
            os.close(fd)

    def remove_dead(self) -> int:
        """Remove the directories of processes that have ended; returns how many staged uploads went with them."""
        removed = 0
        for directory in self._owners():
            if self.is_alive(directory.name) is False:
                removed += sum(1 for _ in directory.iterdir())
                shutil.rmtree(directory, ignore_errors=True)
        return removed

    def backlog(self) -> int:
        """How many uploads are staged now, by any process."""
        count = 0
        for directory in self._owners():
            with contextlib.suppress(FileNotFoundError):
                count += sum(1 for _ in directory.iterdir())
        return count

    def _owners(self) -> Iterator[Path]:
        if self.root.is_dir():
            yield from [entry for entry in self.root.iterdir() if _OWNER.fullmatch(entry.name)]


def _open_directory(directory: Path) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _try_lock(fd: int) -> None:
    # Where directories cannot be locked (NFS), liveness is unknown and the sweep goes by age instead.
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
