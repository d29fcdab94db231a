"""Where the server processes of one instance put their numbers, one directory per run; knows nothing of Prometheus.

Each run claims `run-*` under DATA_DIR/metrics and holds a lock on it until it ends. So a start can remove what killed
runs left behind, and two instances that share a DATA_DIR neither mix nor delete each other's numbers. A lock rather
than a process id, because every container has its own process 1.
"""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

_PREFIX = "run-"
_RESERVED_BYTES = 512 * 1024  # several times what our closed sets of labels take


@contextmanager
def claimed_directory(parent: Path) -> Iterator[Path]:
    """A new empty directory under `parent` for this run, removed at the end; leftovers of dead runs go first.

    Raises OSError when `parent` cannot be written.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with _locked(parent):
        # Under the parent's lock nobody sees a directory that is made but not locked yet and takes it for a leftover.
        for leftover in _runs(parent):
            if not _is_running(leftover):
                shutil.rmtree(leftover, ignore_errors=True)
        directory = Path(mkdtemp(prefix=_PREFIX, dir=parent)).absolute()
        lock = _try_lock(directory)
        assert lock is not None
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def reserve_room(directory: Path, process: str, kinds: Iterable[str]) -> None:
    """Make the files of one process with room on the disk behind them. Raises OSError when there is none.

    The library alone would make them sparse. A write into a mapped page that a full disk cannot back is a SIGBUS: the
    end of a service that should have gone on serving files.
    """
    for kind in kinds:
        with (directory / f"{kind}_{process}.db").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, _RESERVED_BYTES)


def running_directory(parent: Path) -> Path | None:
    """The directory of the instance that runs with this `parent`, the latest if there are several, else None."""
    running = [directory for directory in _runs(parent) if _is_running(directory)]
    return max(running, key=lambda directory: directory.stat().st_ctime, default=None)


def dead_processes(directory: Path) -> set[int]:
    """Ids of processes that left files `*_<pid>.db` in `directory` and are gone.

    All processes of a run live in one process-id namespace, so asking the kernel is right here.
    """
    pids = {int(pid) for file in directory.glob("*.db") if (pid := file.stem.rpartition("_")[2]).isdecimal()}
    return {pid for pid in pids if not _is_alive(pid)}


def _runs(parent: Path) -> list[Path]:
    return [path.absolute() for path in parent.glob(f"{_PREFIX}*") if path.is_dir()]


@contextmanager
def _locked(parent: Path) -> Iterator[None]:
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _try_lock(directory: Path) -> int | None:
    """The descriptor that holds the lock, or None when another process has it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_running(directory: Path) -> bool:
    with suppress(FileNotFoundError):
        lock = _try_lock(directory)
        if lock is None:
            return True
        os.close(lock)
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
