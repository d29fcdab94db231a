"""The files that a worker may reach: a Landlock domain, which the process cannot leave. Imports nothing of ours.

Read-only: the interpreter, the shared libraries, fonts, a few tables of the system, and where a job's file lies. In one
directory files can be made and written, but not removed, so that the server sees all that a job has written. Nothing
else can be opened, listed or changed, no TCP port used, no process outside signalled.
Source: landlock(7); <linux/landlock.h>. What the running kernel does not know yet is left out.
"""

import contextlib
import ctypes
import errno
import os
from collections.abc import Sequence
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_ASK_VERSION, _RULE_PATH_BENEATH = 1, 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_MAKE_REG, _TRUNCATE = 1 << 8, 1 << 14
_READ = _READ_FILE | _READ_DIR
_CHANGE = _READ | _WRITE_FILE | _MAKE_REG | _TRUNCATE
_ON_FILES = _READ_FILE | _WRITE_FILE | _TRUNCATE
_NETWORK, _SCOPES = 0b11, 0b11  # bind and connect TCP; abstract UNIX sockets and signals

# Not /usr as a whole: an image may well keep the application, and its .env, under /usr/src.
_SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/share", "/usr/local/lib", "/usr/local/share", "/lib", "/lib64",
           "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/ssl/openssl.cnf",
           "/dev/urandom", "/dev/zero", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")  # fmt: skip


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def restrict_files(libc: ctypes.CDLL, *, readable: Sequence[Path], writable: Path, max_version: int) -> str:
    """Put this thread, and every thread it starts, into the domain for good; needs PR_SET_NO_NEW_PRIVS.

    max_version: use no more than an older kernel has; 0 acts as if there were no Landlock.  Returns "abi N". Raises
    OSError when the kernel has no Landlock or `writable` cannot be opened.
    """
    version: int = libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < 0:
        raise OSError(ctypes.get_errno(), "landlock")
    version = min(version, max_version)
    if version == 0:
        raise OSError(errno.ENOSYS, "landlock")
    handled = _handled_access(version)
    attributes = _Ruleset(handled, _NETWORK if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _checked(libc.syscall(_CREATE_RULESET, ctypes.byref(attributes), size, 0))
    try:
        for path in (*map(Path, _SYSTEM), *readable):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                _allow(libc, ruleset, path, _READ & handled)
        _allow(libc, ruleset, Path("/dev/null"), (_READ_FILE | _WRITE_FILE) & handled)
        _allow(libc, ruleset, writable, _CHANGE & handled)
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return f"abi {version}"


def _handled_access(version: int) -> int:
    """Every right to files that this version knows; what is handled and not allowed is denied."""
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
