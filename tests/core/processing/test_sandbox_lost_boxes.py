"""Boxes and uploads that somebody removes under the workers: only bytes that are lost cost an upload anything."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.errors import StorageUnavailable
from app.core.metrics import WorkerEnd
from app.core.processing.sandbox import Sandbox
from tests.fixtures.sandboxes import JobMaker, SandboxMaker, until


async def run_while(remove: Callable[[], None], sandbox: Sandbox, job_named: JobMaker, function: str) -> object:
    """What the job answers, with `remove` called once it has begun."""
    running = asyncio.create_task(sandbox.run(job_named(function)))
    await until(lambda: sandbox.stats.busy == 1)
    await asyncio.sleep(0.05)
    await asyncio.to_thread(remove)
    return await running


async def test_every_idle_worker_without_a_box_is_replaced_at_once(
    open_sandbox: SandboxMaker, job_named: JobMaker, staging: Path
) -> None:
    async with open_sandbox(workers=6) as sandbox:
        await asyncio.to_thread(shutil.rmtree, staging / "boxes")
        await sandbox.run(job_named("useful"))
        assert (staging / "made" / "main.jpg").read_bytes() == b"the upload" * 2
        await until(lambda: sandbox.stats.ended.get(WorkerEnd.RETIRED) == 6)


async def test_a_worker_that_nobody_asks_is_replaced_too(
    open_sandbox: SandboxMaker, job_named: JobMaker, staging: Path
) -> None:
    async with open_sandbox() as sandbox:
        await asyncio.to_thread(shutil.rmtree, staging / "boxes")
        await until(lambda: sandbox.stats.ended.get(WorkerEnd.RETIRED) == 1)
        await sandbox.run(job_named("plain"))


@pytest.mark.parametrize("function", ["slow_and_useful", "slow_and_patient"])
async def test_a_job_whose_box_vanishes_is_done_again_and_whole(
    open_sandbox: SandboxMaker, job_named: JobMaker, staging: Path, function: str
) -> None:
    async with open_sandbox() as sandbox:
        await run_while(lambda: shutil.rmtree(staging / "boxes"), sandbox, job_named, function)
        assert (staging / "made" / "main.jpg").read_bytes() == b"the upload" * 2
        assert (staging / "made" / "thumbnail.jpg").read_bytes() == b"small"


@pytest.mark.parametrize("lost", ["made", "."])
@pytest.mark.parametrize("function", ["slow_and_useful", "slow_and_patient"])
async def test_an_upload_whose_directory_vanishes_may_come_again(
    open_sandbox: SandboxMaker, job_named: JobMaker, staging: Path, lost: str, function: str
) -> None:
    async with open_sandbox() as sandbox:
        with pytest.raises(StorageUnavailable):
            await run_while(lambda: shutil.rmtree(staging / lost), sandbox, job_named, function)


async def test_an_upload_that_vanished_before_its_turn_costs_no_worker(
    open_sandbox: SandboxMaker, job_named: JobMaker, staging: Path
) -> None:
    async with open_sandbox() as sandbox:
        (staging / "incoming").unlink()
        with pytest.raises(StorageUnavailable):
            await sandbox.run(job_named("plain"))
        assert sandbox.stats.ended == {}
        assert sandbox.stats.workers == 1
