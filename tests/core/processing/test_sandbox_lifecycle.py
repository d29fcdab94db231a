"""Workers that are killed, cancelled, closed or orphaned: what is left is always a whole pool or nothing."""

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from app.core.errors import FileTooComplex, Unavailable
from app.core.machine_slots import MachineSlots
from app.core.metrics import WorkerEnd
from app.core.processing.workers.worker_process import PROJECT_ROOT, WorkerProcess, WorkerStartError
from tests.fixtures.sandboxes import JobMaker, SandboxMaker, is_running, until


async def test_killing_an_idle_worker_costs_nobody_anything(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox() as sandbox:
        os.kill(sandbox.pids[0], signal.SIGKILL)
        # The server has not noticed yet: the job goes to the dead worker first.
        await sandbox.run(job_named("plain"))
        await until(lambda: len(sandbox.pids) == 1)
        assert sandbox.stats.ended == {WorkerEnd.CRASHED: 1}


async def test_killing_a_busy_worker_costs_its_job_one_more_try(
    open_sandbox: SandboxMaker, job_named: JobMaker
) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        async with open_sandbox() as sandbox:
            [pid] = sandbox.pids
            job = asyncio.create_task(sandbox.run(job_named("nap")))
            await asyncio.sleep(0.05)
            os.kill(pid, number)
            assert (await job).mime_type == "image/jpeg"
            assert sandbox.pids != [pid]


async def test_a_job_whose_worker_is_killed_twice_is_blamed(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox() as sandbox:
        job = asyncio.create_task(sandbox.run(job_named("sleep")))
        for tries in (1, 2):
            await until(lambda: sandbox.stats.busy == 1)
            await asyncio.sleep(0.05)
            # SIGKILL from outside is what the kernel sends when memory runs out.
            os.kill(sandbox.pids[0], signal.SIGKILL)
            await until(lambda tries=tries: sandbox.stats.ended == {WorkerEnd.MEMORY_LIMIT: tries})  # type: ignore[misc]
        with pytest.raises(FileTooComplex, match="memory"):
            await job
        await sandbox.run(job_named("plain"))


async def test_close_leaves_no_process(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox(workers=2) as sandbox:
        pids = sandbox.pids
        hung = asyncio.create_task(sandbox.run(job_named("loop")))
        await asyncio.sleep(0.02)
    assert not any(is_running(pid) for pid in pids)
    await asyncio.gather(hung, return_exceptions=True)


async def test_a_cancelled_job_stops_before_the_caller_goes_on(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox() as sandbox:
        pid = sandbox.pids[0]
        job = asyncio.create_task(sandbox.run(job_named("sleep")))
        await asyncio.sleep(0.05)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert not is_running(pid)
        await sandbox.run(job_named("plain"))
        assert sandbox.stats.ended == {WorkerEnd.CANCELLED: 1}


async def test_a_short_job_may_finish_after_its_caller_was_cancelled(
    open_sandbox: SandboxMaker, job_named: JobMaker
) -> None:
    async with open_sandbox() as sandbox:
        job = asyncio.create_task(sandbox.run(job_named("nap")))
        await asyncio.sleep(0.02)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        await sandbox.run(job_named("plain"))
        assert sandbox.stats.ended == {}


async def test_a_caller_cancelled_twice_does_not_wait(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox() as sandbox:
        pid = sandbox.pids[0]
        job = asyncio.create_task(sandbox.run(job_named("sleep")))
        await asyncio.sleep(0.05)
        for _ in range(5):
            job.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await job
        assert not is_running(pid)


async def test_no_worker_outlives_a_killed_server(staging: Path, tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(
        textwrap.dedent(f"""
            import asyncio, sys
            sys.path.insert(0, {str(PROJECT_ROOT)!r})
            from pathlib import Path
            from app.core.media_types import MediaType
            from app.core.processing.contract import Job, ProcessingOptions
            from app.core.processing.sandbox import Sandbox

            async def main():
                staging = Path({str(staging)!r})
                async with Sandbox(workers=2, queue_size=1, timeout_s=60, cpu_s=60, memory_bytes=1 << 28,
                                   boxes_dir=staging / 'boxes', entry="tests.fixtures.hostile_jobs:run") as sandbox:
                    print("pids", *sandbox.pids, flush=True)
                    job = Job(str(staging / "incoming"), str(staging / "made"), "loop_in_c.jpg",
                              MediaType.IMAGE, ProcessingOptions())
                    await sandbox.run(job)

            asyncio.run(main())
        """)
    )
    server = await asyncio.create_subprocess_exec(sys.executable, str(script), stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    while not (line := await server.stdout.readline()).startswith(b"pids"):
        assert line
    pids = [int(word) for word in line.split()[1:]]
    assert len(pids) == 2
    await asyncio.sleep(0.05)
    assert all(is_running(pid) for pid in pids)
    server.kill()
    await server.wait()
    await until(lambda: not any(is_running(pid) for pid in pids))
    await server.stdout.read()


async def test_two_servers_share_the_machine(open_sandbox: SandboxMaker, job_named: JobMaker, tmp_path: Path) -> None:
    ours, theirs = MachineSlots(tmp_path / "slots", 2), MachineSlots(tmp_path / "slots", 2)
    async with open_sandbox(workers=2, slots=ours) as here, open_sandbox(workers=2, slots=theirs) as there:
        both = [sandbox.run(job_named("marked_nap")) for sandbox in (here, there) for _ in range(4)]
        spans = [file.properties for file in await asyncio.gather(*both)]
        began_s = [float(str(span["began_s"])) for span in spans]
        at_once = [sum(float(str(span["began_s"])) <= moment < float(str(span["ended_s"])) for span in spans)
                   for moment in began_s]  # fmt: skip
        assert max(at_once) == 2
        assert (here.stats.queued, there.stats.queued) == (0, 0)
    assert (ours.held, theirs.held) == (0, 0)
    ours.close()
    theirs.close()


async def test_a_job_gives_its_slot_back_whatever_happens(
    open_sandbox: SandboxMaker, job_named: JobMaker, tmp_path: Path
) -> None:
    slots = MachineSlots(tmp_path / "slots", 1)
    async with open_sandbox(slots=slots, timeout_s=0.5) as sandbox:
        with pytest.raises(FileTooComplex):
            await sandbox.run(job_named("sleep"))
        await until(lambda: slots.held == 0)
        await until(lambda: sandbox.stats.workers == 1 and sandbox.stats.ended == {WorkerEnd.TIMED_OUT: 1})
        job = asyncio.create_task(sandbox.run(job_named("sleep")))
        await until(lambda: slots.held == 1)
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        await until(lambda: slots.held == 0)
    slots.close()


async def test_workers_that_cannot_start_refuse_jobs_instead_of_hanging(
    open_sandbox: SandboxMaker, job_named: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cannot_start(_arguments: object, _box: object) -> None:
        raise WorkerStartError("no process table entry")

    async with open_sandbox() as sandbox:
        monkeypatch.setattr(WorkerProcess, "start", cannot_start)
        os.kill(sandbox.pids[0], signal.SIGKILL)
        with pytest.raises(Unavailable):
            await sandbox.run(job_named("plain"))
        monkeypatch.undo()
        await until(lambda: len(sandbox.pids) == 1)
        await sandbox.run(job_named("plain"))
