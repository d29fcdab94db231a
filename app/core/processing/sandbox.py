"""The front of the sandbox: hostile files are decoded only in worker processes, through `Sandbox.run`.

A file can cost its own upload a 400, and nobody else anything: a worker that crashes, hangs or talks nonsense is
killed and replaced in the background. One job at a time per worker; the machine as a whole runs as many jobs as there
are `slots`, however many server processes share them.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from app.core.errors import ServiceBusy, ShuttingDown, Unavailable, UnreadableFile
from app.core.logging import get_logger
from app.core.machine_slots import MachineSlots
from app.core.media_types import MIB
from app.core.metrics import WorkerEnd, sandbox_load
from app.core.processing.contract import Fault, Job, ProcessedFile, Refusal
from app.core.processing.workers.answer_check import MAX_OUTPUT_BYTES, read_answer
from app.core.processing.workers.job_record import record_job
from app.core.processing.workers.outcome_errors import fault_error, lost_worker_error, refusal_error
from app.core.processing.workers.wire import Answer, WireError, encode_job
from app.core.processing.workers.worker import WorkerArguments
from app.core.processing.workers.worker_pool import WorkerPool
from app.core.processing.workers.worker_process import PROJECT_ROOT, WorkerLost, WorkerProcess

log = get_logger(__name__)

DEFAULT_ENTRY = "app.core.file_processing:process_file"

_RETIRE_FROM_BYTES = 200 * MIB
# Also bounds how long a worker that a file has taken over unnoticed could meddle with later files.
_RETIRE_AFTER_JOBS = 1_000
_MAX_TRIES = 3


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
    memory_bytes: address space that a job may add.  writable_dir: the staging directory, exists; every Job lies in it.
    slots: shared with the other server processes of the machine; None when this is the only one.
    entry: `module:function` that turns a Job into a ProcessedFile, or raises InvalidUpload.
    """

    def __init__(
        self,
        *,
        workers: int,
        queue_size: int,
        timeout_s: float,
        cpu_s: float,
        memory_bytes: int,
        writable_dir: Path,
        slots: MachineSlots | None = None,
        entry: str = DEFAULT_ENTRY,
    ) -> None:
        arguments = WorkerArguments(
            entry=entry,
            parent_pid=os.getpid(),
            project_root=str(PROJECT_ROOT),
            writable_dir=str(writable_dir.absolute()),
            memory_bytes=memory_bytes,
            cpu_s=cpu_s,
            file_bytes=MAX_OUTPUT_BYTES,
            heavy_lock=str(slots.heavy_lock) if slots else None,
        )
        self._pool = WorkerPool(arguments, size=workers, queue_size=queue_size, on_change=self._measure)
        self._queue_size, self._timeout_s, self._slots = queue_size, timeout_s, slots
        self._waiting_for_slot = 0
        self._jobs = 0

    @property
    def stats(self) -> SandboxStats:
        """For metrics and health checks."""
        pool = self._pool
        return SandboxStats(
            workers=len(pool.alive),
            busy=max(0, pool.lent - self._waiting_for_slot),
            queued=self._queued(),
            jobs=self._jobs,
            ended=dict(pool.ended),
        )

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that are idle or busy."""
        return [worker.pid for worker in self._pool.alive]

    async def start(self) -> None:
        """Start all workers side by side; returns when each can take a job.

        Must run on the main thread's event loop: Linux ends the workers with the thread that started them. Raises
        Unavailable when one cannot be started, the cause is in the log.
        """
        await self._pool.start()
        self._measure()

    async def close(self) -> None:
        """Kill every worker; returns when no process and no pipe is left. Jobs and waiters get ShuttingDown."""
        await self._pool.close()
        self._measure()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self, job: Job) -> ProcessedFile:
        """Process one staged file in a worker; its paths come back absolute.

        Raises the InvalidUpload that the processor or a limit found; ServiceBusy when the queue is full or has not
        moved for `timeout_s`; Unavailable while no worker can be started; StorageFull, StorageUnavailable when the
        disk refuses an output; ShuttingDown. Once it returns or raises, also by cancellation, nothing writes into
        `job.output_dir` any more.
        """
        job = _with_absolute_paths(job)
        came = time.monotonic()
        for _ in range(_MAX_TRIES):
            async with self._worker() as worker:
                try:
                    answer = await self._ask(worker, job, came=came)
                except WorkerLost as lost:
                    if self._pool.is_closing:
                        raise ShuttingDown from lost
                    if lost.end is WorkerEnd.PREVIEW_LIMIT and job.options.draw_preview:
                        job = replace(job, options=replace(job.options, draw_preview=False))
                    elif lost.had_begun:
                        log.warning("sandbox.job_failed", reason=lost.end, media_type=job.media_type)
                        raise lost_worker_error(lost.end) from lost
                else:
                    return _outcome(answer, job)
        raise Unavailable("The file could not be processed at the moment; try again shortly.")

    async def _ask(self, worker: WorkerProcess, job: Job, *, came: float) -> Answer:
        began = time.monotonic()
        max_text_bytes = 4 * job.options.max_text_chars
        answer: Answer | None = None
        has_ended = True
        try:
            body, text = await worker.ask(encode_job(job), max_text_bytes=max_text_bytes, timeout_s=self._timeout_s)
            answer = read_answer(body, text, job=job)
        except WireError as exc:
            worker.kill(WorkerEnd.CRASHED)
            log.warning("sandbox.answer_refused", pid=worker.pid, problem=str(exc), media_type=job.media_type)
            raise UnreadableFile("The file could not be read.") from exc
        except WorkerLost as lost:
            has_ended = lost.had_begun  # otherwise another worker gets it
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
        return answer

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[WorkerProcess]:
        """A worker and a slot of the machine, for one job."""
        try:
            async with asyncio.timeout(self._timeout_s):
                worker = await self._pool.take(others_waiting=self._waiting_for_slot)
                try:
                    slot = await self._take_slot()
                except BaseException:
                    self._pool.give_back(worker)
                    raise
        except TimeoutError as exc:
            raise ServiceBusy from exc
        self._measure()
        try:
            yield worker
        finally:
            if self._slots is not None and slot is not None:
                self._slots.release(slot)
            self._pool.give_back(worker)
            self._measure()

    async def _take_slot(self) -> int | None:
        if self._slots is None:
            return None
        slot = self._slots.try_acquire()
        if slot is not None:
            return slot
        if self._queued() >= self._queue_size:
            raise ServiceBusy
        self._waiting_for_slot += 1
        try:
            return await self._slots.acquire()
        finally:
            self._waiting_for_slot -= 1

    def _queued(self) -> int:
        return self._pool.waiting + self._waiting_for_slot

    def _measure(self) -> None:
        stats = self.stats
        sandbox_load(workers=stats.workers, busy=stats.busy, queued=stats.queued)


def _with_absolute_paths(job: Job) -> Job:
    # Workers live in `/`, and the paths they answer are compared with the ones they were given.
    return replace(job, source=str(Path(job.source).absolute()), output_dir=str(Path(job.output_dir).absolute()))


def _outcome(answer: Answer, job: Job) -> ProcessedFile:
    match answer.outcome:
        case Refusal() as refusal:
            raise refusal_error(refusal)
        case Fault() as fault:
            log.warning("sandbox.job_failed", fault=fault.message, errno=fault.errno, media_type=job.media_type)
            raise fault_error(fault)
        case processed:
            return processed
