"""The system calls that a worker may not make: a seccomp-BPF program for x86-64 and AArch64. Imports nothing of ours.

A list of what is refused rather than of what is allowed: five decoder libraries, the interpreter and two C libraries
call more than a list of ours would foresee, and a refused harmless call would be a refused honest file. What is on it:
networking, new processes and programs, other processes, links and modes of files (Landlock has no say in modes),
identities, mounts and namespaces, the kernel's own loaders, and its youngest interfaces.
Source: seccomp(2); the call numbers are the kernel's tables for the two architectures, which never change.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Sequence
from dataclasses import dataclass

_LD_WORD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARGUMENT_0 = 0, 4, 16
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_CLONE_THREAD = 0x00010000
_X32_BIT = 0x40000000
_SET_MODE_FILTER, _FLAG_TSYNC = 1, 1

# The numbers from 424 on are the same on every architecture.
_REFUSED_EVERYWHERE = (
    *(424, 434, 438),  # pidfd_send_signal pidfd_open pidfd_getfd
    *(425, 426, 427),  # io_uring_setup io_uring_enter io_uring_register
    *(428, 429, 430, 431, 432, 433, 442, 443, 467),  # open_tree move_mount fsopen … mount_setattr quotactl_fd
    *(440, 448),  # process_madvise process_mrelease
    *(452, 463, 466, 469),  # fchmodat2 setxattrat removexattrat file_setattr
)


@dataclass(frozen=True, slots=True)
class _Architecture:
    audit_number: int
    seccomp: int
    refused: tuple[int, ...]
    own_process_only: tuple[int, ...]
    """Calls whose first argument is a process: kill, tgkill, prlimit64."""
    clone: int
    clone3: int = 435


_X86_64 = _Architecture(
    audit_number=0xC000003E,
    seccomp=317,
    refused=(
        *(41, 42, 43, 44, 45, 46, 47, 49, 50, 53, 288, 299, 307),  # socket connect accept send… recv… bind listen …
        *(57, 58, 59, 322),  # fork vfork execve execveat
        *(101, 310, 311, 312, 200, 129, 297),  # ptrace process_vm_* kcmp tkill rt_sigqueueinfo rt_tgsigqueueinfo
        *(109, 112),  # setpgid setsid: the server ends a worker by its process group
        *(86, 88, 265, 266, 133, 259),  # link symlink linkat symlinkat mknod mknodat
        *(90, 91, 268, 92, 93, 94, 260),  # chmod fchmod fchmodat chown fchown lchown fchownat
        *(188, 189, 190, 197, 198, 199),  # setxattr… removexattr…
        *(105, 106, 113, 114, 116, 117, 119, 122, 123, 126),  # setuid … setfsgid capset
        *(155, 161, 165, 166, 272, 308, 303, 304),  # pivot_root chroot mount umount2 unshare setns *_by_handle_at
        *(248, 249, 250, 298, 300, 321, 323),  # add_key request_key keyctl perf_event fanotify bpf userfaultfd
        *(175, 313, 176, 246, 320, 169, 167, 168, 163, 103),  # modules kexec reboot swap acct syslog
        *(164, 227, 305, 159, 170, 171, 172, 173, 154, 135, 179),  # clocks names iopl ioperm modify_ldt personality
        *(29, 30, 31, 64, 65, 66, 220, 68, 69, 70, 71, 240),  # SysV shared memory, semaphores, messages; mq_open
    ),
    own_process_only=(62, 234, 302),
    clone=56,
)

_AARCH64 = _Architecture(
    audit_number=0xC00000B7,
    seccomp=277,
    refused=(
        *(198, 199, 200, 201, 202, 203, 206, 207, 211, 212, 242, 243, 269),
        *(221, 281),
        *(117, 270, 271, 272, 130, 138, 240),
        *(154, 157),
        *(36, 37, 33),
        *(52, 53, 54, 55),
        *(5, 6, 7, 14, 15, 16),
        *(143, 144, 145, 146, 147, 149, 151, 152, 159, 91),
        *(41, 51, 40, 39, 97, 268, 264, 265),
        *(217, 218, 219, 241, 262, 280, 282),
        *(105, 273, 106, 104, 294, 142, 224, 225, 89, 116),
        *(170, 112, 266, 171, 161, 162, 92, 60),
        *(186, 187, 188, 189, 190, 191, 192, 193, 194, 195, 196, 180),
    ),
    own_process_only=(129, 131, 261),
    clone=220,
)

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

    Each rule is a jump over its own end, so no jump is longer than BPF's 255 instructions. clone3 answers ENOSYS and
    not EPERM: the C library then falls back to clone, whose flags a filter can see.
    """
    refuse = _instruction(_RETURN, _ERRNO | errno.EPERM)
    allow = _instruction(_RETURN, _ALLOW)
    program = [
        _instruction(_LD_WORD, _OFFSET_ARCH),
        _instruction(_JUMP_EQUAL, architecture.audit_number, true=1),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LD_WORD, _OFFSET_NUMBER),
        _instruction(_JUMP_GREATER_EQUAL, _X32_BIT, false=1),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_JUMP_EQUAL, architecture.clone3, false=1),
        _instruction(_RETURN, _ERRNO | errno.ENOSYS),
    ]
    for number in (*architecture.refused, *_REFUSED_EVERYWHERE):
        program += [_instruction(_JUMP_EQUAL, number, false=1), refuse]
    program += [
        _instruction(_JUMP_EQUAL, architecture.clone, false=4),
        _instruction(_LD_WORD, _OFFSET_ARGUMENT_0),
        _instruction(_JUMP_ANY_BIT, _CLONE_THREAD, false=1),
        allow,
        refuse,
    ]
    kill, tgkill, prlimit = architecture.own_process_only
    for number, also in ((kill, pid), (tgkill, pid), (prlimit, 0)):
        program += [
            _instruction(_JUMP_EQUAL, number, false=5),
            _instruction(_LD_WORD, _OFFSET_ARGUMENT_0),
            _instruction(_JUMP_EQUAL, pid, true=1),
            _instruction(_JUMP_EQUAL, also, false=1),
            allow,
            refuse,
        ]
    return [*program, allow]


def _instruction(code: int, value: int, *, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, true, false, value)
