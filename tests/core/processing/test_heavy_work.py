"""Memory-hungry jobs of one machine take turns; small ones do not wait for them."""

import multiprocessing
import time
from multiprocessing.synchronize import Event
from pathlib import Path

from app.core.processing import heavy_work


def hold(lock: Path, needed_bytes: int, started: Event, seconds: float) -> None:
    heavy_work.share(lock)
    with heavy_work.turn(needed_bytes):
        started.set()
        time.sleep(seconds)


def seconds_until_a_second_one_starts(lock: Path, needed_bytes: int) -> float:
    context = multiprocessing.get_context("spawn")
    first, second = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(lock, heavy_work.HEAVY_FROM_BYTES, first, 3.0))
    other = context.Process(target=hold, args=(lock, needed_bytes, second, 0.0))
    holder.start()
    assert first.wait(20)
    other.start()
    began = time.monotonic()
    assert second.wait(20)
    waited_s = time.monotonic() - began
    for process in (holder, other):
        process.join(20)
    return waited_s


def test_two_heavy_jobs_take_turns(tmp_path: Path) -> None:
    assert seconds_until_a_second_one_starts(tmp_path / "lock", heavy_work.HEAVY_FROM_BYTES) > 1.0


def test_a_small_job_does_not_wait(tmp_path: Path) -> None:
    assert seconds_until_a_second_one_starts(tmp_path / "lock", heavy_work.HEAVY_FROM_BYTES - 1) < 3.0
