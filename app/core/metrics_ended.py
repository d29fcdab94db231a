"""Adds up what ended processes have counted, so that their files may go; knows the files' arithmetic and no library.

Counters must not fall when a server process is killed and started again, so its numbers move into files of the name
`*_ended.db`. Otherwise a service whose processes are replaced now and then keeps 2 MiB for each until it stops, and
reads them all at every scrape.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from app.core.metrics_directory import dead_processes, reserve_room

ENDED = "ended"


class Values(Protocol):
    """A file of numbers, each with the time of its last change, as the metrics library keeps them."""

    def read_value(self, key: str) -> tuple[float, float]: ...
    def write_value(self, key: str, value: float, timestamp: float) -> None: ...
    def close(self) -> None: ...


class ValuesFormat(Protocol):
    """How the library opens such a file, and reads one that is not open."""

    def __call__(self, filename: str) -> Values: ...
    def read_all_values_from_file(self, filename: str) -> Iterable[tuple[str, float, float, int]]: ...


@contextmanager
def reading(directory: Path) -> Iterator[None]:
    """The files of `directory` stay as they are for the time of the block; others may read as well."""
    with _locked(directory, fcntl.LOCK_SH):
        yield


def fold_ended(directory: Path, *, kinds: Iterable[str], values: ValuesFormat) -> None:
    """Move the numbers of every ended process into the files of the ended, and remove its own.

    kinds: of the files whose numbers last; those of all others say what a process has now, and go with it.  Raises
    OSError when the disk has no room for the files of the ended; nothing is lost then.
    """
    with _locked(directory, fcntl.LOCK_EX):
        ended = dead_processes(directory)
        if ended:
            reserve_room(directory, ENDED, kinds)
        for pid in ended:
            for kind in kinds:
                _add(
                    directory / f"{kind}_{pid}.db", directory / f"{kind}_{ENDED}.db", values, is_sum="gauge" not in kind
                )
            for file in directory.glob(f"*_{pid}.db"):
                file.unlink()


def _add(source: Path, target: Path, values: ValuesFormat, *, is_sum: bool) -> None:
    if not source.exists():
        return
    total = values(str(target))
    try:
        for key, value, timestamp, _ in values.read_all_values_from_file(str(source)):
            before, before_at = total.read_value(key)
            if is_sum:
                total.write_value(key, before + value, 0.0)
            elif timestamp > before_at:
                total.write_value(key, value, timestamp)
    finally:
        total.close()


@contextmanager
def _locked(directory: Path, operation: int) -> Iterator[None]:
    # Not the directory itself: its lock is held by the run for as long as it lives.
    descriptor = os.open(directory / "reading.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)
