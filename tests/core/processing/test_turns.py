"""Whose file is next: nobody waits for one user's many files, and nobody loses a place to somebody who has fewer."""

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.errors import ServiceBusy, ShuttingDown, UnreadableFile
from app.core.machine_slots import MachineSlots
from app.core.processing.workers import turns as turns_module
from app.core.processing.workers.turns import Turn, Turns, User
from tests.fixtures.sandboxes import HOSTILE_ENTRY, JobMaker, SandboxMaker, until

ANN, BOB, CAT = (uuid.UUID(int=number) for number in (1, 2, 3))


def make_turns(
    *,
    size: int = 1,
    queue_size: int = 8,
    slots: MachineSlots | None = None,
    on_hogged: Callable[[], None] = lambda: None,
) -> Turns:
    return Turns(size=size, queue_size=queue_size, slots=slots, on_hogged=on_hogged)


async def take_in_order(turns: Turns, users: list[User], order: list[User]) -> list[asyncio.Task[None]]:
    """One waiting task for each of `users`; each notes itself in `order` when it is its turn, and ends it at once."""

    async def wait(user: User) -> None:
        turn = await turns.take(user)
        order.append(user)
        await asyncio.sleep(0)
        turns.give_back(turn)

    tasks = [asyncio.create_task(wait(user)) for user in users]
    await asyncio.sleep(0)
    return tasks


async def test_users_take_turns_however_many_files_each_has() -> None:
    turns, order = make_turns(), list[User]()
    first = await turns.take(CAT)
    extra = await turns.take(BOB)
    tasks = await take_in_order(turns, [ANN, ANN, ANN, ANN, BOB, CAT], order)
    turns.give_back(extra)
    turns.give_back(first)
    await asyncio.gather(*tasks)
    assert order[:3] in ([ANN, BOB, CAT], [ANN, BOB, ANN])
    assert order[-2:] == [ANN, ANN]
    assert turns.waiting == 0


async def test_the_service_itself_is_served_in_order() -> None:
    turns, order = make_turns(), list[User]()
    first = await turns.take(None)
    tasks = await take_in_order(turns, [None, None, None], order)
    assert turns.waiting == 3
    turns.give_back(first)
    await asyncio.gather(*tasks)
    assert order == [None] * 3


async def test_who_has_fewer_files_at_work_comes_first() -> None:
    turns, order = make_turns(size=3), list[User]()
    first, _, _ = [await turns.take(user) for user in (ANN, ANN, BOB)]
    tasks = await take_in_order(turns, [ANN, BOB, CAT], order)
    turns.give_back(first)
    await asyncio.gather(*tasks)
    assert order[0] == CAT


async def test_one_user_has_all_turns_only_while_nobody_else_asks() -> None:
    turns = make_turns(size=2)
    held = [await turns.take(ANN) for _ in range(2)]
    assert [turn.is_extra for turn in held] == [False, False]
    waiting = asyncio.create_task(turns.take(ANN))
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        bob = await turns.take(BOB)
    assert bob.is_extra
    assert not waiting.done()
    turns.give_back(bob)
    await asyncio.sleep(0)
    assert not waiting.done(), "the turn that is extra is not for whoever has all the others"
    turns.give_back(held[0])
    turns.give_back(await waiting)


async def test_a_user_who_holds_everything_for_a_while_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "_HOGGED_AFTER_S", 0.05)
    noticed: list[bool] = []
    turns = make_turns(size=2, on_hogged=lambda: noticed.append(True))
    ann = [await turns.take(ANN) for _ in range(2)]
    turns.give_back(ann.pop())  # small files come and go: nobody is held up
    bob = await turns.take(BOB)
    await asyncio.sleep(0.15)
    assert not noticed
    turns.give_back(bob)
    ann.append(await turns.take(ANN))
    await until(lambda: noticed == [True], timeout_s=2)


