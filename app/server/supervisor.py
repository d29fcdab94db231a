"""Several worker processes on one listening socket: started, watched, started again, stopped together.

Workers are forked from this process, which has everything imported, no event loop and no thread: one starts in
milliseconds instead of two seconds and shares the memory of what was imported. What a worker does is a function it is
given.
"""

import ctypes
import gc
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from types import FrameType
from typing import Final

from app.core.logging import get_logger

STARTUP_FAILURE: Final = 3
"""Exit code of a worker that could not start; the same as the server library's."""

_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG: Final = 1
_POLL_S: Final = 0.25
_SETTLED_AFTER_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 10.0
_KILL_MARGIN_S: Final = 5.0

log = get_logger(__name__)


@dataclass(slots=True)
class _Worker:
    process: ForkProcess
    started_at: float
    failures: int
    restart_at: float = field(default=0.0)


class Supervisor:
    """Runs `workers` processes of `target(listener)`; `run()` returns the exit code of the whole.

    target: runs in the child; what it inherits from here it must not share by mistake.  grace_s: how long a worker may
    take to finish after SIGTERM before it is killed.  is_viable: asked several times a second; once it says no, all
    is stopped as after SIGTERM.
    """

    def __init__(
        self,
        target: Callable[[socket.socket], None],
        listener: socket.socket,
        *,
        workers: int,
        grace_s: float,
        is_viable: Callable[[], bool] = lambda: True,
    ) -> None:
        self._target = target
        self._listener = listener
        self._count = workers
        self._grace_s = grace_s
        self._is_viable = is_viable
        self._context = multiprocessing.get_context("fork")
        self._workers: list[_Worker] = []
        self._is_stopping = False
        self._has_settled = False

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT (0), or until the workers turn out unable to start (STARTUP_FAILURE)."""
        for number in _STOP_SIGNALS:
            signal.signal(number, self._on_signal)
        # What exists now stays for good: the collector need not touch it, so the workers' pages of it stay shared.
        gc.collect()
        gc.freeze()
        self._workers = [self._start(failures=0) for _ in range(self._count)]
        exit_code = 0
        while not self._is_stopping and self._is_viable():
            # A signal handler runs in between, so a stop is seen after one poll at the latest.
            wait([worker.process.sentinel for worker in self._workers if worker.process.is_alive()], timeout=_POLL_S)
            if not self._is_stopping and not self._revive():
                exit_code = STARTUP_FAILURE
                break
        self._stop()
        return exit_code

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True

    def _start(self, *, failures: int) -> _Worker:
        process = self._context.Process(target=_run_worker, args=(self._target, self._listener, os.getpid()))
        # A stop that arrives in between must not be taken by our handler in the child, which would only note it.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        log.info("worker.started", worker_pid=process.pid)
        return _Worker(process, started_at=time.monotonic(), failures=failures)

    def _revive(self) -> bool:
        """Start again what has ended, ever more slowly while it keeps ending; False when nothing ever started."""
        now = time.monotonic()
        for index, worker in enumerate(self._workers):
            if worker.process.is_alive():
                self._has_settled |= now - worker.started_at > _SETTLED_AFTER_S
                continue
            if worker.restart_at == 0.0:
                exit_code = worker.process.exitcode
                log.error("worker.ended", worker_pid=worker.process.pid, exit_code=exit_code)
                # A wrong setting fails again in the same way; later on the cause is outside (a database that is
                # down for a moment) and giving up would take the service with it.
                if exit_code == STARTUP_FAILURE and not self._has_settled:
                    return False
                short_lived = now - worker.started_at < _SETTLED_AFTER_S
                worker.failures = worker.failures + 1 if short_lived else 0
                worker.restart_at = now + min(_LONGEST_PAUSE_S, 0.1 * 2**worker.failures if short_lived else 0.0)
            if now >= worker.restart_at:
                worker.process.close()
                self._workers[index] = self._start(failures=worker.failures)
        # wait() returns at once for an empty list, so a pause between two starts must not become a busy loop.
        if not any(worker.process.is_alive() for worker in self._workers):
            time.sleep(_POLL_S)
        return True

    def _stop(self) -> None:
        for worker in self._workers:
            if worker.process.is_alive():
                worker.process.terminate()
        # Workers close theirs when they have drained; kept open here, the port would swallow new connections unheard.
        self._listener.close()
        deadline = time.monotonic() + self._grace_s + _KILL_MARGIN_S
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                log.error("worker.killed", worker_pid=worker.process.pid)
                worker.process.kill()
                worker.process.join()


def _run_worker(target: Callable[[socket.socket], None], listener: socket.socket, supervisor_pid: int) -> None:
    """What a worker process runs: `target(listener)`, ended by SIGTERM when the supervisor is gone.

    Without that, workers of a killed supervisor would keep the port and a new service could not start.
    """
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != supervisor_pid:  # it died before the line above
        return
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    target(listener)
