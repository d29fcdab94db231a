"""Takes from a worker process what it does not need before it sees a hostile file: limits, capabilities, files, calls.

Limits always hold. The rest is best effort, because a kernel may be old or a container may forbid it; what could not
be had is reported to the server, which says so (`gaps`). A server that runs as root keeps its user id here on purpose:
staged files are the server's, another user could not read them. Instead every capability goes except the one that reads
files of other owners, and Landlock bounds that one to what a worker may read.
"""

import contextlib
import ctypes
import errno
import os
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.core.processing.workers.landlock import restrict_files
from app.core.processing.workers.seccomp import install_filter

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522
_SIGKILL = 9
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8

_MAX_OPEN_FILES = 64
_MORE_THREADS = 2_048
_NICENESS = 10
_OOM_SCORE = 800


LANDLOCK, SECCOMP = "landlock", "seccomp"
MECHANISMS: Final = (LANDLOCK, SECCOMP)
"""Without one of these a worker that a file has taken over could reach what the server can."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one worker may use. cpu_s per job; memory_bytes on top of what it has after its imports.

    max_landlock: the newest version of Landlock to use; the tests act as if the kernel were older.
    """

    memory_bytes: int
    cpu_s: float
    file_bytes: int
    writable: Path
    readable: tuple[Path, ...]
    max_landlock: int


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilitySets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def load_libc() -> ctypes.CDLL:
    """The C library that this process already runs on, glibc or musl."""
    return ctypes.CDLL(None, use_errno=True)


def die_with_parent(libc: ctypes.CDLL, parent: int) -> bool:
    """Ask for SIGKILL when the server's main thread ends; False when it is gone already.

    Linux watches the thread that forked, not the process, so workers must be started from the event loop's thread.
    Source: PR_SET_PDEATHSIG in prctl(2).
    """
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    return os.getppid() == parent


def tame_allocator(libc: ctypes.CDLL) -> None:
    """Few arenas, and what one photograph needs is kept for the next: the worker gives it back when it rests.

    Memory that comes and goes with every job is zeroed by the kernel page by page, a fifth of the time of a photograph
    of 12 MP (measured 2026-11). Larger buffers still come straight from mmap, so freeing one returns it (mallopt(3)).
    """
    if hasattr(libc, "mallopt"):  # musl has none and needs none
        libc.mallopt(_M_ARENA_MAX, 2)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # glibc takes no more
        libc.mallopt(_M_TRIM_THRESHOLD, 256 << 20)


def confine(libc: ctypes.CDLL, bounds: Bounds) -> Mapping[str, str]:
    """Apply everything to this single-threaded process, for good.

    Returns what each mechanism said: its state, or the error that kept it off. Raises OSError when a limit cannot be
    set or another thread runs already, ValueError when a limit is above what the server itself may use.
    """
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        # Landlock and capabilities bind one thread and those that it starts; an older one would stay free.
        raise OSError(errno.EBUSY, "a library started a thread before the confinement")
    _limit(bounds)
    steps: Sequence[tuple[str, Callable[[], str]]] = (
        # The order matters: each step takes away what the ones before it needed.
        ("last_in_line", _step_back),
        ("no_new_privileges", lambda: _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)),
        ("not_dumpable", lambda: _prctl(libc, _PR_SET_DUMPABLE, 0)),
        ("capabilities", lambda: _drop_capabilities(libc)),
        (LANDLOCK, lambda: _restrict_files(libc, bounds)),
        (SECCOMP, lambda: install_filter(libc)),
    )
    return {name: _try(step) for name, step in steps}


def gaps(report: Mapping[str, str]) -> Mapping[str, str]:
    """What `confine` reports of the mechanisms that a worker must not lack, where they are off; empty when all hold."""
    return {name: report.get(name, "off") for name in MECHANISMS if report.get(name, "off").startswith("off")}


def arm_cpu_limit(cpu_s: float) -> None:
    """Give the next job `cpu_s` CPU seconds, rounded up; SIGXCPU then ends the process (setrlimit(2))."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(usage.ru_utime + usage.ru_stime + cpu_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _limit(bounds: Bounds) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    for what, most in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + bounds.memory_bytes),
        (resource.RLIMIT_FSIZE, bounds.file_bytes),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
        *_thread_limit(),
    ):
        _, hard = resource.getrlimit(what)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (limit, limit))


def _thread_limit() -> Sequence[tuple[int, int]]:
    """So that a worker cannot use up the processes of the machine or container; the server counts more closely.

    The kernel counts all threads of a user together (setrlimit(2)): those that run now must not be in the way, nor
    those that the service may start later. Root is not limited so.
    """
    if os.geteuid() == 0:
        return ()
    return ((resource.RLIMIT_NPROC, _threads_of_user() + _MORE_THREADS),)


def _threads_of_user() -> int:
    total = 0
    for process in os.scandir("/proc"):
        # A process may end while we look at it.
        with contextlib.suppress(OSError):
            if process.name.isdigit() and process.stat().st_uid == os.geteuid():
                total += int(Path(process.path, "stat").read_text().rpartition(")")[2].split()[17])
    return total


def _restrict_files(libc: ctypes.CDLL, bounds: Bounds) -> str:
    return restrict_files(libc, readable=bounds.readable, writable=bounds.writable, max_version=bounds.max_landlock)


def _step_back() -> str:
    """Out of memory, the kernel shall take a worker, not the server or its database; and it gets less of a busy CPU."""
    os.nice(_NICENESS)
    Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))
    return "on"


def _drop_capabilities(libc: ctypes.CDLL) -> str:
    if os.geteuid() != 0:
        return "none held"
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header, sets = _CapabilityHeader(_CAPABILITY_VERSION_3, 0), (_CapabilitySets * 2)()
    libc.capget(ctypes.byref(header), sets)
    kept = sets[0].permitted & (1 << _CAP_DAC_READ_SEARCH)
    sets[0] = _CapabilitySets(kept, kept, 0)
    sets[1] = _CapabilitySets(0, 0, 0)
    _checked(libc.capset(ctypes.byref(header), sets))
    return "dropped"


def _prctl(libc: ctypes.CDLL, option: int, value: int) -> str:
    _checked(libc.prctl(option, value, 0, 0, 0))
    return "on"


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "refused")


def _try(step: Callable[[], str]) -> str:
    try:
        return step()
    except OSError as exc:
        return f"off: {exc.strerror or exc}"
