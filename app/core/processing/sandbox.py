"""The front of the sandbox: hostile files are decoded only in worker processes, through `Sandbox.run`.

A file can cost its own upload a 400, and nobody else anything: a worker that crashes, hangs or talks nonsense is
killed and replaced in the background. One job at a time per worker; the machine as a whole runs as many jobs as there
are `slots`, however many server processes share them. Whose job is next, `turns` decides.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Never, Self

from app.core import landlock
from app.core.concurrency import finish
from app.core.errors import InvalidUpload, ServiceBusy, ShuttingDown, StorageUnavailable, Unavailable, UnreadableFile
from app.core.logging import get_logger
from app.core.machine_slots import MachineSlots
from app.core.media_types import MIB
from app.core.metrics import WorkerEnd, sandbox_load
from app.core.os_errors import storage_error
from app.core.processing.contract import Fault, Job, ProcessedFile, Refusal
from app.core.processing.workers.answer_check import MAX_OUTPUT_BYTES, read_answer
from app.core.processing.workers.confinement import gaps
from app.core.processing.workers.job_record import record_job
from app.core.processing.workers.outcome_errors import fault_error, lost_worker_error, refusal_error
from app.core.processing.workers.turns import Turn, Turns, User
from app.core.processing.workers.wire import Answer, WireError, encode_job
from app.core.processing.workers.worker import WorkerArguments
from app.core.processing.workers.worker_pool import WorkerPool
from app.core.processing.workers.worker_process import PROJECT_ROOT, WorkerLost, WorkerProcess

log = get_logger(__name__)

DEFAULT_ENTRY = "app.core.file_processing:process_file"

_RETIRE_FROM_BYTES = 200 * MIB
# Also bounds how long a worker that a file has taken over unnoticed could meddle with later files.
_RETIRE_AFTER_JOBS = 1_000
_MAX_TRIES = 4


@dataclass(frozen=True, slots=True)
class SandboxStats:
    """The pool now, and since its start: `jobs` that workers took, workers that `ended` by their WorkerEnd."""

    workers: int
    busy: int
    queued: int
    jobs: int
    ended: Mapping[str, int]


class Sandbox:
    """Use it as an async context manager, or `start` and `close`; once closed it stays closed.

    workers: processes of this pool.  queue_size: jobs that may wait for one; beyond that ServiceBusy.
    timeout_s, cpu_s: wall and CPU seconds of one job; nobody waits in the queue longer than `timeout_s` either.
    memory_bytes: address space that a job may add.  boxes_dir: where each worker gets the directory that it is confined
    to, made when missing; on the file system of the staged files.  hold_boxes_dir: as in WorkerPool.
    slots: shared with the other server processes of the machine; None when this is the only one.
    entry: `module:function` that turns a Job into a ProcessedFile, or raises InvalidUpload.
    max_landlock: the newest version of Landlock to use; for tests of what holds on older kernels.
    """

    def __init__(
        self,
        *,
        workers: int,
        queue_size: int,
        timeout_s: float,
        cpu_s: float,
        memory_bytes: int,
        boxes_dir: Path,
        hold_boxes_dir: Callable[[], None] | None = None,
        slots: MachineSlots | None = None,
        entry: str = DEFAULT_ENTRY,
        max_landlock: int = landlock.NEWEST,
    ) -> None:
        arguments = WorkerArguments(
            entry=entry,
            parent_pid=os.getpid(),
            project_root=str(PROJECT_ROOT),
            source_dir="",  # the box of each worker is made with it
            output_dir="",
            memory_bytes=memory_bytes,
            cpu_s=cpu_s,
            file_bytes=MAX_OUTPUT_BYTES,
            heavy_lock=str(slots.heavy_lock) if slots else None,
            max_landlock=max_landlock,
        )
        self._pool = WorkerPool(
            arguments,
            size=workers,
            boxes_dir=boxes_dir.absolute(),
            hold_boxes_dir=hold_boxes_dir,
            on_change=self._measure,
        )
        self._turns = Turns(size=workers, queue_size=queue_size, slots=slots, on_hogged=self._pool.want_extra)
        self._successions: set[asyncio.Task[None]] = set()
        self._timeout_s = timeout_s
        self._jobs = 0

    @property
    def stats(self) -> SandboxStats:
        """For metrics and health checks."""
        pool = self._pool
        return SandboxStats(
            workers=len(pool.alive),
            busy=pool.lent,
            queued=self._turns.waiting,
            jobs=self._jobs,
            ended=dict(pool.ended),
        )

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that are idle or busy."""
        return [worker.pid for worker in self._pool.alive]

    @property
    def gaps(self) -> Mapping[str, str]:
        """The kernel's mechanisms that workers must not lack and are off here, with the reason; empty when all hold."""
        return gaps(self._pool.confinement)

    async def start(self) -> None:
        """Start all workers side by side; returns when each can take a job.

        Must run on the main thread's event loop: Linux ends the workers with the thread that started them. Raises
        Unavailable when one cannot be started, the cause is in the log.
        """
        await self._pool.start()
        self._measure()

    async def close(self) -> None:
        """Kill every worker; returns when no process and no pipe is left. Jobs and waiters get ShuttingDown."""
        self._pool.is_closing = True
        self._turns.close(ShuttingDown())
        await self._pool.close()
        await asyncio.gather(*self._successions)
        self._measure()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self, job: Job, *, user: User = None) -> ProcessedFile:
        """Process one staged file in a worker; its paths come back absolute.

        user: whose file it is, so that one user's files do not hold up another's. A worker that is killed from outside,
        or crashes, costs the file one more try. Raises the InvalidUpload that the processor or a limit found;
        ServiceBusy when the queue is full or has not moved for `timeout_s`; Unavailable while no worker can be started;
        StorageFull, StorageUnavailable when the disk refuses an output; ShuttingDown. Once it returns or raises, also
        by cancellation, nothing writes into `job.output_dir` any more, nor into a file that came from there.
        """
        job = _with_absolute_paths(job)
        came = time.monotonic()
        has_had_accident = False
        for _ in range(_MAX_TRIES):
            async with self._worker(user) as worker:
                try:
                    return await self._run_on(worker, job, came=came, may_fail=has_had_accident)
                except WorkerLost as lost:
                    if self._pool.is_closing:
                        raise ShuttingDown from lost
                    if not lost.had_begun:
                        continue
                    if lost.end is WorkerEnd.PREVIEW_LIMIT and job.options.draw_preview:
                        job = replace(job, options=replace(job.options, draw_preview=False))
                        continue
                    log.warning("sandbox.job_failed", reason=lost.end, media_type=job.media_type,
                                is_tried_again=lost.may_be_accident and not has_had_accident)  # fmt: skip
                    if has_had_accident or not lost.may_be_accident:
                        raise lost_worker_error(lost.end) from lost
                    has_had_accident = True
        raise Unavailable("The file could not be processed at the moment; try again shortly.")

    async def _run_on(self, worker: WorkerProcess, job: Job, *, came: float, may_fail: bool) -> ProcessedFile:
        """One try; the box of the worker is as it was afterwards, or the worker is on its way out."""
        try:
            lent = worker.box.lend(job)
        except OSError as exc:
            self._refuse_box(worker, job, exc)
        try:
            processed = await self._ask(worker, lent, job, came=came, may_fail=may_fail)
        except (InvalidUpload, WorkerLost) as exc:
            self._look_for_loss(worker, job, exc)
            raise
        finally:
            has_box = await _tidy(worker)
        if not has_box:
            # A preview that could not be written is left out without a word, so this answer may lack something.
            self._look_for_loss(worker, job, None)
        return processed

    def _refuse_box(self, worker: WorkerProcess, job: Job, exc: OSError) -> Never:
        """A box that takes no file: it vanished, and a new worker makes a new one; or a full disk."""
        if isinstance(exc, FileNotFoundError):
            self._look_for_loss(worker, job, exc)
        worker.kill(WorkerEnd.RETIRED)
        raise storage_error(exc) from exc

    def _look_for_loss(self, worker: WorkerProcess, job: Job, exc: Exception | None) -> None:
        """Raise what it means when a job failed because somebody removed directories under it, which no file can.

        The upload's own bytes are lost: StorageUnavailable. Only the worker's box: WorkerLost, as if nothing had begun.
        """
        if not (os.path.lexists(job.source) and os.path.lexists(job.output_dir)):
            raise StorageUnavailable from exc
        # The box of a worker that has ended is removed by its keeper.
        if not isinstance(exc, WorkerLost) and worker.box.has_lost_its_file:
            worker.kill(WorkerEnd.RETIRED)
            self._pool.retire_boxless()
            raise WorkerLost(WorkerEnd.RETIRED, had_begun=False) from exc

    async def _ask(self, worker: WorkerProcess, lent: Job, job: Job, *, came: float, may_fail: bool) -> ProcessedFile:
        began = time.monotonic()
        max_text_bytes = 4 * job.options.max_text_chars
        answer: Answer | None = None
        has_ended = True
        try:
            body, text = await worker.ask(encode_job(lent), max_text_bytes=max_text_bytes, timeout_s=self._timeout_s)
            answer = await _claimed(worker, read_answer(body, text, job=lent), job)
        except WireError as exc:
            worker.kill(WorkerEnd.CRASHED)
            log.warning("sandbox.answer_refused", pid=worker.pid, problem=str(exc), media_type=job.media_type)
            raise UnreadableFile("The file could not be read.") from exc
        except WorkerLost as lost:
            # Otherwise another worker gets it.
            is_last = lost.end is not WorkerEnd.PREVIEW_LIMIT and (may_fail or not lost.may_be_accident)
            has_ended = lost.had_begun and is_last
            raise
        except asyncio.CancelledError:
            has_ended = False
            raise
        finally:
            self._jobs += 1
            if has_ended:
                record_job(job, answer, waited_s=began - came, took_s=time.monotonic() - began)
        if answer.rss_bytes > _RETIRE_FROM_BYTES or worker.jobs_done >= _RETIRE_AFTER_JOBS:
            worker.kill(WorkerEnd.RETIRED)
        return _outcome(answer, job)

    @asynccontextmanager
    async def _worker(self, user: User) -> AsyncIterator[WorkerProcess]:
        """A worker and a turn, for one job."""
        try:
            async with asyncio.timeout(self._timeout_s):
                turn = await self._turns.take(user)
                try:
                    if turn.is_extra:
                        self._pool.want_extra()
                    worker = await self._pool.take()
                except BaseException:
                    self._turns.give_back(turn)
                    raise
        except TimeoutError as exc:
            raise ServiceBusy from exc
        self._measure()
        try:
            yield worker
        finally:
            if worker.is_usable:
                self._pool.give_back(worker)
                self._turns.give_back(turn)
            else:
                self._keep_busy(asyncio.create_task(self._give_back_later(worker, turn), name="sandbox-successor"))
            self._measure()

    async def _give_back_later(self, worker: WorkerProcess, turn: Turn) -> None:
        """Whose file ended a worker waits for the next one: he would take it from others else, again and again."""
        try:
            await worker.has_closed_within(None)
            await self._pool.has_successors()
        finally:
            self._turns.give_back(turn)

    def _keep_busy(self, task: asyncio.Task[None]) -> None:
        self._successions.add(task)
        task.add_done_callback(self._successions.discard)

    def _measure(self) -> None:
        stats = self.stats
        sandbox_load(workers=stats.workers, busy=stats.busy, queued=stats.queued)


