"""Stored files on this machine's disk: durable when `publish` returns, never half there. Knows keys and bytes only."""

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiofiles

from app.core.errors import StoredFileNotFound
from app.core.os_errors import storage_error
from app.core.staging import STAGING_DIRECTORY
from app.core.storage_backends.base import StoredObject

CHUNK_BYTES = 1024 * 1024
_FILE_MODE = 0o640
_DIRECTORY_MODE = 0o750
_PUBLISH_ATTEMPTS = 8


class LocalBackend:
    """The tree under `root`; the staging directory inside it is not part of what is stored."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    async def publish(self, staged: Path, key: str) -> None:
        try:
            await asyncio.to_thread(_publish, staged, self._root, self._root / key)
        except FileExistsError:
            raise
        except OSError as exc:
            raise storage_error(exc) from exc

    async def stat(self, key: str) -> StoredObject:
        try:
            status = await asyncio.to_thread(os.lstat, self._root / key)
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise StoredFileNotFound from exc
        except OSError as exc:
            raise storage_error(exc) from exc
        if not stat.S_ISREG(status.st_mode):
            raise StoredFileNotFound
        return _stored_object(key, status)

    async def read(self, key: str, *, start: int, length: int) -> AsyncGenerator[bytes, None]:
        try:
            file = await aiofiles.open(self._root / key, "rb", opener=_open_no_follow)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as exc:
            raise StoredFileNotFound from exc
        except OSError as exc:
            raise storage_error(exc) from exc
        try:
            await file.seek(start)
            while length > 0 and (chunk := await file.read(min(CHUNK_BYTES, length))):
                length -= len(chunk)
                yield chunk
        except OSError as exc:
            raise storage_error(exc) from exc
        finally:
            await file.close()

    async def delete(self, key: str) -> None:
        try:
            await asyncio.to_thread(_delete, self._root, self._root / key)
        except OSError as exc:
            raise storage_error(exc) from exc

    async def list(self) -> AsyncIterator[StoredObject]:
        walker = _walk(self._root)
        while batch := await asyncio.to_thread(_take, walker, 1000):
            for found in batch:
                yield found

    def local_path(self, key: str) -> Path | None:
        return self._root / key

    async def check_writable(self) -> None:
        try:
            await asyncio.to_thread(_write_probe, self._root / STAGING_DIRECTORY)
        except OSError as exc:
            raise storage_error(exc) from exc


def _publish(staged: Path, root: Path, target: Path) -> None:
    # The order is the promise (OSDI'14 ALICE): the bytes are on the disk before the name is, and the name is before
    # the caller commits a row that speaks of it. docs/reliability.md tells what each step protects from.
    fd = os.open(staged, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(fd, _FILE_MODE)
        os.fsync(fd)
    finally:
        os.close(fd)
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
    _fsync_directory(target.parent)


def _make_directories(root: Path, directory: Path) -> None:
    missing: list[Path] = []
    while directory != root and not directory.is_dir():
        missing.append(directory)
        directory = directory.parent
    for new in reversed(missing):
        with contextlib.suppress(FileExistsError):
            new.mkdir(mode=_DIRECTORY_MODE)
        # A new directory is an entry in its parent, and has to outlive a power cut as much as the file in it.
        _fsync_directory(new.parent)


def _fsync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _delete(root: Path, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        target.unlink()
        _fsync_directory(target.parent)
    directory = target.parent
    while directory != root:
        try:
            directory.rmdir()
        except OSError:
            return  # not empty, or gone already: either way there is nothing to tidy here
        directory = directory.parent


def _walk(directory: Path, prefix: str = "") -> Iterator[StoredObject]:
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return  # emptied and removed while we walked
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
        elif entry.is_file(follow_symlinks=False):
            with contextlib.suppress(FileNotFoundError):
                yield _stored_object(prefix + entry.name, entry.stat(follow_symlinks=False))


def _take(walker: Iterator[StoredObject], count: int) -> list[StoredObject]:
    return [found for _, found in zip(range(count), walker, strict=False)]


def _stored_object(key: str, status: os.stat_result) -> StoredObject:
    return StoredObject(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _open_no_follow(path: str, flags: int) -> int:
    # O_NOFOLLOW: a symlink that someone put into the tree is not a file that a row owns.
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as exc:
        if Path(path).is_symlink():
            raise FileNotFoundError(path) from exc
        raise


def _write_probe(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    probe = directory / f".probe-{os.getpid()}"
    try:
        probe.write_bytes(b"probe")
    finally:
        probe.unlink(missing_ok=True)
