"""The server's side of one worker process: starts it, passes one job at a time, bounds what it says, ends it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final, Self, cast

from app.core.metrics import WorkerEnd
from app.core.processing import previews
from app.core.processing.workers.wire import Frame, FrameReader, WireError, decode_object
from app.core.processing.workers.worker import WorkerArguments
from app.core.processing.workers.worker_box import WorkerBox

PROJECT_ROOT = Path(__file__).resolve().parents[4]

# The arguments reach the child as text, never as code.
# Everything beyond the standard streams is closed before anything of ours is loaded: uvloop passes on what is marked
# as inheritable, whatever `close_fds` says.
_BOOT = (
    "import os, sys; os.closerange(3, os.sysconf('SC_OPEN_MAX')); sys.path.insert(0, sys.argv[2]); "
    "from app.core.processing.workers.worker import main; main()"
)
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
_START_TIMEOUT_S = 60.0
_NATURAL_DEATH_S = 0.5
_CANCEL_GRACE_S = 0.25
_STDERR_BURST_BYTES, _STDERR_PAUSE_S, _STDERR_KEPT_BYTES = 64 * 1024, 0.1, 2_000
_DRAIN_S = 0.05
_MAX_THREADS = 512
_IN, _OUT, _ERR = 0, 1, 2


_LIMITS_OF_JOBS: Final = frozenset({WorkerEnd.CPU_LIMIT, WorkerEnd.PREVIEW_LIMIT})


class WorkerLost(Exception):
    """The worker is gone: why, and whether the job it had been given had begun.

    may_be_accident: a signal that we did not send and no limit of the job's ended it. An operator or the kernel may
    have, or what an earlier file left in its memory.
    """

    def __init__(self, end: WorkerEnd, *, had_begun: bool, may_be_accident: bool = False) -> None:
        super().__init__(end)
        self.end = end
        self.had_begun = had_begun
        self.may_be_accident = may_be_accident


class WorkerStartError(Exception):
    """A worker could not be started; the message is for the log."""


class WorkerProcess(asyncio.SubprocessProtocol):
    """One worker. Made by `start`; idle until `ask`; after a kill or an end of its own it is of no more use.

    A protocol rather than the stream API: it sees the process end, closes every pipe without private attributes, and
    an answer costs no task switch beyond the one that wakes its reader.
    """

    def __init__(self, box: WorkerBox) -> None:
        loop = asyncio.get_running_loop()
        self.box = box
        self.jobs_begun = 0
        self.jobs_done = 0
        self.end: WorkerEnd | None = None
        self._may_be_accident = False
        self.stderr_tail = b""
        self._closed: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.SubprocessTransport | None = None
        self._frame: asyncio.Future[Frame | None] | None = None
        self._reader = FrameReader()
        self._is_mute = False
        self._stderr_bytes = 0

    @classmethod
    async def start(cls, arguments: WorkerArguments, box: WorkerBox) -> tuple[Self, Mapping[str, str]]:
        """A worker that has its imports done and is confined to `box`, and what it reports about its confinement.

        Call it on the loop's own thread, see `confinement.die_with_parent`. Raises WorkerStartError.
        """
        worker = cls(box)
        arguments = replace(arguments, source_dir=str(box.source_dir), output_dir=str(box.output_dir))
        command = (sys.executable, "-I", "-c", _BOOT, json.dumps(asdict(arguments)), arguments.project_root)
        try:
            await asyncio.get_running_loop().subprocess_exec(
                lambda: worker, *command, env=_ENVIRONMENT, cwd="/", start_new_session=True, close_fds=True
            )
            report = await worker._wait_ready()
        except (OSError, WireError, WorkerLost) as exc:
            await worker.close(WorkerEnd.CRASHED)
            raise WorkerStartError(f"{exc!r} {worker.stderr_tail.decode('ascii', 'backslashreplace')}") from exc
        except asyncio.CancelledError:
            await worker.close(WorkerEnd.CANCELLED)
            raise
        return worker, report

    @property
    def pid(self) -> int:
        """The process id, also the id of its process group; 0 before the start."""
        return self._transport.get_pid() if self._transport else 0

    @property
    def returncode(self) -> int | None:
        """Negative signal number or exit status; None while it runs."""
        return self._transport.get_returncode() if self._transport else None

    @property
    def is_usable(self) -> bool:
        """Whether it can take a job now."""
        return self.end is None and self.returncode is None and self._frame is None

    def excess(self) -> WorkerEnd | None:
        """Why it must end now: more files than a job may make, or more threads than a library would start.

        Without a box it has nowhere to work; one that has a job learns that by itself.
        """
        try:
            if self.box.is_full():
                return WorkerEnd.OUTPUT_LIMIT
            threads = int(Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[17])
        except (OSError, IndexError):
            # It is ending, or its box has vanished.
            return WorkerEnd.RETIRED if self.is_usable and self.box.is_gone else None
        return WorkerEnd.CRASHED if threads > _MAX_THREADS else None

    async def ask(self, request: bytes, *, max_text_bytes: int, timeout_s: float) -> Frame:
        """Send the frame `request`; returns the JSON and the text of the answer, both still hostile.

        Raises WorkerLost after a crash, a limit, a breach of the protocol or `timeout_s` seconds of wall time. A
        cancelled caller leaves no job behind: a short rest of it may finish, else the process is killed.
        """
        assert self._transport is not None
        self.jobs_begun += 1
        self._expect_frame(max_text_bytes, has_begun=False)
        self._pipe_in().write(request)
        try:
            frame = await self._next_frame(timeout_s)
        except asyncio.CancelledError:
            await self._settle()
            raise
        self.jobs_done += 1
        return frame

    async def has_closed_within(self, timeout_s: float | None) -> bool:
        """Wait until the process has ended and its pipes are closed; False when it has not after `timeout_s`."""
        done, _ = await asyncio.wait({self._closed}, timeout=timeout_s)
        return bool(done)

    def kill(self, end: WorkerEnd) -> None:
        """SIGKILL to the whole process group; `end` is remembered unless there was an earlier reason."""
        if self._transport is None or self.returncode is not None:
            return
        self.end = self.end or end
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    async def close(self, end: WorkerEnd) -> None:
        """`kill`, and do not return before nothing is left of the process, however often the caller is cancelled."""
        self.kill(end)
        is_cancelled = False
        while self._transport is not None and not self._closed.done():
            try:
                await asyncio.wait({self._closed})
            except asyncio.CancelledError:
                is_cancelled = True
        if is_cancelled:
            raise asyncio.CancelledError

    # -- callbacks of the event loop -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, as uvloop's transports have asyncio's methods but not its base classes.
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self._expect_frame(0, has_begun=True)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == _ERR:
            self._take_stderr(data)
        elif self.end is None:
            try:
                frame = self._reader.feed(data)
            except WireError:
                self.kill(WorkerEnd.CRASHED)
                self._resolve(None)
            else:
                if frame is not None:
                    self._resolve(frame)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio passes it
        # uvloop 0.23 tells only once the process has ended: there, a worker that closes its pipe and stays costs its
        # job the whole wall time.
        if fd == _OUT:
            self._is_mute = True
            self._resolve(None)

    def process_exited(self) -> None:
        assert self._transport is not None
        was_killed = self.end is not None
        if self.end is None:
            self.end = _natural_end(self.returncode, is_busy=self._frame is not None and self._reader.has_begun)
            self._may_be_accident = (self.returncode or 0) < 0 and self.end not in _LIMITS_OF_JOBS
        # What it wrote last may still be on its way; a pipe that a descendant keeps open must not hold us up.
        delay_s = 0.0 if was_killed or self._is_mute else _DRAIN_S
        asyncio.get_running_loop().call_later(delay_s, self._transport.close)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio passes it
        self._resolve(None)
        if not self._closed.done():
            self._closed.set_result(None)

    # -- frames ----------------------------------------------------------------------------------------------------

    def _expect_frame(self, max_text_bytes: int, *, has_begun: bool) -> None:
        self._frame = asyncio.get_running_loop().create_future()
        self._reader.expect(max_text_bytes, has_begun=has_begun)
        self._stderr_bytes = 0

    async def _next_frame(self, timeout_s: float) -> Frame:
        assert self._frame is not None
        try:
            async with asyncio.timeout(timeout_s):
                frame = await asyncio.shield(self._frame)
        except TimeoutError:
            frame = None
            await self.close(WorkerEnd.TIMED_OUT)
        if frame is None:
            # A worker that closed its pipe is dying, or pretends to: its exit status says why, if it comes soon.
            await asyncio.wait({self._closed}, timeout=_NATURAL_DEATH_S)
            await self.close(WorkerEnd.CRASHED)
            raise WorkerLost(
                self.end or WorkerEnd.CRASHED,
                had_begun=self._reader.has_begun,
                may_be_accident=self._may_be_accident,
            )
        self._frame = None
        return frame

    async def _wait_ready(self) -> Mapping[str, str]:
        body, _ = await self._next_frame(_START_TIMEOUT_S)
        report = decode_object(body).get("confinement")
        return {name: str(state) for name, state in report.items()} if isinstance(report, dict) else {}

    async def _settle(self) -> None:
        """After a cancelled `ask`. Most jobs take less than the grace, and a new worker costs more than that."""
        if self._frame is not None:
            try:
                await asyncio.wait({self._frame}, timeout=_CANCEL_GRACE_S)
            except asyncio.CancelledError:
                # Cancelled again: somebody is in a hurry.
                await self.close(WorkerEnd.CANCELLED)
                raise
            if self._frame.done() and self._frame.result() is not None:
                self._frame = None
                self.jobs_done += 1
                return
        await self.close(WorkerEnd.CANCELLED)

    def _resolve(self, frame: Frame | None) -> None:
        if self._frame is not None and not self._frame.done():
            self._frame.set_result(frame)

    def _pipe_in(self) -> asyncio.WriteTransport:
        assert self._transport is not None
        return cast(asyncio.WriteTransport, self._transport.get_pipe_transport(_IN))

    def _take_stderr(self, data: bytes) -> None:
        """Keep the end of what it complains of, and read a flood of it slowly."""
        self.stderr_tail = (self.stderr_tail + data)[-_STDERR_KEPT_BYTES:]
        self._stderr_bytes += len(data)
        if self._stderr_bytes < _STDERR_BURST_BYTES or self._transport is None:
            return
        self._stderr_bytes = 0
        pipe = cast(asyncio.ReadTransport, self._transport.get_pipe_transport(_ERR))
        if not pipe.is_closing():
            pipe.pause_reading()
            asyncio.get_running_loop().call_later(_STDERR_PAUSE_S, _resume, pipe)


def _resume(pipe: asyncio.ReadTransport) -> None:
    if not pipe.is_closing():
        pipe.resume_reading()


def _natural_end(returncode: int | None, *, is_busy: bool) -> WorkerEnd:
    if returncode == -signal.SIGXCPU:
        return WorkerEnd.CPU_LIMIT
    if returncode == -previews.OVERSPENT:
        return WorkerEnd.PREVIEW_LIMIT
    if returncode == -signal.SIGKILL and is_busy:
        return WorkerEnd.MEMORY_LIMIT  # the kernel's OOM killer sends it, hardly anybody else
    return WorkerEnd.CRASHED
