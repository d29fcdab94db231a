"""Where files wait until they are published: one directory per upload, under one directory per process.

    UPLOAD_DIR/.staging/{owner}/              locked with flock(2) for as long as the process lives
    UPLOAD_DIR/.staging/{owner}/{upload}/     `incoming` (what the client sent) and what a worker made of it
    UPLOAD_DIR/.staging/{owner}/boxes/        what each worker of the process can reach, see `worker_box`

The kernel drops the lock with the process, however it ends. So the sweep can tell what a crash left behind from what is
still being worked on, without a clock. Knows nothing of keys, rows or HTTP.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.core.concurrency import finish
from app.core.os_errors import storage_error

STAGING_DIRECTORY = ".staging"
_BOXES = "boxes"
_DIRECTORY_MODE = 0o750
_PROBE_LIFE_S = 60.0


@dataclass(frozen=True, slots=True)
class StagingArea:
    """The place of one upload: who writes `incoming` makes its `directory`, where a worker puts what it makes, too.

    Both are one visit to the disk then, and a request that is refused before its first byte costs none.
    """

    directory: Path

    @property
    def incoming(self) -> Path:
        return self.directory / "incoming"


@dataclass(frozen=True, slots=True)
class StagingSweep:
    """Uploads that `remove_dead` removed, and those whose removal the disk refused."""

    removed: int
    refused: int


class Staging:
    """This process's part of the staging tree; `open()` before use, `close()` at the end."""

    def __init__(self, upload_dir: Path) -> None:
        self.root = upload_dir / STAGING_DIRECTORY
        self.owner = uuid.uuid4().hex
        self._own = self.root / self.owner
        self.boxes_dir = self._own / _BOXES
        self._in_use: set[str] = {_BOXES}
        self._lock_fd: int | None = None

    def open(self) -> None:
        """Create and lock this process's directory. Raises StorageUnavailable or StorageFull."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY_MODE)
            _fsync_new_root(self.root.parent)
            # Under the root's lock no sweep sees the directory without its own lock and takes it for a dead one.
            with _locked(self.root):
                self._own.mkdir(mode=_DIRECTORY_MODE)
                self._lock_fd = _open_directory(self._own)
                _try_lock(self._lock_fd, fcntl.LOCK_EX)
        except OSError as exc:
            raise storage_error(exc) from exc

    def close(self, *, is_settled: bool) -> None:
        """Remove what this process staged and let the lock go; does nothing when it is not open.

        is_settled: the journal knows no key of this process. Otherwise the empty directory stays and tells the sweep
        that we have ended.
        """
        if self._lock_fd is None:
            return
        for name in _names(self._own):
            _remove(self._own / name)
        if is_settled:
            _remove_directory(self._own)
        os.close(self._lock_fd)
        self._lock_fd = None

    @asynccontextmanager
    async def area(self) -> AsyncIterator[StagingArea]:
        """A fresh place for one upload, gone with everything in it on exit, also after errors and cancellation.

        Nobody may write there any more then. What the disk refuses to remove is left to `remove_dead`.
        """
        directory = self._own / uuid.uuid4().hex
        area = StagingArea(directory)
        self._in_use.add(directory.name)
        try:
            yield area
        finally:
            try:
                # A thread cannot be stopped: one that is left to itself removes after the answer.
                await finish(asyncio.to_thread(_remove_area, area))
            finally:
                self._in_use.discard(directory.name)

    def is_alive(self, owner: str) -> bool | None:
        """Whether the process that calls itself `owner` still runs; None when this machine cannot tell."""
        if owner == self.owner:
            return True
        try:
            fd = _open_directory(self.root / owner)
        except OSError:
            return None
        try:
            # A shared lock: two sweeps that ask at once must not take each other for the owner.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None  # a file system without locks on directories (NFS)
        else:
            return False
        finally:
            os.close(fd)

    def dead_owners(self) -> set[str]:
        """The owners whose directories are still here and whose processes have ended; they write nothing any more.

        Raises StorageUnavailable when staging cannot be read.
        """
        try:
            names = [name for name in _names(self.root) if (self.root / name).is_dir()]
        except OSError as exc:
            raise storage_error(exc) from exc
        return {name for name in names if self.is_alive(name) is False}

    def remove_dead(self, dead: Collection[str], *, indebted: Collection[str]) -> StagingSweep:
        """Remove what no upload uses any more: what `dead` owners left, and what we could not remove before.

        indebted: owners that the journal still knows; their directories are emptied and stay, as the sign that the
        process has ended.  Raises StorageUnavailable when staging cannot be read.
        """
        removed = refused = 0
        try:
            with _locked(self.root):
                for name in _names(self.root):
                    entry = self.root / name
                    if not entry.is_dir():
                        _remove_old_probe(entry)
                    elif name in dead or entry == self._own:
                        left = [upload for upload in _names(entry) if upload not in self._in_use]
                        gone = sum(_remove(entry / upload) for upload in left)
                        removed, refused = removed + gone, refused + len(left) - gone
                        if name in dead and name not in indebted and gone == len(left):
                            _remove_directory(entry)
        except OSError as exc:
            raise storage_error(exc) from exc
        return StagingSweep(removed, refused)

    def backlog(self) -> tuple[int, int]:
        """How many files are staged now, by any process, and their bytes."""
        files = size_bytes = 0
        for directory, directories, names in os.walk(self.root):
            if _BOXES in directories:
                directories.remove(_BOXES)  # second names of the same files
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    size_bytes += os.lstat(f"{directory}/{name}").st_size
                    files += 1
        return files, size_bytes


def _fsync_new_root(upload_dir: Path) -> None:
    # Publishing syncs up to UPLOAD_DIR; that this directory has a name is written down here, once.
    with contextlib.suppress(PermissionError):
        fd = _open_directory(upload_dir.parent)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _remove_area(area: StagingArea) -> None:
    # What most uploads leave, without the dozen system calls of walking a tree.
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(area.incoming)  # noqa: PTH108 - Path.unlink does the same a little slower
        os.rmdir(area.directory)  # noqa: PTH106 - likewise
    except OSError:
        _remove(area.directory)


def _remove(path: Path) -> bool:
    """Remove a file or a tree; whether nothing is left of it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
    return not os.path.lexists(path)


def _remove_directory(directory: Path) -> None:
    # Not empty, or the disk refuses: the next sweep comes by again.
    with contextlib.suppress(OSError):
        directory.rmdir()


def _remove_old_probe(file: Path) -> None:
    # `LocalBackend.check_writable` unlinks its file at once; a kill in between leaves an empty one.
    with contextlib.suppress(OSError):
        if time.time() - file.lstat().st_mtime > _PROBE_LIFE_S:
            file.unlink()


def _names(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in directory.iterdir()]
    except FileNotFoundError:
        return []


def _open_directory(directory: Path) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _try_lock(fd: int, operation: int) -> None:
    # Where directories cannot be locked (NFS), liveness is unknown and the sweep goes by age instead.
    with contextlib.suppress(OSError):
        fcntl.flock(fd, operation)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    try:
        fd = _open_directory(directory)
    except FileNotFoundError:
        yield  # nothing was ever staged here
        return
    try:
        _try_lock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
