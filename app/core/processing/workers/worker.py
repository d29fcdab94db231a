"""The child side of the sandbox: confines itself, then answers one job at a time until its input ends.

Started by `worker_process` with the interpreter's isolated mode and an empty environment. Must not import the logging,
the settings or anything else of the server: every import here costs each worker start-up time and memory.
"""

import ctypes
import errno
import faulthandler
import gc
import importlib
import json
import os
import resource
import select
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.core import landlock
from app.core.errors import InvalidUpload
from app.core.media_types import MIB
from app.core.processing.contract import Fault, Job, ProcessedFile, Refusal
from app.core.processing.workers import heavy_work
from app.core.processing.workers.confinement import (
    Bounds,
    arm_cpu_limit,
    confine,
    die_with_parent,
    load_libc,
    tame_allocator,
)
from app.core.processing.workers.wire import (
    HEADER,
    MAX_LOG_CHARS,
    MAX_SENTENCE_CHARS,
    Answer,
    WireError,
    decode_job,
    encode_answer,
    encode_frame,
)

_RESTED_BYTES = 80 * MIB
"""A worker has 65 MiB after its imports; what it has beyond this, it gives back when it rests."""
_BUSY_BYTES = 160 * MIB
"""What it may keep from one job to the next: a photograph of 12 MP needs 50 MiB, and every page that is given back must
be zeroed by the kernel when the next one comes."""
_REST_AFTER_S = 0.25


@dataclass(frozen=True, slots=True)
class WorkerArguments:
    """The one command line argument of a worker, as JSON; visible to every user of the machine, so never secret."""

    entry: str
    """`module:function` that turns a Job into a ProcessedFile; the tests put hostile ones here."""
    parent_pid: int
    project_root: str
    source_dir: str
    """Where the server puts a job's file; read only."""
    output_dir: str
    """Where what is made of it goes."""
    memory_bytes: int
    cpu_s: float
    file_bytes: int
    heavy_lock: str | None = None
    """A file that all workers of the machine share, see `heavy_work`."""
    max_landlock: int = landlock.NEWEST
    """The tests act as if the kernel were older."""

    def bounds(self) -> Bounds:
        """Read-only: where the interpreter, its packages and our code are; not the project root, `.env` is there."""
        code = (sys.prefix, sys.base_prefix, sys.exec_prefix, f"{self.project_root}/app")
        return Bounds(
            memory_bytes=self.memory_bytes,
            cpu_s=self.cpu_s,
            file_bytes=self.file_bytes,
            writable=Path(self.output_dir),
            # An interpreter of the distribution has /usr as its prefix, which `landlock` allows in narrower parts.
            readable=(
                Path(self.source_dir),
                *(Path(path) for path in dict.fromkeys(code) if path not in ("/", "/usr", "/usr/local")),
            ),
            max_landlock=self.max_landlock,
        )


class Worker:
    """The pipes to the server and the loop between them."""

    def __init__(self, arguments: WorkerArguments, libc: ctypes.CDLL) -> None:
        self._arguments, self._libc = arguments, libc
        self._jobs, self._answers = _claim_pipes()
        # Opened before the confinement, which hides /proc.
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def run(self) -> None:
        """Load the entry, confine, say so, and work until the server closes the pipe."""
        process = _load_entry(self._arguments.entry)
        if self._arguments.heavy_lock is not None:
            heavy_work.share(Path(self._arguments.heavy_lock))
        gc.collect()
        gc.freeze()  # what the imports made lives as long as the worker: later collections skip it
        report = confine(self._libc, self._arguments.bounds())
        self._write(encode_frame({"kind": "ready", "confinement": dict(report)}))
        while (job := self._read_job()) is not None:
            # The server learns that this job has begun: one lost before is given to another worker.
            self._write(HEADER.pack(0, 0))
            self._write(self._answer(process, job))

    def _answer(self, process: Callable[[Job], ProcessedFile], job: Job) -> bytes:
        arm_cpu_limit(self._arguments.cpu_s)
        before = resource.getrusage(resource.RUSAGE_SELF)
        tempfile.tempdir = job.output_dir  # the only place where a library could put a temporary file
        outcome = _attempt(process, job)
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        answer = Answer(outcome, cpu_s=round(cpu_s, 4), rss_bytes=self._tidy(above_bytes=_BUSY_BYTES))
        try:
            return encode_answer(answer)
        except (WireError, TypeError, ValueError) as exc:
            return encode_answer(Answer(_fault(exc), answer.cpu_s, answer.rss_bytes))

    def _tidy(self, *, above_bytes: int) -> int:
        """Give memory back when more than this is resident; returns the resident bytes then."""
        rss_bytes = self._rss_bytes()
        if rss_bytes > above_bytes:
            gc.collect()
            if hasattr(self._libc, "malloc_trim"):
                self._libc.malloc_trim(0)
            rss_bytes = self._rss_bytes()
        return rss_bytes

    def _rss_bytes(self) -> int:
        return int(os.pread(self._statm, 128, 0).split()[1]) * resource.getpagesize()

    def _read_job(self) -> Job | None:
        if not select.select([self._jobs], [], [], _REST_AFTER_S)[0]:
            self._tidy(above_bytes=_RESTED_BYTES)
        header = self._read(HEADER.size)
        return decode_job(self._read(HEADER.unpack(header)[0])) if header else None

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (chunk := os.read(self._jobs, size - len(data))):
            data += chunk
        return data if len(data) == size else b""

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._answers, view) :]


def main() -> None:
    """What the boot line of `worker_process` calls."""
    faulthandler.enable(all_threads=False)
    arguments = WorkerArguments(**json.loads(sys.argv[1]))
    libc = load_libc()
    if not die_with_parent(libc, arguments.parent_pid):
        return
    tame_allocator(libc)
    Worker(arguments, libc).run()


def _claim_pipes() -> tuple[int, int]:
    """Move both pipes off 0 and 1, where a library that reads or prints would break the framing."""
    jobs, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return jobs, answers


def _load_entry(entry: str) -> Callable[[Job], ProcessedFile]:
    module, _, function = entry.partition(":")
    process: Callable[[Job], ProcessedFile] = getattr(importlib.import_module(module), function)
    return process


def _attempt(process: Callable[[Job], ProcessedFile], job: Job) -> ProcessedFile | Refusal | Fault:
    try:
        return process(job)
    except InvalidUpload as exc:
        return Refusal(code=exc.code, detail=str(exc)[:MAX_SENTENCE_CHARS])
    except MemoryError:
        # No traceback here: its frames hold the memory that is missing.
        return Fault("out of memory", errno.ENOMEM)
    except OSError as exc:
        return _fault(exc, _storage_errno(exc, job))
    except Exception as exc:
        # Whatever a decoder throws is a fact about this file.
        return _fault(exc)


def _storage_errno(exc: OSError, job: Job) -> int | None:
    """The errno when the disk refused, None when a library only borrowed OSError for what it thinks of the file.

    PyAV raises subclasses of its own for damaged files, with EIO and ENOENT among their numbers.
    """
    if type(exc).__module__ != "builtins":
        return None
    path = exc.filename
    if path is not None and not str(path).startswith((job.output_dir + "/", job.source)):
        return None
    return exc.errno


def _fault(exc: BaseException, number: int | None = None) -> Fault:
    """Where it happened and a shortened message; a message may quote the file, so not much of it."""
    places = [
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(exc.__traceback__)
    ]
    message = f"{type(exc).__name__}: {ascii(str(exc))[:200]} at {' > '.join(places[-12:])}"
    return Fault(message[:MAX_LOG_CHARS], number)
