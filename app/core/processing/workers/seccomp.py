"""Refuses every system call that a worker does not need: a seccomp-BPF program for x86-64 and AArch64.

A list of what is allowed, so that what a kernel learns tomorrow is refused today. Some calls are allowed with some
arguments only; on kernels whose Landlock is young (Debian 12 has its second version) that is what keeps files from
being emptied through a descriptor that may only read, and devices from being spoken to.
Source: seccomp(2); Docker's default profile for the choice between EPERM and ENOSYS.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.processing.workers.system_calls import ALLOWED, FILTERED, FIRST_OF_OUR_TIME, numbers

_LD_WORD, _AND, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARGUMENTS = 0, 4, 16
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_X32_BIT = 0x40000000
_SET_MODE_FILTER, _FLAG_TSYNC = 1, 1

_CLONE_THREAD = 0x00010000
_O_ACCMODE, _O_TRUNC, _O_TMPFILE_BIT = 0o3, 0o1000, 0o20000000
_O_ASYNC = 0o20000
_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL, _F_DUPFD_CLOEXEC = 0, 1, 2, 3, 4, 1030
_TCGETS, _TIOCGWINSZ, _FIONREAD, _FIONCLEX, _FIOCLEX = 0x5401, 0x5413, 0x541B, 0x5450, 0x5451
_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA = 15, 16, 0x53564D41


@dataclass(frozen=True, slots=True)
class _Architecture:
    audit_number: int
    seccomp: int
    allowed: Mapping[str, int]
    filtered: Mapping[str, int]


_X86_64 = _Architecture(0xC000003E, 317, numbers(ALLOWED, column=0), numbers(FILTERED, column=0))
_AARCH64 = _Architecture(0xC00000B7, 277, numbers(ALLOWED, column=1), numbers(FILTERED, column=1))
_BY_MACHINE = {"x86_64": _X86_64, "aarch64": _AARCH64}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install_filter(libc: ctypes.CDLL) -> str:
    """Put every thread of this process under the filter, for good; needs PR_SET_NO_NEW_PRIVS.

    Returns "on". Raises OSError when the kernel refuses or the machine is of another kind.
    """
    architecture = _BY_MACHINE.get(platform.machine())
    if architecture is None:
        raise OSError(errno.ENOSYS, f"no filter for {platform.machine()}")
    instructions = b"".join(build_program(architecture, pid=os.getpid()))
    program = _Program(len(instructions) // 8, instructions)
    if libc.syscall(architecture.seccomp, _SET_MODE_FILTER, _FLAG_TSYNC, ctypes.byref(program)) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return "on"


def build_program(architecture: _Architecture, *, pid: int) -> Sequence[bytes]:
    """The instructions of the filter for the process `pid`, 8 bytes each.

    A call of our time answers ENOSYS and not EPERM: the C library then falls back to an older one, clone3 to clone,
    whose flags a filter can see. The kernel remembers which calls are allowed whatever their arguments are and does
    not run the program for them (Linux 5.11).
    """
    program = [
        _instruction(_LD_WORD, _OFFSET_ARCH),
        _instruction(_JUMP_EQUAL, architecture.audit_number, true=1),
        _returns(_KILL_PROCESS),
        _instruction(_LD_WORD, _OFFSET_NUMBER),
        _instruction(_JUMP_GREATER_EQUAL, _X32_BIT, false=1),
        _returns(_KILL_PROCESS),
    ]
    for number in architecture.allowed.values():
        program += _for_call(number, [_returns(_ALLOW)])
    for name, rule in _rules(pid).items():
        if name in architecture.filtered:
            program += _for_call(architecture.filtered[name], rule)
    return [
        *program,
        _instruction(_JUMP_GREATER_EQUAL, FIRST_OF_OUR_TIME, false=1),
        _refuses(errno.ENOSYS),
        _refuses(errno.EPERM),
    ]


def _rules(pid: int) -> Mapping[str, Sequence[bytes]]:
    """What is decided by an argument, by the call's name."""
    thread_only = [_argument(0), _instruction(_JUMP_ANY_BIT, _CLONE_THREAD, false=1), _returns(_ALLOW)]
    return {
        "open": _opening(flags=1),
        "openat": _opening(flags=2),
        # What a terminal would be asked, and the interpreter's way to close a descriptor on exec.
        "ioctl": _one_of(1, (_TCGETS, _TIOCGWINSZ, _FIONREAD, _FIONCLEX, _FIOCLEX), otherwise=errno.ENOTTY),
        "fcntl": [
            # No owner, signal, lease, lock, notice or pipe size. F_SETFL without the flag that sends signals.
            _argument(1),
            _instruction(_JUMP_EQUAL, _F_SETFL, false=4),
            _argument(2),
            _instruction(_JUMP_ANY_BIT, _O_ASYNC, true=1),
            _returns(_ALLOW),
            _refuses(errno.EPERM),
            *_one_of(1, (_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC)),
        ],
        "prctl": _one_of(0, (_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA)),
        "clone": [*thread_only, _refuses(errno.EPERM)],
        "kill": _one_of(0, (pid,)),
        "tgkill": _one_of(0, (pid,)),
        "prlimit64": _one_of(0, (pid, 0)),
    }


def _opening(*, flags: int) -> Sequence[bytes]:
    """No file without a name, and none opened in the two ways that Landlock asks for less than they can do.

    O_TRUNC empties a file also when it is opened for reading, for which early versions of Landlock want the right to
    read only. The access mode 3 wants none at all, and speaks to devices.
    """
    return [
        _argument(flags),
        _instruction(_JUMP_ANY_BIT, _O_TMPFILE_BIT, true=6),
        _instruction(_JUMP_ANY_BIT, _O_TRUNC, false=2),
        _instruction(_JUMP_ANY_BIT, _O_ACCMODE, true=1),
        _refuses(errno.EPERM),
        _instruction(_AND, _O_ACCMODE),
        _instruction(_JUMP_EQUAL, _O_ACCMODE, true=1),
        _returns(_ALLOW),
        _refuses(errno.EPERM),
    ]


def _one_of(argument: int, values: Sequence[int], *, otherwise: int = errno.EPERM) -> Sequence[bytes]:
    checks = [_argument(argument)]
    for value in values:
        checks += [_instruction(_JUMP_EQUAL, value, false=1), _returns(_ALLOW)]
    return [*checks, _refuses(otherwise)]


def _for_call(number: int, rule: Sequence[bytes]) -> Sequence[bytes]:
    """Each rule ends in a verdict and is jumped over whole, so no jump is longer than BPF's 255 instructions."""
    return [_instruction(_JUMP_EQUAL, number, false=len(rule)), *rule]


def _argument(index: int) -> bytes:
    # The lower half: both architectures are little endian, and these arguments are ints to the kernel.
    return _instruction(_LD_WORD, _OFFSET_ARGUMENTS + 8 * index)


def _returns(verdict: int) -> bytes:
    return _instruction(_RETURN, verdict)


def _refuses(number: int) -> bytes:
    return _returns(_ERRNO | number)


def _instruction(code: int, value: int, *, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, true, false, value)
