"""Memory-hungry jobs of one machine take turns; small ones do not wait for them."""

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from app.core.processing.workers import heavy_work

_CONTEXT = multiprocessing.get_context("spawn")
_LONG_S = 30.0


def work(  # noqa: PLR0917 - a process takes no keywords
    lock: Path, needed_bytes: int, max_wait_s: float, ready: Event, begun: Event, may_end: Event
) -> None:
    heavy_work.share(lock)
    heavy_work.MAX_WAIT_S = max_wait_s
    ready.set()
    with heavy_work.turn(needed_bytes):
        begun.set()
        may_end.wait(_LONG_S)


@dataclass
class Job:
    process: SpawnProcess
    begun: Event
    may_end: Event


class Jobs:
    def __init__(self, lock: Path) -> None:
        self._lock = lock
        self._jobs: list[Job] = []

    def start(self, needed_bytes: int, *, max_wait_s: float = _LONG_S) -> Job:
        """A job that is about to take its turn, or has it."""
        ready, begun, may_end = _CONTEXT.Event(), _CONTEXT.Event(), _CONTEXT.Event()
        process = _CONTEXT.Process(target=work, args=(self._lock, needed_bytes, max_wait_s, ready, begun, may_end))
        self._jobs.append(Job(process, begun, may_end))
        process.start()
        assert ready.wait(_LONG_S)
        return self._jobs[-1]

    def end(self) -> None:
        for job in self._jobs:
            if job.process.is_alive():  # the event of a killed one may be locked for ever
                job.may_end.set()
            job.process.join(_LONG_S)


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(tmp_path / "heavy.lock")
    yield jobs
    jobs.end()


def test_a_second_heavy_job_waits_for_the_first(jobs: Jobs) -> None:
    first = jobs.start(heavy_work.HEAVY_FROM_BYTES)
    assert first.begun.wait(_LONG_S)
    second = jobs.start(heavy_work.HEAVY_FROM_BYTES)

    assert not second.begun.wait(0.3)
    first.may_end.set()
    assert second.begun.wait(_LONG_S)


def test_a_killed_job_gives_its_turn_back(jobs: Jobs) -> None:
    first = jobs.start(heavy_work.HEAVY_FROM_BYTES)
    assert first.begun.wait(_LONG_S)
    second = jobs.start(heavy_work.HEAVY_FROM_BYTES)
    first.process.kill()
    first.process.join(_LONG_S)

    assert second.begun.wait(_LONG_S)


def test_a_turn_that_is_never_given_back_is_not_waited_for_without_end(jobs: Jobs) -> None:
    assert jobs.start(heavy_work.HEAVY_FROM_BYTES).begun.wait(_LONG_S)
    assert jobs.start(heavy_work.HEAVY_FROM_BYTES, max_wait_s=0.2).begun.wait(_LONG_S)


def test_a_small_job_does_not_wait(jobs: Jobs) -> None:
    assert jobs.start(heavy_work.HEAVY_FROM_BYTES).begun.wait(_LONG_S)
    assert jobs.start(heavy_work.HEAVY_FROM_BYTES - 1).begun.wait(_LONG_S)
