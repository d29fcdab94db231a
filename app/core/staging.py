"""Where files wait until they are published: one directory per upload, under one directory per process.

    UPLOAD_DIR/.staging/{owner}/              locked with flock(2) for as long as the process lives
    UPLOAD_DIR/.staging/{owner}/{upload}/     `incoming` (what the client sent) and what a worker made of it
    UPLOAD_DIR/.staging/{owner}/boxes/        what each worker of the process can reach, see `worker_box`

The kernel drops the lock with the process, however it ends. So the sweep can tell what a crash left behind from what is
still being worked on, without a clock. Only for other machines' processes, whose locks prove nothing here, it goes by
the time at which their directories were used last. Knows nothing of keys, rows or HTTP.
"""

import asyncio
import contextlib
import os
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.core.concurrency import finish
from app.core.held_directory import HeldDirectory, is_lock_held, locked
from app.core.os_errors import storage_error
from app.core.owner_names import Machine, Origin

STAGING_DIRECTORY = ".staging"
_BOXES = "boxes"
_PROBE_MODE = 0o640
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
    """This process's part of the staging tree; `open()` before use, `close()` at the end.

    What vanishes of it is made anew by whoever misses it first: an upload, a worker's start, readiness, the heartbeat.
    machine: the one we run on; another one in tests.
    """

    def __init__(self, upload_dir: Path, *, machine: Machine | None = None) -> None:
        self._machine = machine or Machine.this()
        self.root = upload_dir / STAGING_DIRECTORY
        self.owner = self._machine.new_owner()
        self._own = self.root / self.owner
        self._held = HeldDirectory(self._own)
        self.boxes_dir = self._own / _BOXES
        self._in_use: set[str] = {_BOXES}

    def open(self) -> None:
        """Create and lock this process's directory. Raises StorageUnavailable or StorageFull."""
        try:
            self._held.open()
        except OSError as exc:
            raise storage_error(exc) from exc

    def hold(self) -> None:
        """Have this process's directory, locked, also when somebody removed it; see `HeldDirectory.hold`.

        Raises StorageUnavailable or StorageFull.
        """
        try:
            self._held.hold()
        except OSError as exc:
            raise storage_error(exc) from exc

    def beat(self) -> None:
        """`hold`, and show the sweeps of other machines that we live. Raises StorageUnavailable or StorageFull."""
        try:
            self._held.touch()
        except OSError as exc:
            raise storage_error(exc) from exc

    def check_writable(self) -> None:
        """Prove that an upload could be staged now. Raises StorageUnavailable or StorageFull."""
        name = f".probe-{uuid.uuid4().hex}"
        self._in_use.add(name)
        try:
            try:
                _write_probe(self._own / name)
            except FileNotFoundError:
                self.hold()
                _write_probe(self._own / name)
        except OSError as exc:
            raise storage_error(exc) from exc
        finally:
            self._in_use.discard(name)

    def close(self, *, is_settled: bool) -> None:
        """Remove what this process staged and let the lock go; does nothing when it is not open.

        is_settled: the journal knows no key of this process. Otherwise the empty directory stays and tells the sweep
        that we have ended.
        """
        if not self._held.is_open:
            return
        for name in _names(self._own):
            _remove(self._own / name)
        if is_settled:
            _remove_directory(self._own)
        self._held.release()

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

    def is_alive(self, owner: str, *, age_s: float) -> bool | None:
        """Whether the process that calls itself `owner` still runs; None when nothing here tells.

        Of this machine, its lock says so, and before the last boot nobody lives. Another machine's is alive as long as
        its directory was used in the last `age_s` seconds; so is one that cannot be locked, or whose name says nothing.
        """
        if owner == self.owner:
            return True
        origin = self._machine.origin(owner)
        if origin is Origin.EARLIER_BOOT:
            return False
        is_held = None if origin is Origin.ELSEWHERE else is_lock_held(self.root / owner)
        # The release before touched nothing, so an idle process of it looks old: there a lock that is held counts.
        if is_held or (origin is Origin.HERE and is_held is not None):
            return is_held
        return self._is_young(owner, age_s)

    def _is_young(self, owner: str, age_s: float) -> bool | None:
        # Both times are of the file system's clock: ours may be wrong, and `dead_owners` has just touched our own.
        try:
            return self._own.stat().st_mtime - (self.root / owner).stat().st_mtime <= age_s
        except OSError:
            return None

    def dead_owners(self, *, age_s: float) -> set[str]:
        """The owners whose directories are still here and whose processes have ended, see `is_alive`.

        Raises StorageUnavailable when staging cannot be read.
        """
        self.beat()
        try:
            # Alone with the root, or a process that has made its directory and not locked it yet would look dead.
            with locked(self.root):
                names = [name for name in _names(self.root) if (self.root / name).is_dir()]
                return {name for name in names if self.is_alive(name, age_s=age_s) is False}
        except OSError as exc:
            raise storage_error(exc) from exc

    def remove_dead(self, dead: Collection[str], *, indebted: Collection[str]) -> StagingSweep:
        """Remove what no upload uses any more: what `dead` owners left, and what we could not remove before.

        indebted: owners that the journal still knows; their directories are emptied and stay, as the sign that the
        process has ended.  Raises StorageUnavailable when staging cannot be read.
        """
        removed = refused = 0
        try:
            with locked(self.root):
                for name in _names(self.root):
                    entry = self.root / name
                    if not entry.is_dir():
                        _remove_old_probe(entry)
                    elif name in dead or entry == self._own:
                        left = [upload for upload in _names(entry) if upload not in self._in_use]
                        gone = _remove_all(entry, left)
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


def _remove_all(directory: Path, names: Collection[str]) -> int:
    """Remove these from `directory`; how many are gone. It looks no younger for it."""
    if not names:
        return 0
    used = directory.lstat()
    gone = sum(_remove(directory / name) for name in names)
    with contextlib.suppress(OSError):
        os.utime(directory, ns=(used.st_atime_ns, used.st_mtime_ns))
    return gone


def _remove_directory(directory: Path) -> None:
    # Not empty, or the disk refuses: the next sweep comes by again.
    with contextlib.suppress(OSError):
        directory.rmdir()


def _remove_old_probe(file: Path) -> None:
    # The release before tried the root; a kill before it had unlinked its file left an empty one.
    with contextlib.suppress(OSError):
        if time.time() - file.lstat().st_mtime > _PROBE_LIFE_S:
            file.unlink()


def _names(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in directory.iterdir()]
    except FileNotFoundError:
        return []


def _write_probe(probe: Path) -> None:
    fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PROBE_MODE)
    try:
        # Nameless before anything is written, so that a kill leaves nothing.
        with contextlib.suppress(FileNotFoundError):
            probe.unlink()
        os.write(fd, b"probe")
    finally:
        os.close(fd)
