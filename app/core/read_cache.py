"""A short memory for public reads: bounded, and right the moment a change was answered, in every process of a machine.

Each entry remembers the mark of its subject's slot in a small file that all server processes map into memory. Who
changes a subject puts a new random mark there after the COMMIT and before the answer, so no process serves what was
true before. Who learns of changes elsewhere moves the marks in the same way. Knows nothing of media.
"""

import mmap
import os
import time
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

_SLOTS = 16_384
_EVERYTHING, _ANYTHING = _SLOTS, _SLOTS + 1
_MARK_BYTES = 8
_FILE_BYTES = (_SLOTS + 2) * _MARK_BYTES

Marks: TypeAlias = tuple[int, int]
Value = TypeVar("Value")


class ChangeMarks:
    """One mark per slot of subjects, shared by the processes that name the same file; `close` at the end."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when the file cannot be made or mapped."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.ftruncate(fd, _FILE_BYTES)
            # Not sparse: a store into a mapped page that a full disk cannot back is a SIGBUS, the end of the service.
            os.posix_fallocate(fd, 0, _FILE_BYTES)
            self._map = mmap.mmap(fd, _FILE_BYTES)
        finally:
            os.close(fd)
        # Aligned eight-byte stores are whole on every processor we run on: nobody reads half a mark.
        self._marks = memoryview(self._map).cast("Q")

    def of(self, subject: str) -> Marks:
        """The marks that hold for `subject` now; take them before reading what is to be kept."""
        return self._marks[_slot(subject)], self._marks[_EVERYTHING]

    def latest(self) -> int:
        """A mark that every change moves: for reads that find out their subject only by reading."""
        return self._marks[_ANYTHING]

    def change(self, subject: str) -> None:
        """`subject` is not what it was."""
        self._move(_slot(subject))

    def change_all(self) -> None:
        """Nothing is what it was."""
        self._move(_EVERYTHING)

    def close(self) -> None:
        """Unmap the file; the other processes keep theirs."""
        self._marks.release()
        self._map.close()

    def _move(self, slot: int) -> None:
        # Random rather than counted: two changes at once could count to the same number.
        self._marks[slot] = int.from_bytes(os.urandom(_MARK_BYTES))
        self._marks[_ANYTHING] = int.from_bytes(os.urandom(_MARK_BYTES))


class ReadCache(Generic[Value]):
    """At most `size` values, each for at most `ttl_s` seconds; `ttl_s` 0 keeps none."""

    def __init__(self, marks: ChangeMarks, *, size: int, ttl_s: float) -> None:
        self._marks = marks
        self._size = size
        self._ttl_s = ttl_s
        self._entries: OrderedDict[str, tuple[Value, str, Marks, float]] = OrderedDict()

    def keep_for(self, ttl_s: float) -> None:
        """From now on keep values for `ttl_s` seconds, and none of those that are kept now."""
        self._ttl_s = ttl_s
        self._entries.clear()

    def get(self, key: str) -> Value | None:
        """What was put under `key`, unless it is old or its subject has changed."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, subject, marks, stored_at = entry
        if time.monotonic() - stored_at > self._ttl_s or self._marks.of(subject) != marks:
            del self._entries[key]
            return None
        return value

    def put(self, key: str, value: Value, *, subject: str, marks: Marks) -> None:
        """Keep `value`, which speaks of `subject` and was read after `marks` were taken for it."""
        if not self._ttl_s:
            return
        self._entries[key] = (value, subject, marks, time.monotonic())
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


def _slot(subject: str) -> int:
    return zlib.crc32(subject.encode()) % _SLOTS