async def test_a_full_queue_is_shared() -> None:
    turns = make_turns(queue_size=4)
    held = await turns.take(None)
    ann = [asyncio.create_task(turns.take(ANN)) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(ServiceBusy):
        await turns.take(ANN)
    bob = [asyncio.create_task(turns.take(BOB)) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert turns.waiting == 4
    # The last ones of who had the most gave way, and nobody gave up more than half.
    assert [task.done() for task in ann] == [False, False, True, True]
    assert [task.done() for task in bob] == [False, False, True]
    for task in (ann[2], ann[3], bob[2]):
        assert isinstance(task.exception(), ServiceBusy)
    turns.close(ShuttingDown())
    ends = await asyncio.gather(*ann[:2], *bob[:2], return_exceptions=True)
    assert {type(end) for end in ends} == {ShuttingDown}
    turns.give_back(held)


async def test_a_queue_of_one_and_of_none() -> None:
    for queue_size in (0, 1):
        turns = make_turns(queue_size=queue_size)
        held = await turns.take(None)
        waiting = [asyncio.create_task(turns.take(BOB)) for _ in range(queue_size)]
        await asyncio.sleep(0)
        with pytest.raises(ServiceBusy):
            await turns.take(ANN)
        turns.give_back(held)
        for turn in await asyncio.gather(*waiting):
            turns.give_back(turn)
        turns.give_back(await turns.take(ANN))


async def test_a_cancelled_wait_takes_nothing() -> None:
    turns = make_turns()
    held = await turns.take(None)
    waiting = [asyncio.create_task(turns.take(user)) for user in (ANN, BOB)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    turns.give_back(held)  # before the cancelled one has run
    turns.give_back(await waiting[1])
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    turns.give_back(await turns.take(None))


async def test_turns_of_two_processes_share_the_slots(tmp_path: Path) -> None:
    ours, theirs = MachineSlots(tmp_path, 2), MachineSlots(tmp_path, 2)
    here, there = make_turns(slots=ours), make_turns(slots=theirs)
    ann = [await here.take(ANN), await there.take(ANN)]
    async with asyncio.timeout(1):
        bob = await there.take(BOB)
    waiting: asyncio.Task[Turn] = asyncio.create_task(here.take(CAT))
    await asyncio.sleep(0.03)
    assert not waiting.done(), "the machine has one slot more than its workers, not one for each process"
    there.give_back(bob)
    async with asyncio.timeout(1):
        here.give_back(await waiting)
    here.give_back(ann[0])
    there.give_back(ann[1])
    assert (ours.held, theirs.held) == (0, 0)
    ours.close()
    theirs.close()


async def test_small_files_of_others_do_not_wait_for_heavy_ones(
    open_sandbox: SandboxMaker, job_named: JobMaker, tmp_path: Path
) -> None:
    slots = MachineSlots(tmp_path / "slots", 2)
    async with open_sandbox(workers=2, slots=slots, timeout_s=20, entry=HOSTILE_ENTRY) as sandbox:
        heavy = [asyncio.create_task(sandbox.run(job_named("sleep"), user=ANN)) for _ in range(6)]
        # A third worker gets ready without being asked for.
        await until(lambda: sandbox.stats.workers == 3)
        async with asyncio.timeout(2):
            for _ in range(10):
                await sandbox.run(job_named("plain"), user=BOB)
        assert (sandbox.stats.busy, sandbox.stats.queued) == (2, 4)
        for task in heavy:
            task.cancel()
        await asyncio.gather(*heavy, return_exceptions=True)
        await until(lambda: slots.held == 0)
    slots.close()


async def test_whose_files_end_workers_waits_for_the_next_ones_and_others_do_not(
    open_sandbox: SandboxMaker, job_named: JobMaker
) -> None:
    async with open_sandbox(workers=2) as sandbox:
        heavy = [asyncio.create_task(sandbox.run(job_named("sleep"), user=ANN)) for _ in range(2)]
        await until(lambda: sandbox.stats.workers == 3)
        for task in heavy:
            task.cancel()
        await asyncio.gather(*heavy, return_exceptions=True)
        await until(lambda: sandbox.stats.workers == 3)
        killed = [asyncio.create_task(sandbox.run(job_named("segfault"), user=ANN)) for _ in range(5)]
        fewest_idle = 3
        while not all(task.done() for task in killed):
            fewest_idle = min(fewest_idle, sandbox.stats.workers - sandbox.stats.busy)
            await sandbox.run(job_named("plain"), user=BOB)
            await asyncio.sleep(0.005)
        assert fewest_idle >= 1, "a worker is there for whoever ended none"
        assert sandbox.stats.ended["crashed"] == 10
        await until(lambda: sandbox.stats.workers == 3)


async def test_files_that_crash_fresh_workers_do_not_slow_down_the_next_start(
    open_sandbox: SandboxMaker, job_named: JobMaker
) -> None:
    async with open_sandbox(workers=1) as sandbox, asyncio.timeout(10):
        for _ in range(3):
            with pytest.raises(UnreadableFile):
                await sandbox.run(job_named("segfault"))
        await sandbox.run(job_named("plain"))
