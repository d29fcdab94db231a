"""A short memory for public reads: bounded, and right the moment a change was answered, in every process of a machine.

Each entry remembers the mark of its slot in a small file that all server processes map into memory. Who changes a
media puts a new random mark there after the COMMIT and before the answer, so no process serves what was true before.
On other machines the change shows after `ttl_s` at the latest. Knows nothing of media.
"""

import mmap
import os
import time
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

_SLOTS = 16_384
_MARK_BYTES = 8

Marks: TypeAlias = tuple[int, int]

Value = TypeVar("Value")


class ChangeMarks:
    """One mark per slot of subjects, shared by the processes that name the same file; `close` at the end."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when the file cannot be made or mapped."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.ftruncate(fd, (_SLOTS + 1) * _MARK_BYTES)
            self._map = mmap.mmap(fd, (_SLOTS + 1) * _MARK_BYTES)
        finally:
            os.close(fd)
        # Aligned eight-byte stores are whole on every processor we run on: nobody reads half a mark.
        self._marks = memoryview(self._map).cast("Q")

    def of(self, subject: str) -> Marks:
        """The marks that hold for `subject` now: its slot's and the one for everything. Take them before reading."""
        return self._marks[_slot(subject)], self._marks[_SLOTS]

    def change(self, *subjects: str) -> None:
        """They are not what they were; random rather than counted, so that two at once cannot make the same mark."""
        for subject in subjects:
            self._marks[_slot(subject)] = int.from_bytes(os.urandom(_MARK_BYTES))

    def change_all(self) -> None:
        """Nothing is what it was."""
        self._marks[_SLOTS] = int.from_bytes(os.urandom(_MARK_BYTES))

    def close(self) -> None:
        self._marks.release()
        self._map.close()


class ReadCache(Generic[Value]):
    """At most `size` values, each for at most `ttl_s` seconds; `ttl_s` 0 keeps none."""

    def __init__(self, marks: ChangeMarks, *, size: int, ttl_s: float) -> None:
        self._marks = marks
        self._size = size
        self._ttl_s = ttl_s
        self._entries: OrderedDict[str, tuple[Value, Marks, float]] = OrderedDict()

    def get(self, subject: str) -> Value | None:
        """What was put for `subject`, unless it is old or has changed."""
        entry = self._entries.get(subject)
        if entry is None:
            return None
        value, marks, stored_at = entry
        if time.monotonic() - stored_at > self._ttl_s or self._marks.of(subject) != marks:
            del self._entries[subject]
            return None
        return value

    def put(self, subject: str, value: Value, *, marks: Marks) -> None:
        """Keep `value`, which was read after `marks` were taken for `subject`."""
        if not self._ttl_s:
            return
        self._entries[subject] = (value, marks, time.monotonic())
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


def _slot(subject: str) -> int:
    return zlib.crc32(subject.encode()) % _SLOTS
