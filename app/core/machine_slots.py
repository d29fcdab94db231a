"""Machine-wide slots: how much work runs at once across all server processes that share a directory.

A slot is an flock(2) on a small file, so the kernel gives it back when its holder dies in whatever way; the file says
for whom it is held. Imports nothing of ours.
"""

import fcntl
import os
from pathlib import Path

_NOBODY = bytes(16)


class MachineSlots:
    """`slots` slots shared by every process of this machine that names the same `directory` (made when missing).

    One more is for whoever would wait for a single user that holds all of them. The lock files stay behind; they are
    never deleted, because two generations of one file would be two slots.
    Raises OSError when the directory cannot be used or its file system has no flock(2).
    """

    def __init__(self, directory: Path, slots: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        names = [*(f"slot-{number}.lock" for number in range(slots)), "slot-extra.lock"]
        self._files = [os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for name in names]
        self._extra = slots
        self.heavy_lock = (directory / "heavy.lock").absolute()
        """Where workers take turns with memory-hungry jobs; made by the first of them."""
        self._held: set[int] = set()

    @property
    def held(self) -> int:
        """Slots that this object holds now."""
        return len(self._held)

    @property
    def holds_all(self) -> bool:
        """Whether no other process has a slot that could become free for us."""
        return len(self._held - {self._extra}) == self._extra

    def try_acquire(self, user: bytes | None = None) -> int | None:
        """A slot number when one is free now, else None. Costs microseconds.

        user: 16 bytes that name for whom; it may be the one to get the extra slot.
        """
        for slot in range(self._extra):
            if self._try(slot, user):
                return slot
        if user is not None and self._are_all_held_by_one(other_than=user) and self._try(self._extra, user):
            return self._extra
        return None

    def release(self, slot: int) -> None:
        """Give `slot` back. Raises KeyError for one that is not held."""
        self._held.remove(slot)
        # Unlocked by name rather than by close(2): a child between fork and exec still shares the descriptor.
        fcntl.flock(self._files[slot], fcntl.LOCK_UN)

    def close(self) -> None:
        """Give everything back and close the files; a second call does nothing."""
        for slot in list(self._held):
            self.release(slot)
        while self._files:
            os.close(self._files.pop())

    def _try(self, slot: int, user: bytes | None) -> bool:
        if slot in self._held:
            return False
        try:
            fcntl.flock(self._files[slot], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._held.add(slot)
        os.pwrite(self._files[slot], user or _NOBODY, 0)
        return True

    def _are_all_held_by_one(self, *, other_than: bytes) -> bool:
        # A slot that changes hands meanwhile only means one file more or less at once, for as long as that file takes.
        users = {os.pread(self._files[slot], len(_NOBODY), 0) for slot in range(self._extra)}
        return len(users) == 1 and users.isdisjoint({_NOBODY, other_than, b""})
