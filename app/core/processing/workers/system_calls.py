"""The system calls that a worker may make, by name, with their numbers on x86-64 and AArch64. Imports nothing of ours.

Found by tracing every processor over its test files, then read one by one: what is left reads and writes what is open
already, opens files (Landlock says which), manages this process's own memory, threads and clocks. What is absent is
refused: sockets, other processes, names and attributes of files, namespaces, watches, and whatever a later kernel adds.
Source: the kernel's tables for the two architectures, which never change.
"""

from collections.abc import Mapping

_NONE = -1
"""AArch64 has no such call: its C libraries make a younger one."""

ALLOWED: Mapping[str, tuple[int, int]] = {
    # files that are open
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "preadv": (295, 69), "pwritev": (296, 70), "preadv2": (327, 286), "pwritev2": (328, 287),
    "lseek": (8, 62), "close": (3, 57), "close_range": (436, 436), "fstat": (5, 80), "ftruncate": (77, 46),
    "fadvise64": (221, 223), "flock": (73, 32), "dup": (32, 23), "dup2": (33, _NONE), "dup3": (292, 24),
    "poll": (7, _NONE), "ppoll": (271, 73), "select": (23, _NONE), "pselect6": (270, 72), "getdents64": (217, 61),
    # names of files, to look only
    "stat": (4, _NONE), "lstat": (6, _NONE), "newfstatat": (262, 79), "statx": (332, 291), "access": (21, _NONE),
    "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, _NONE), "readlinkat": (267, 78),
    "getcwd": (79, 17), "statfs": (137, 43), "fstatfs": (138, 44),
    # memory
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "mremap": (25, 216), "brk": (12, 214),
    "madvise": (28, 233), "mincore": (27, 232), "msync": (26, 227), "membarrier": (324, 283),
    # threads and signals of its own
    "futex": (202, 98), "futex_waitv": (449, 449), "futex_wake": (454, 454), "futex_wait": (455, 455),
    "futex_requeue": (456, 456), "set_robust_list": (273, 99), "get_robust_list": (274, 100), "rseq": (334, 293),
    "set_tid_address": (218, 96), "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "getcpu": (309, 168),
    "sched_getattr": (315, 275), "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "exit": (60, 93), "exit_group": (231, 94), "restart_syscall": (219, 128), "arch_prctl": (158, _NONE),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133), "rt_sigpending": (127, 136), "pause": (34, _NONE),
    # clocks, and what it may know of itself and the machine
    "nanosleep": (35, 101), "clock_nanosleep": (230, 115), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "gettimeofday": (96, 169), "time": (201, _NONE), "times": (100, 153), "getrusage": (98, 165),
    "setitimer": (38, 103),
    "getrlimit": (97, 163), "setrlimit": (160, 164), "getpriority": (140, 141), "sysinfo": (99, 179),
    "uname": (63, 160), "getrandom": (318, 278), "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173),
    "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "getpgid": (121, 155),
    "getpgrp": (111, _NONE), "getsid": (124, 156),
}  # fmt: skip

FILTERED: Mapping[str, tuple[int, int]] = {
    "open": (2, _NONE), "openat": (257, 56), "ioctl": (16, 29), "fcntl": (72, 25), "prctl": (157, 167),
    "clone": (56, 220), "kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261),
}  # fmt: skip
"""Allowed with some arguments only, see `seccomp`."""

FIRST_OF_OUR_TIME = 424
"""From this number on all architectures count alike, and a C library that meets a refusal has an older way."""


def numbers(calls: Mapping[str, tuple[int, int]], *, column: int) -> dict[str, int]:
    """The calls that an architecture has: column 0 is x86-64, 1 AArch64."""
    return {name: both[column] for name, both in calls.items() if both[column] != _NONE}
