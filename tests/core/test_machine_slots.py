"""Slots that processes of one machine share: never more than there are, and none lost to a crash."""

import subprocess
import sys
import uuid
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
print(slots.try_acquire(bytes.fromhex(sys.argv[3])), flush=True)
time.sleep(60)
"""
ANN, BOB = uuid.UUID(int=1).bytes, uuid.UUID(int=2).bytes


def test_there_are_as_many_as_said(tmp_path: Path) -> None:
    slots = MachineSlots(tmp_path / "slots", 2)
    told = [(slots.holds_all, slots.try_acquire()) for _ in range(3)]
    assert told == [(False, 0), (False, 1), (True, None)]
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


def test_one_more_is_for_whoever_waits_for_a_single_user(tmp_path: Path) -> None:
    ours, theirs = MachineSlots(tmp_path, 2), MachineSlots(tmp_path, 2)
    assert [ours.try_acquire(ANN), theirs.try_acquire(ANN)] == [0, 1]
    assert (ours.try_acquire(ANN), theirs.try_acquire(ANN), ours.try_acquire()) == (None, None, None)
    assert theirs.try_acquire(BOB) == 2
    assert ours.try_acquire(BOB) is None
    theirs.release(2)
    theirs.release(1)
    assert theirs.try_acquire(BOB) == 1
    # Two users have all: a third one waits for his turn.
    assert ours.try_acquire(uuid.UUID(int=3).bytes) is None
    ours.close()
    theirs.close()


def test_a_killed_holder_gives_back(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(PROJECT_ROOT), str(tmp_path), ANN.hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"0\n"
        slots = MachineSlots(tmp_path, 1)
        assert slots.try_acquire(ANN) is None
        assert slots.try_acquire(BOB) == 1
        holder.kill()
        holder.wait(5)
        assert slots.try_acquire(ANN) == 0
    slots.close()
