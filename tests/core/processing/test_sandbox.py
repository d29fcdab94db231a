"""What `Sandbox.run` returns and raises when the worker behaves: results, refusals, faults, the queue."""

import asyncio
import time
from pathlib import Path

import pytest

from app.core.errors import (
    EmptyFile,
    FileTooComplex,
    FileTypeMismatch,
    ServiceBusy,
    ServiceError,
    ShuttingDown,
    StorageFull,
    StorageUnavailable,
    Unavailable,
    UnreadableFile,
)
from app.core.processing.contract import Refusal
from app.core.processing.workers.outcome_errors import refusal_error
from tests.fixtures.sandboxes import JobMaker, SandboxMaker


async def test_a_result_comes_back_whole(open_sandbox: SandboxMaker, job_named: JobMaker, staging: Path) -> None:
    async with open_sandbox() as sandbox:
        found = await sandbox.run(job_named("useful"))
    assert found.main_path == str(staging / "made" / "main.jpg")
    assert (staging / "made" / "main.jpg").read_bytes() == b"the uploadthe upload"
    assert found.text == "grüße\n" * 100_000
    assert found.duration_s == 1.5
    assert found.thumbnail is not None
    assert (found.thumbnail.width_px, found.thumbnail.height_px) == (3, 2)


_ERRORS: dict[str, type[ServiceError]] = {
    "refusal": FileTypeMismatch,
    "empty": EmptyFile,
    "bug": UnreadableFile,
    "damaged_file": UnreadableFile,
    "full_disk": StorageFull,
    "read_only_disk": StorageUnavailable,
    "big_file": FileTooComplex,
    "huge_answer": UnreadableFile,
    "memory_at_once": FileTooComplex,
}


async def test_each_outcome_has_its_error_and_costs_no_worker(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox() as sandbox:
        for function, error in _ERRORS.items():
            with pytest.raises(error) as caught:
                await sandbox.run(job_named(function))
            assert type(caught.value) is error
            assert "/" not in str(caught.value)
        await sandbox.run(job_named("plain"))
        assert sandbox.stats.ended == {}


async def test_what_libraries_print_does_not_reach_the_answer(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox() as sandbox:
        await sandbox.run(job_named("chatter"))
        await sandbox.run(job_named("flood_stderr"))
        await sandbox.run(job_named("plain"))
        assert sandbox.stats.ended == {}


def test_a_refusal_keeps_its_sentence_whatever_its_class() -> None:
    for code in ("empty_file", "file_too_large", "malware_found", "unreadable_file", "invalid_file"):
        error = refusal_error(Refusal(code, "A sentence."))
        assert (error.code, str(error), error.status) == (code, "A sentence.", 400)


def test_a_refusal_that_no_class_knows_is_an_unreadable_file() -> None:
    assert type(refusal_error(Refusal("storage_full", "A lie."))) is UnreadableFile


def test_a_refusal_stays_one_printable_line() -> None:
    assert str(refusal_error(Refusal("unreadable_file", "a\r\nSet-Cookie: b"))) == "a  Set-Cookie: b"


async def test_a_full_queue_is_refused_at_once(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox(queue_size=1) as sandbox:
        jobs = [asyncio.create_task(sandbox.run(job_named("nap"))) for _ in range(2)]
        await asyncio.sleep(0)
        assert (sandbox.stats.busy, sandbox.stats.queued) == (1, 1)
        began = time.monotonic()
        with pytest.raises(ServiceBusy):
            await sandbox.run(job_named("plain"))
        assert time.monotonic() - began < 0.05
        await asyncio.gather(*jobs)
        assert (sandbox.stats.busy, sandbox.stats.queued) == (0, 0)


async def test_no_queue_means_that_idle_workers_still_work(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox(queue_size=0) as sandbox:
        await sandbox.run(job_named("plain"))
        await sandbox.run(job_named("plain"))


async def test_a_cancelled_waiter_leaves_its_place(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox(queue_size=1) as sandbox:
        running = asyncio.create_task(sandbox.run(job_named("nap")))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(sandbox.run(job_named("plain")))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert sandbox.stats.queued == 0
        await asyncio.gather(running, sandbox.run(job_named("plain")))


async def test_nobody_waits_longer_than_a_job_may_take(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox(timeout_s=0.5) as sandbox:
        hung = asyncio.create_task(sandbox.run(job_named("sleep")))
        await asyncio.sleep(0.02)
        with pytest.raises((ServiceBusy, FileTooComplex)):
            await asyncio.gather(sandbox.run(job_named("sleep")), sandbox.run(job_named("sleep")))
        await asyncio.gather(hung, return_exceptions=True)


async def test_an_entry_that_cannot_be_loaded_fails_the_start(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    with pytest.raises(Unavailable):
        async with open_sandbox(entry="app.core.nowhere:nothing"):
            pass


async def test_a_closed_sandbox_says_so(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox(queue_size=1) as sandbox:
        jobs = [asyncio.create_task(sandbox.run(job_named("sleep"))) for _ in range(2)]
        await asyncio.sleep(0.05)
        await sandbox.close()
        ends = await asyncio.gather(*jobs, return_exceptions=True)
        assert [type(end) for end in ends] == [ShuttingDown, ShuttingDown]
        with pytest.raises(ShuttingDown):
            await sandbox.run(job_named("plain"))
