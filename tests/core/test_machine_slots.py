"""Slots that processes of one machine share: never more than there are, and none lost to a crash."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.core.machine_slots import MachineSlots
from app.core.processing.workers.worker_process import PROJECT_ROOT

_HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from app.core.machine_slots import MachineSlots
slots = MachineSlots(Path(sys.argv[2]), 1)
print(slots.try_acquire(), flush=True)
time.sleep(60)
"""


def test_there_are_as_many_as_said(tmp_path: Path) -> None:
    slots = MachineSlots(tmp_path / "slots", 2)
    assert [slots.try_acquire(), slots.try_acquire(), slots.try_acquire()] == [0, 1, None]
    slots.release(0)
    assert slots.try_acquire() == 0
    slots.close()


def test_another_holder_counts(tmp_path: Path) -> None:
    ours, theirs = MachineSlots(tmp_path, 1), MachineSlots(tmp_path, 1)
    assert ours.try_acquire() == 0
    assert theirs.try_acquire() is None
    ours.close()
    assert theirs.try_acquire() == 0
    theirs.close()
    theirs.close()


def test_what_is_not_held_cannot_be_released(tmp_path: Path) -> None:
    slots = MachineSlots(tmp_path, 1)
    with pytest.raises(KeyError):
        slots.release(0)
    slots.close()


async def test_a_killed_holder_gives_back(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(PROJECT_ROOT), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:  # noqa: ASYNC220 - ends within the test
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"0\n"
        slots = MachineSlots(tmp_path, 1)
        assert slots.try_acquire() is None
        holder.kill()
        async with asyncio.timeout(5), slots.hold():
            assert slots.held == 1
    slots.close()


async def test_waiters_of_one_process_are_served_in_order(tmp_path: Path) -> None:
    slots, order = MachineSlots(tmp_path, 1), list[int]()

    async def work(number: int) -> None:
        async with slots.hold():
            order.append(number)
            await asyncio.sleep(0.002)

    await asyncio.gather(*(work(number) for number in range(10)))
    assert order == list(range(10))
    slots.close()


async def test_nobody_jumps_the_queue(tmp_path: Path) -> None:
    slots = MachineSlots(tmp_path, 1)
    slot = await slots.acquire()
    waiter = asyncio.create_task(slots.acquire())
    await asyncio.sleep(0)
    slots.release(slot)
    assert slots.try_acquire() is None
    assert await waiter == 0
    slots.close()


async def test_a_cancelled_wait_takes_nothing(tmp_path: Path) -> None:
    slots = MachineSlots(tmp_path, 1)
    slot = await slots.acquire()
    waiter = asyncio.create_task(slots.acquire())
    await asyncio.sleep(0.01)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    slots.release(slot)
    assert slots.try_acquire() == 0
    slots.close()


async def test_a_wait_does_not_hold_up_the_loop(tmp_path: Path) -> None:
    ours, theirs = MachineSlots(tmp_path, 1), MachineSlots(tmp_path, 1)
    slot = await ours.acquire()
    waiter = asyncio.create_task(theirs.acquire())
    began = time.monotonic()
    for _ in range(100):
        await asyncio.sleep(0)
    assert time.monotonic() - began < 0.5
    ours.release(slot)
    async with asyncio.timeout(5):
        await waiter
    ours.close()
    theirs.close()