def _with_absolute_paths(job: Job) -> Job:
    # Workers live in `/`, and the paths they answer are compared with the ones they were given.
    if job.source.startswith("/") and job.output_dir.startswith("/"):
        return job
    return replace(job, source=str(Path(job.source).absolute()), output_dir=str(Path(job.output_dir).absolute()))


async def _claimed(worker: WorkerProcess, answer: Answer, job: Job) -> Answer:
    """`answer` with its files out of the worker's reach. Raises WireError; WorkerLost when its box has gone with it."""
    made = answer.outcome
    if not isinstance(made, ProcessedFile):
        return answer
    try:
        if worker.box.copies:
            # Not left half way: nothing may write into the upload's directory once it is being removed.
            return replace(answer, outcome=await finish(asyncio.to_thread(worker.box.claim, made, job)))
        return replace(answer, outcome=worker.box.claim(made, job))
    except WireError as exc:
        if worker.returncode is not None:
            raise WorkerLost(WorkerEnd.CRASHED, had_begun=True, may_be_accident=True) from exc
        raise
    except OSError as exc:
        raise storage_error(exc) from exc


async def _tidy(worker: WorkerProcess) -> bool:
    """Leave nothing of this job to the next one; whether the box is still there.

    The box of a worker that has ended goes with it.
    """
    if worker.end is not None or worker.returncode is not None:
        return True
    try:
        worker.box.take_back()
        if worker.box.has_leftovers():
            await finish(asyncio.to_thread(worker.box.remove_leftovers))
    except OSError as exc:
        log.warning("sandbox.box_not_emptied", pid=worker.pid, cause=repr(exc))
        worker.kill(WorkerEnd.RETIRED)
        return not isinstance(exc, FileNotFoundError)
    return True


def _outcome(answer: Answer, job: Job) -> ProcessedFile:
    match answer.outcome:
        case Refusal() as refusal:
            raise refusal_error(refusal)
        case Fault() as fault:
            log.warning("sandbox.job_failed", fault=fault.message, errno=fault.errno, media_type=job.media_type)
            raise fault_error(fault)
        case processed:
            return processed
