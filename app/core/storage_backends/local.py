"""Stored files on this machine's disk: durable when `publish` returns, never half there. Knows keys and bytes only."""

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from app.core.errors import StoredFileNotFound
from app.core.os_errors import storage_error
from app.core.storage_backends.base import OpenFile, StoredObject
from app.core.storage_backends.in_memory import open_cached, read_cached

Found = TypeVar("Found")

CHUNK_BYTES = 1024 * 1024
_FILE_MODE = 0o640
_DIRECTORY_MODE = 0o750
_PUBLISH_ATTEMPTS = 8
_LISTED_AT_ONCE = 1000
_NOT_OURS = "lost+found"  # every ext4 file system has one, and a mounted UPLOAD_DIR is its root


class LocalBackend:
    """The tree under `root`; the staging directory inside it is not part of what is stored."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    async def publish(self, files: Sequence[tuple[Path, str]]) -> None:
        placed = [(staged, self._root / key) for staged, key in files]
        try:
            await asyncio.to_thread(_publish, self._root, placed)
        except FileExistsError:
            raise
        except OSError as exc:
            raise storage_error(exc) from exc

    async def stat(self, key: str) -> StoredObject:
        try:
            status = await asyncio.to_thread(_brought_back, os.lstat, self._root / key)
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise StoredFileNotFound from exc
        except OSError as exc:
            raise storage_error(exc) from exc
        if not stat.S_ISREG(status.st_mode):
            raise StoredFileNotFound
        return _stored_object(key, status)

    async def open(self, key: str) -> OpenFile:
        path = self._root / key
        try:
            with contextlib.suppress(FileNotFoundError):
                if (fd := open_cached(path)) is not None:
                    return _opened(fd, path)
            return await asyncio.to_thread(_brought_back, _open, path)
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise StoredFileNotFound from exc
        except OSError as exc:
            raise storage_error(exc) from exc

    async def delete(self, key: str) -> None:
        try:
            await asyncio.to_thread(_delete, self._root, self._root / key)
        except OSError as exc:
            raise storage_error(exc) from exc

    async def hide(self, keys: Sequence[str]) -> None:
        try:
            await asyncio.to_thread(_hide, [self._root / key for key in keys])
        except OSError as exc:
            raise storage_error(exc) from exc

    async def list(self) -> AsyncIterator[StoredObject]:
        walker = _walk(self._root)
        try:
            while batch := await asyncio.to_thread(_take, walker, _LISTED_AT_ONCE):
                for found in batch:
                    yield found
        except OSError as exc:
            raise storage_error(exc) from exc
        finally:
            walker.close()

    def local_path(self, key: str) -> Path | None:
        return self._root / key


class LocalFile:
    """A file by its descriptor: deleting its name meanwhile does not matter to it."""

    def __init__(self, fd: int, status: os.stat_result) -> None:
        self._fd = fd
        self._is_open = True
        self.size_bytes = status.st_size
        self.modified_at = _modified_at(status)

    def read_now(self, *, start: int, length: int) -> memoryview | None:
        return read_cached(self._fd, start=start, length=length)

    async def read(self, *, start: int, length: int) -> AsyncGenerator[bytes | memoryview, None]:
        while length > 0:
            wanted = min(CHUNK_BYTES, length)
            chunk: bytes | memoryview | None = self.read_now(start=start, length=wanted)
            if chunk is None:
                try:
                    chunk = await asyncio.to_thread(os.pread, self._fd, wanted, start)
                except OSError as exc:
                    raise storage_error(exc) from exc
            if not chunk:
                return
            start, length = start + len(chunk), length - len(chunk)
            yield chunk

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._fd)


def _hidden(path: Path) -> Path:
    # No key begins with a dot, and neither the proxy nor `list` looks at such names.
    return path.with_name(f".{path.name}")


def _hide(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.rename(_hidden(path))


def _brought_back(use: Callable[[Path], Found], path: Path) -> Found:
    """`use(path)`, also when the file was hidden for a delete that did not come to its end."""
    try:
        return use(path)
    except FileNotFoundError:
        _hidden(path).rename(path)
        return use(path)


def _open(path: Path) -> LocalFile:
    # O_NOFOLLOW: a symlink that someone put into the tree is not a file that a row owns. O_NONBLOCK: nor is a pipe,
    # and opening one must not wait for its other end.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise FileNotFoundError(path) from exc
        raise
    return _opened(fd, path)


def _opened(fd: int, path: Path) -> LocalFile:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise FileNotFoundError(path)
    return LocalFile(fd, status)


def _publish(root: Path, files: Sequence[tuple[Path, Path]]) -> None:
    # The order is the promise (OSDI'14 ALICE): the bytes are on the disk before the name is, and the name is before
    # the caller commits a row that speaks of it. docs/reliability.md tells what each step protects from. The files of
    # an upload lie in one directory, so all names are synced by one pass over it and those above.
    for staged, _ in files:
        _fsync_file(staged)
    for staged, target in files:
        _rename(staged, root, target)
    try:
        _fsync_ways(root, {target.parent for _, target in files})
    except OSError:
        # Whether the names are on the disk cannot be known, and a second fsync may say yes without having written:
        # what cannot be promised is taken back (PostgreSQL's "fsyncgate" of 2018).
        for _, target in files:
            with contextlib.suppress(OSError):
                target.unlink()
        raise


def _fsync_file(staged: Path) -> None:
    fd = os.open(staged, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(fd, _FILE_MODE)
        os.fsync(fd)
    finally:
        os.close(fd)


def _rename(staged: Path, root: Path, target: Path) -> None:
    for attempt in range(_PUBLISH_ATTEMPTS):
        try:
            _make_directories(root, target.parent)
            # Keys carry a random id and are unique in the database, so this look is a check, not a lock.
            if os.path.lexists(target):
                raise FileExistsError(target.name)
            staged.rename(target)
            break
        except FileNotFoundError:
            # A delete removed the emptied directory between mkdir and rename; make it again.
            if attempt == _PUBLISH_ATTEMPTS - 1 or not staged.exists():
                raise


def _make_directories(root: Path, directory: Path) -> None:
    missing: list[Path] = []
    while directory != root and not directory.is_dir():
        missing.append(directory)
        directory = directory.parent
    for new in reversed(missing):
        with contextlib.suppress(FileExistsError):
            new.mkdir(mode=_DIRECTORY_MODE)


def _fsync_ways(root: Path, directories: Iterable[Path]) -> None:
    # Those above, too, and not only new ones: whoever made a directory a moment ago, perhaps another process, may not
    # have synced its parent yet. A directory without changes costs nothing measurable (ext4, 2026-11).
    for step in dict.fromkeys(step for directory in directories for step in _way(root, directory)):
        _fsync_directory(step)


def _way(root: Path, directory: Path) -> Iterator[Path]:
    """`directory` and those above it, up to `root`."""
    yield directory
    while directory != root:
        directory = directory.parent
        yield directory


def _fsync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _delete(root: Path, target: Path) -> None:
    for path in (target, _hidden(target)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
    directory = target.parent
    # Also when it was gone already: the delete before may have been stopped between these two.
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        _fsync_directory(directory)
    while directory != root:
        try:
            directory.rmdir()
        except OSError:
            return  # not empty, or gone already: either way there is nothing to tidy here
        directory = directory.parent


def _walk(directory: Path, prefix: str = "") -> Generator[StoredObject, None, None]:
    try:
        entries = os.scandir(directory)
    except FileNotFoundError:
        return  # emptied and removed while we walked
    with entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name == _NOT_OURS:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
            elif entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    yield _stored_object(prefix + entry.name, entry.stat(follow_symlinks=False))


def _take(walker: Iterator[StoredObject], count: int) -> list[StoredObject]:
    return [found for _, found in zip(range(count), walker, strict=False)]


def _stored_object(key: str, status: os.stat_result) -> StoredObject:
    return StoredObject(key, status.st_size, _modified_at(status))


def _modified_at(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)
