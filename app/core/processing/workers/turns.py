"""Whose file is next: a queue that is fair by user, before the workers of a process and the slots of the machine.

Who has the fewest files at work comes first, and among those who has waited longest. When one user holds everything
that the machine has, another one does not wait for it: there is one turn more than workers, for such a case alone.
"""

import asyncio
import contextlib
import random
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from app.core.errors import ServiceBusy, ServiceError
from app.core.machine_slots import MachineSlots

User: TypeAlias = uuid.UUID | None
"""None is the service itself; nobody steps before it or behind it."""

_LEAST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.008
_HOGGED_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Turn:
    """Leave to run one file. slot: of the machine, None where there are none.  is_extra: beyond the workers."""

    user: User
    slot: int | None
    is_extra: bool


class Turns:
    """`size` turns at once and one extra; at most `queue_size` callers wait.

    on_hogged: called when one user has had every turn for a while, so that an extra worker can be made ready.
    """

    def __init__(
        self, *, size: int, queue_size: int, slots: MachineSlots | None, on_hogged: Callable[[], None]
    ) -> None:
        self._size, self._queue_size, self._slots, self._on_hogged = size, queue_size, slots, on_hogged
        self._running: Counter[User] = Counter()
        # In the order in which the users come next; nobody is in it who does not wait.
        self._queues: dict[User, deque[asyncio.Future[Turn]]] = {}
        self._next_look: asyncio.TimerHandle | None = None
        self._hog_timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Callers that wait in `take`."""
        return sum(map(len, self._queues.values()))

    async def take(self, user: User) -> Turn:
        """A turn, at once or after waiting; pass it to `give_back` in any case. Cancelling the wait takes nothing.

        Raises ServiceBusy when the queue is full; also later on, when others need the place of who has most of them.
        """
        if not self._queues and (turn := self._try(user)) is not None:
            return turn
        self._make_place(user)
        waiter: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(user, deque()).append(waiter)
        self._dispatch()
        try:
            return await waiter
        except asyncio.CancelledError:
            # Cancelled in the moment between being given a turn and waking up.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give_back(waiter.result())
            raise
        finally:
            self._forget(user, waiter)

    def give_back(self, turn: Turn) -> None:
        """To whoever is next."""
        self._running[turn.user] -= 1
        if not self._running[turn.user]:
            del self._running[turn.user]
        if self._slots is not None and turn.slot is not None:
            self._slots.release(turn.slot)
        if self._hog_timer is not None:
            self._hog_timer.cancel()
            self._hog_timer = None
        self._dispatch()

    def close(self, error: ServiceError) -> None:
        """Everybody who waits gets `error`."""
        for queue in list(self._queues.values()):
            for waiter in queue:
                if not waiter.done():
                    waiter.set_exception(error)
        self._queues.clear()
        if self._next_look is not None:
            self._next_look.cancel()

    def _try(self, user: User) -> Turn | None:
        if not self._has_room(user):
            return None
        is_extra = self._running.total() >= self._size
        slot = None
        if self._slots is not None:
            slot = self._slots.try_acquire(None if user is None else user.bytes)
            if slot is None:
                return None
        self._running[user] += 1
        self._watch_hog()
        return Turn(user, slot, is_extra)

    def _has_room(self, user: User) -> bool:
        return self._running.total() < self._size or self._is_hogged(before=user)

    def _is_hogged(self, *, before: User) -> bool:
        """Whether one user has every turn, and `before` is another."""
        others = self._running.keys() - {before}
        is_one = len(self._running) == len(others) == 1 and self._running.total() == self._size
        return is_one and before is not None and None not in others

    def _watch_hog(self) -> None:
        is_one = len(self._running) == 1 and None not in self._running
        if is_one and self._running.total() == self._size and self._hog_timer is None:
            self._hog_timer = asyncio.get_running_loop().call_later(_HOGGED_AFTER_S, self._on_hogged)

    def _dispatch(self) -> None:
        while self._queues:
            # `min` keeps the order among equals.
            user = min(self._queues, key=lambda waiting: self._running[waiting])
            turn = self._try(user)
            if turn is None:
                self._look_again(user)
                return
            queue = self._queues.pop(user)
            waiter = queue.popleft()
            if queue:
                self._queues[user] = queue
            if waiter.done():
                self.give_back(turn)
                return
            waiter.set_result(turn)

    def _look_again(self, user: User) -> None:
        """Other processes have the slots, and nobody tells when they are free: flock(2) has no queue to be awaited."""
        slots = self._slots
        if slots is None or slots.holds_all or self._next_look is not None or not self._has_room(user):
            return
        pause_s = random.uniform(_LEAST_PAUSE_S, _LONGEST_PAUSE_S)  # noqa: S311 - a lottery, not a secret
        self._next_look = asyncio.get_running_loop().call_later(pause_s, self._look)

    def _look(self) -> None:
        self._next_look = None
        self._dispatch()

    def _make_place(self, user: User) -> None:
        """Room for one more of `user`. A full queue is shared: who has the most gives up the last place he took."""
        if self.waiting < self._queue_size:
            return
        most = max(self._queues, key=lambda waiting: len(self._queues[waiting]), default=None)
        if most not in self._queues or len(self._queues[most]) <= len(self._queues.get(user, ())) + 1:
            raise ServiceBusy
        waiter = self._queues[most].pop()
        if not waiter.done():
            waiter.set_exception(ServiceBusy())

    def _forget(self, user: User, waiter: asyncio.Future[Turn]) -> None:
        queue = self._queues.get(user)
        if queue is not None:
            with contextlib.suppress(ValueError):
                queue.remove(waiter)
            if not queue:
                del self._queues[user]
