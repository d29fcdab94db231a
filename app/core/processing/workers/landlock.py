"""Which files a worker may reach, as rules of a Landlock domain.

Read-only: the interpreter, the shared libraries, fonts, a few tables of the system, and where a job's file lies. In one
directory files can be made and written, but not removed, so that the server sees all that a job has written. Nothing
else can be opened, listed or changed, no TCP port used, no process outside signalled.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path

from app.core.landlock import MAKE_REG, READ, READ_FILE, TRUNCATE, WRITE_FILE, restrict

_CHANGE = READ | WRITE_FILE | MAKE_REG | TRUNCATE

# Not /usr as a whole: an image may well keep the application, and its .env, under /usr/src.
_SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/share", "/usr/local/lib", "/usr/local/share", "/lib", "/lib64",
           "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/ssl/openssl.cnf",
           "/dev/urandom", "/dev/zero", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")  # fmt: skip


def restrict_files(libc: ctypes.CDLL, *, readable: Sequence[Path], writable: Path, max_version: int) -> str:
    """Put this worker into its domain; see `app.core.landlock.restrict`. Returns "abi N", raises OSError."""
    rules = [(path, READ) for path in (*map(Path, _SYSTEM), *readable)]
    rules += [(Path("/dev/null"), READ_FILE | WRITE_FILE), (writable, _CHANGE)]
    return restrict(libc, rules, max_version=max_version)
