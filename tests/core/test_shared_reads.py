"""Who asks the same at the same moment shares one answer, and nobody gets one that was begun before the question."""

import asyncio

import pytest

from app.core.shared_reads import SharedReads


class Reader:
    """Answers with the number of the read, when `released`."""

    def __init__(self, *, error: Exception | None = None) -> None:
        self.begun = 0
        self.has_begun = asyncio.Event()
        self.released = asyncio.Event()
        self._error = error

    async def read(self) -> int:
        self.begun += 1
        self.has_begun.set()
        number = self.begun
        await self.released.wait()
        if self._error is not None:
            raise self._error
        return number


async def test_questions_of_one_turn_share_one_answer() -> None:
    shared, reader = SharedReads[int](), Reader()
    reader.released.set()

    assert await asyncio.gather(*(shared.get("a", reader.read) for _ in range(5))) == [1] * 5
    assert reader.begun == 1


async def test_a_question_after_the_beginning_gets_an_answer_of_its_own() -> None:
    shared, reader = SharedReads[int](), Reader()
    first = asyncio.create_task(shared.get("a", reader.read))
    await reader.has_begun.wait()
    second = asyncio.create_task(shared.get("a", reader.read))
    await asyncio.sleep(0.01)
    reader.released.set()

    assert (await first, await second) == (1, 2)


async def test_different_questions_are_answered_apart() -> None:
    shared, reader = SharedReads[int](), Reader()
    reader.released.set()

    assert sorted(await asyncio.gather(shared.get("a", reader.read), shared.get("b", reader.read))) == [1, 2]


async def test_all_hear_of_a_failure_and_the_next_question_is_asked_anew() -> None:
    shared, failing, working = SharedReads[int](), Reader(error=ValueError("no")), Reader()
    failing.released.set()
    working.released.set()
    heard = await asyncio.gather(*(shared.get("a", failing.read) for _ in range(3)), return_exceptions=True)

    assert [str(error) for error in heard] == ["no"] * 3
    assert await shared.get("a", working.read) == 1


@pytest.mark.parametrize("is_begun", [False, True])
async def test_who_leaves_takes_nobody_along(is_begun: bool) -> None:
    shared, reader = SharedReads[int](), Reader()
    tasks = [asyncio.create_task(shared.get("a", reader.read)) for _ in range(3)]
    if is_begun:
        await reader.has_begun.wait()
    else:
        await asyncio.sleep(0)
    tasks[0].cancel()  # who reads for all
    tasks[1].cancel()  # who waits
    await asyncio.wait(tasks[:2])
    reader.released.set()

    assert [task.cancelled() for task in tasks[:2]] == [True, True]
    assert await tasks[2] == reader.begun
