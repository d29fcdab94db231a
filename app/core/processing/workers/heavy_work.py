"""One memory-hungry job at a time on this machine: a turn is an flock(2) on a file that all workers share.

Two pictures of 120 megapixels decoded side by side would need more memory than the whole service may have; one after
the other they need half. Small jobs never wait.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.core.media_types import MIB

HEAVY_FROM_BYTES = 96 * MIB
"""Decoded bytes from which a job takes turns; a photo of 24 megapixels stays below."""

MAX_WAIT_S = 30.0
"""Longer than any honest turn: whoever has it then was taken over, and must not keep others from their pictures."""
_POLL_S = 0.01

_lock: list[int] = []


def share(path: Path) -> None:
    """Take turns with every worker that shares `path`; called before the confinement, which allows no new files."""
    _lock.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


@contextmanager
def turn(needed_bytes: int) -> Iterator[None]:
    """Hold the machine's one heavy turn for the time of the block when `needed_bytes` are many.

    Waiting costs next to no CPU time, but counts for the wall time of the job. Nothing is held where no file is shared,
    nor after `MAX_WAIT_S`.
    """
    if needed_bytes < HEAVY_FROM_BYTES or not _lock:
        yield
        return
    deadline = time.monotonic() + MAX_WAIT_S
    while not _has_turn() and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        fcntl.flock(_lock[0], fcntl.LOCK_UN)


def _has_turn() -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(_lock[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
