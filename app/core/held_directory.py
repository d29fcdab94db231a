"""A directory that this process holds an flock(2) on as long as it lives, and that comes back when it is removed."""

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DIRECTORY_MODE = 0o750


class HeldDirectory:
    """`path`, two levels below the store: `{store}/{root}/{owner}`. `open()` before use, `release()` at the end.

    What else removes directories there (an operator, a sync, another machine's sweep) may do so at any time. Nobody
    looks whether it is still there: who finds it missing calls `hold`. Safe to call from several threads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._root = path.parent
        self._store = path.parent.parent
        self._changing = threading.Lock()
        self._lock_fd: int | None = None
        self._device = 0

    def open(self) -> None:
        """Make and lock it, with all directories above. Raises OSError."""
        with self._changing:
            self._root.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY_MODE)
            _fsync_new_root(self._store)
            self._device = self._store.stat().st_dev
            self._lock_fd = self._made_and_locked()

    def hold(self) -> None:
        """Have it in its place and locked, also when it, or the root, was removed or replaced meanwhile.

        The store itself is not made anew, and nothing is made in one that is another file system than at `open`: what
        would be stored behind a disk that is not mounted now would be lost when it is. Raises OSError. Does nothing
        before `open` and after `release`.
        """
        with self._changing:
            if self._lock_fd is None or _is_at(self._path, self._lock_fd):
                return
            if not self._path.is_dir():
                if self._store.stat().st_dev != self._device:
                    raise OSError(errno.ENXIO, "another file system than at the start", str(self._store))
                self._root.mkdir(exist_ok=True, mode=_DIRECTORY_MODE)
            before, self._lock_fd = self._lock_fd, self._made_and_locked()
            os.close(before)

    def touch(self) -> None:
        """`hold`, and make it look used now, by the clock of the file system. Raises OSError."""
        self.hold()
        with self._changing:
            if self._lock_fd is not None:
                os.utime(self._lock_fd)

    def release(self) -> None:
        """Let the lock go; the directory stays."""
        with self._changing:
            fd, self._lock_fd = self._lock_fd, None
            if fd is not None:
                os.close(fd)

    @property
    def is_open(self) -> bool:
        return self._lock_fd is not None

    def _made_and_locked(self) -> int:
        # Under the root's lock no sweep sees the directory without its own lock and takes it for a dead one.
        with locked(self._root):
            self._path.mkdir(exist_ok=True, mode=_DIRECTORY_MODE)
            fd = open_directory(self._path)
            try_lock(fd)
            return fd


def is_lock_held(directory: Path) -> bool | None:
    """Whether some process holds the lock of `directory`; None when it is not there or has no locks (NFS)."""
    try:
        fd = open_directory(directory)
    except OSError:
        return None
    try:
        # A shared lock: two sweeps that ask at once must not take each other for the owner.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    else:
        return False
    finally:
        os.close(fd)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Alone with `directory` for the length of the block; at once when it is not there."""
    try:
        fd = open_directory(directory)
    except FileNotFoundError:
        yield
        return
    try:
        try_lock(fd)
        yield
    finally:
        os.close(fd)


def open_directory(directory: Path) -> int:
    """A descriptor of `directory`, which must not be a link. Raises OSError."""
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def try_lock(fd: int) -> None:
    """Wait for the lock; where directories cannot be locked (NFS), the sweep goes by age instead."""
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_EX)


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _fsync_new_root(upload_dir: Path) -> None:
    # Publishing syncs up to UPLOAD_DIR; that this directory has a name is written down here, once.
    with contextlib.suppress(PermissionError):
        fd = open_directory(upload_dir.parent)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
