"""A Landlock domain: the files that a process may reach, which it cannot leave. Imports nothing of ours.

What is handled and not allowed by a rule is denied, whatever capabilities the process has. What the running kernel does
not know yet is left out.
Source: landlock(7); <linux/landlock.h>.
"""

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterable
from pathlib import Path

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 1 << 1, 1 << 2, 1 << 3
MAKE_REG, TRUNCATE = 1 << 8, 1 << 14
READ = READ_FILE | READ_DIR
EVERYTHING = (1 << 16) - 1
"""All rights to files that any version knows."""

NEWEST = 1_000
"""As a version: whatever the kernel has."""

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_ASK_VERSION, _RULE_PATH_BENEATH = 1, 1
_ON_FILES = EXECUTE | READ_FILE | WRITE_FILE | TRUNCATE
_NETWORK, _SCOPES = 0b11, 0b11  # bind and connect TCP; abstract UNIX sockets and signals


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def restrict(libc: ctypes.CDLL, rules: Iterable[tuple[Path, int]], *, max_version: int = NEWEST) -> str:
    """Put this thread, and every thread and process it starts, into a domain for good; needs PR_SET_NO_NEW_PRIVS.

    rules: paths with the rights to them and to all below; one that is not there is passed over. No TCP port can be
    used, no process outside signalled.  max_version: use no more than an older kernel has; 0 acts as if there were no
    Landlock.  Returns "abi N". Raises OSError when the kernel has no Landlock.
    """
    version = min(version_here(libc), max_version)
    if version == 0:
        raise OSError(errno.ENOSYS, "landlock")
    handled = _handled_access(version)
    attributes = _Ruleset(handled, _NETWORK if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _checked(libc.syscall(_CREATE_RULESET, ctypes.byref(attributes), size, 0))
    try:
        for path, access in rules:
            with contextlib.suppress(FileNotFoundError, PermissionError):
                _allow(libc, ruleset, path, access & handled)
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return f"abi {version}"


def version_here(libc: ctypes.CDLL) -> int:
    """The version of Landlock that this kernel has, 0 for none."""
    return max(0, int(libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)))


def _handled_access(version: int) -> int:
    """Every right to files that this version knows."""
    newest_bit = {1: 12, 2: 13, 3: 14, 4: 14}.get(version, 15)  # REFER, TRUNCATE, IOCTL_DEV came one by one
    return (1 << (newest_bit + 1)) - 1


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, access: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not path.is_dir():
            access &= _ON_FILES
        rule = _PathBeneath(access, descriptor)
        _checked(libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "landlock")
    return result
