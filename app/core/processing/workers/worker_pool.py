"""Keeps a number of workers alive and lends them out, first come, first served; knows nothing of files.

Each worker has a keeper: a task that starts it, waits for its end, whatever ended it, and starts the next. So a killed
worker needs no handling where it was killed, and one that dies idle is replaced like any other. One more worker comes
when it is wanted and goes when it has been idle for long.
"""

import asyncio
import contextlib
import itertools
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from app.core.concurrency import finish
from app.core.errors import ServiceError, ShuttingDown, Unavailable
from app.core.logging import get_logger
from app.core.metrics import WorkerEnd, worker_ended
from app.core.processing.workers.worker import WorkerArguments
from app.core.processing.workers.worker_box import WorkerBox
from app.core.processing.workers.worker_process import WorkerProcess, WorkerStartError

log = get_logger(__name__)

_BACKOFF_S = (0.0, 0.2, 1.0, 5.0, 15.0)
_STABLE_AFTER_S = 2.0
_EXTRA_LIVES_S = 300.0
_WATCH_EVERY_S = 0.2
_IDLE_WATCHED_EVERY = 10


class WorkerPool:
    """`size` workers started with `arguments`, each with a box of its own under `boxes_dir`.

    hold_boxes_dir: called in a thread before each box is made, to have the directory above `boxes_dir` in its place.
    on_change: called when a worker has come or gone, also while nobody asks for one.
    """

    def __init__(
        self,
        arguments: WorkerArguments,
        *,
        size: int,
        boxes_dir: Path,
        hold_boxes_dir: Callable[[], None] | None = None,
        on_change: Callable[[], None],
    ) -> None:
        self._arguments, self._size, self._boxes_dir = arguments, size, boxes_dir
        self._hold_boxes_dir = hold_boxes_dir
        self._on_change = on_change
        self._extra: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._keepers: list[asyncio.Task[None]] = []
        self._alive: set[WorkerProcess] = set()
        self._idle: list[WorkerProcess] = []
        self._waiters: deque[asyncio.Future[WorkerProcess]] = deque()
        self._failed_starts = 0
        self._is_extra_unused = False
        self._news = asyncio.Event()
        self.is_closing = False
        self.confinement: Mapping[str, str] = {}
        """What the newest worker reported, see `confinement.confine`."""
        self.ended: Counter[str] = Counter()
        """Workers that ended, by WorkerEnd; a shutdown does not count."""

    @property
    def alive(self) -> list[WorkerProcess]:
        """The workers that are idle or lent out."""
        return list(self._alive)

    @property
    def _wanted(self) -> int:
        has_extra = self._extra is not None and not self._extra.done()
        return self._size + has_extra

    @property
    def lent(self) -> int:
        """Workers that somebody has."""
        return len(self._alive) - len(self._idle)

    async def start(self) -> None:
        """Start all workers side by side; returns when each is ready. Raises Unavailable, the cause is in the log."""
        starts = [asyncio.get_running_loop().create_future() for _ in range(self._size)]
        self._keepers = [asyncio.create_task(self._keep(started), name="sandbox-keeper") for started in starts]
        self._watcher = asyncio.create_task(self._watch(), name="sandbox-watcher")
        try:
            await asyncio.gather(*starts)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Kill every worker; returns when no process and no pipe is left. Waiting callers get ShuttingDown."""
        self.is_closing = True
        self._news.set()
        self._refuse_waiters()
        tasks = [*self._keepers, *(task for task in (self._extra, self._watcher) if task is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._keepers.clear()

    def want_extra(self) -> None:
        """Have one worker more for the next minutes; it is there in about a second."""
        if not self.is_closing and (self._extra is None or self._extra.done()):
            self._extra = asyncio.create_task(self._keep_extra(), name="sandbox-extra")
            self._extra.add_done_callback(lambda _: self._news.set())

    async def has_successors(self) -> None:
        """Return when every worker that ended has its successor, or when one of those could not be started."""
        while len(self._alive) < self._wanted and not self._failed_starts and not self.is_closing:
            self._news.clear()
            await self._news.wait()

    async def take(self) -> WorkerProcess:
        """A worker, at once or after waiting; pass it to `give_back` in any case.

        Raises Unavailable while no worker can be started, ShuttingDown.
        """
        while self._idle:
            # The one used last has the warmest caches.
            worker = self._idle.pop()
            if worker.is_usable:
                return worker
        if (refusal := self._refusal()) is not None:
            raise refusal
        waiter: asyncio.Future[WorkerProcess] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            # Cancelled in the moment between being given a worker and waking up.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give_back(waiter.result())
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)

    def retire_boxless(self) -> None:
        """End the idle workers whose boxes have vanished, so that nobody waits for one after the other of them."""
        for worker in list(self._idle):
            if worker.box.is_gone:
                self._idle.remove(worker)
                worker.kill(WorkerEnd.RETIRED)

    def give_back(self, worker: WorkerProcess) -> None:
        """To whoever has waited longest; one that is of no more use is left to its keeper."""
        if not worker.is_usable or self.is_closing:
            return
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(worker)
                return
        self._idle.append(worker)

    async def _keep(self, started: asyncio.Future[None]) -> None:
        """Have one worker at all times; the next comes at once, or later when the last ones fell over by themselves."""
        failures = 0
        while True:
            await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
            try:
                failures = 0 if await self._live(started) else failures + 1
            except WorkerStartError:
                failures += 1
                self._failed_starts += 1
                self._news.set()
                log.exception("sandbox.worker_start_failed", attempt=failures)
                if not started.done():
                    started.set_exception(_no_worker())
                if self._refusal() is not None:
                    self._refuse_waiters()

    async def _keep_extra(self) -> None:
        """The extra worker; it has a successor unless nobody has used it for long."""
        self._is_extra_unused = False
        with contextlib.suppress(WorkerStartError):  # as long as it does not start, things are as they were
            while not self._is_extra_unused:
                await self._live(asyncio.get_running_loop().create_future(), idle_s=_EXTRA_LIVES_S)

    async def _live(self, started: asyncio.Future[None], *, idle_s: float | None = None) -> bool:
        """One worker's life; True when it did some work or lasted. It ends when it is found idle every `idle_s`."""
        began = time.monotonic()
        box = await self._make_box()
        try:
            worker, report = await WorkerProcess.start(replace(self._arguments, parent_pid=os.getpid()), box)
            try:
                return await self._serve(worker, report, started, began=began, idle_s=idle_s)
            finally:
                await worker.close(WorkerEnd.RETIRED)  # does nothing unless this keeper was cancelled
        finally:
            await finish(asyncio.to_thread(box.remove))

    async def _make_box(self) -> WorkerBox:
        try:
            if self._hold_boxes_dir is not None:
                await asyncio.to_thread(self._hold_boxes_dir)
            return await asyncio.to_thread(WorkerBox.make, self._boxes_dir)
        except (OSError, ServiceError) as exc:
            raise WorkerStartError(repr(exc.__cause__ or exc)) from exc

    async def _serve(
        self,
        worker: WorkerProcess,
        report: Mapping[str, str],
        started: asyncio.Future[None],
        *,
        began: float,
        idle_s: float | None,
    ) -> bool:
        ready = time.monotonic()
        log.info("sandbox.worker_started", pid=worker.pid, took_s=round(ready - began, 3))
        self.confinement = report
        try:
            self._failed_starts = 0
            self._alive.add(worker)
            self._news.set()
            self.give_back(worker)
            self._on_change()
            if not started.done():
                started.set_result(None)
            while not await worker.has_closed_within(idle_s):
                if worker in self._idle:
                    self._is_extra_unused = True
                    worker.kill(WorkerEnd.RETIRED)
        finally:
            self._alive.discard(worker)
            with contextlib.suppress(ValueError):
                self._idle.remove(worker)
            self._on_change()
        self._note_end(worker)
        # A crash in the midst of a job is the file's doing, and the next file must not wait for it.
        return (
            worker.end is not WorkerEnd.CRASHED or worker.jobs_begun > 0 or time.monotonic() - ready > _STABLE_AFTER_S
        )

    def _note_end(self, worker: WorkerProcess) -> None:
        end = worker.end or WorkerEnd.CRASHED
        self.ended[end] += 1
        worker_ended(end)
        if end is WorkerEnd.RETIRED:
            log.info("sandbox.worker_retired", pid=worker.pid, jobs=worker.jobs_done)
        else:
            stderr = worker.stderr_tail.decode("ascii", "backslashreplace")
            log.warning("sandbox.worker_killed", pid=worker.pid, reason=end, returncode=worker.returncode,
                        jobs=worker.jobs_done, stderr=stderr)  # fmt: skip

    async def _watch(self) -> None:
        """End workers that take more of the machine than a job may; idle ones, which do nothing, are seldom looked at.

        Their boxes hold a few names at most, or are found full, so a look costs some 20 microseconds.
        """
        for round_number in itertools.count():
            await asyncio.sleep(_WATCH_EVERY_S)
            for worker in self.alive:
                is_looked_at = worker not in self._idle or round_number % _IDLE_WATCHED_EVERY == 0
                if is_looked_at and (end := worker.excess()) is not None:
                    worker.kill(end)

    def _refusal(self) -> ShuttingDown | Unavailable | None:
        """Why nobody should wait for a worker now."""
        if self.is_closing:
            return ShuttingDown()
        is_hopeless = not self._alive and (not self._keepers or self._failed_starts >= self._size)
        return _no_worker() if is_hopeless else None

    def _refuse_waiters(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(self._refusal() or _no_worker())


def _no_worker() -> Unavailable:
    return Unavailable("Files cannot be processed at the moment; try again shortly.")
