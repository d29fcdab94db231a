"""Machine-wide slots: how much work runs at once across all server processes that share a directory.

A slot is an flock(2) on a small file, so the kernel gives it back when its holder dies in whatever way. Imports
nothing of ours.
"""

import asyncio
import fcntl
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_LEAST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.008


class MachineSlots:
    """`slots` slots shared by every process of this machine that names the same `directory` (made when missing).

    The lock files stay behind empty; they are never deleted, because two generations of one file would be two slots.
    Raises OSError when the directory cannot be used or its file system has no flock(2).
    """

    def __init__(self, directory: Path, slots: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._files = [
            os.open(directory / f"slot-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            for number in range(slots)
        ]
        self.heavy_lock = (directory / "heavy.lock").absolute()
        """Where workers take turns with memory-hungry jobs; made by the first of them."""
        self._held: set[int] = set()
        # Only one task of a process polls, the others queue behind it: first come, first served within a process.
        self._turn = asyncio.Lock()

    @property
    def held(self) -> int:
        """Slots that this object holds now."""
        return len(self._held)

    def try_acquire(self) -> int | None:
        """A slot number when one is free now and nobody here waits for one, else None. Costs microseconds."""
        return None if self._turn.locked() else self._try_each()

    async def acquire(self) -> int:
        """Wait for a slot; cancelling the wait takes nothing.

        Between processes the order is a lottery: flock(2) has no queue that could be awaited without a thread, so
        each process asks again after a random pause of 1 to 8 ms.
        """
        async with self._turn:
            while (slot := self._try_each()) is None:
                pause_s = random.uniform(_LEAST_PAUSE_S, _LONGEST_PAUSE_S)  # noqa: S311 - a lottery, not a secret
                await asyncio.sleep(pause_s)
            return slot

    def release(self, slot: int) -> None:
        """Give `slot` back. Raises KeyError for one that is not held."""
        self._held.remove(slot)
        # Unlocked by name rather than by close(2): a child between fork and exec still shares the descriptor.
        fcntl.flock(self._files[slot], fcntl.LOCK_UN)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[int]:
        """A slot for the length of the block."""
        slot = await self.acquire()
        try:
            yield slot
        finally:
            self.release(slot)

    def close(self) -> None:
        """Give everything back and close the files; a second call does nothing."""
        for slot in list(self._held):
            self.release(slot)
        while self._files:
            os.close(self._files.pop())

    def _try_each(self) -> int | None:
        for slot, descriptor in enumerate(self._files):
            if slot in self._held:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            self._held.add(slot)
            return slot
        return None
