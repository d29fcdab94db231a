"""As whom the bundled PostgreSQL runs: what a child does between fork and exec so that it never outlives us.

Linux only. The callables made here run in the forked child, so they use nothing but system calls bound beforehand.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.core import landlock
from app.core.logging import get_logger

NOBODY_ID = 65534

_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS = 38
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522
_OTHERS_MAY_ENTER = 0o001

# What its programs read of the system; the names of users are asked for.
_PROGRAMS = ("/bin", "/lib", "/lib64", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_TABLES = ("/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd",
           "/etc/group", "/dev/urandom", "/dev/zero")  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The user of the server process.

    capabilities: the bits that it keeps to reach our files; they would open every file of the machine.
    domain: what it can reach all the same, as rules for `landlock.restrict`.
    """

    uid: int
    gid: int
    capabilities: tuple[int, ...] = ()
    domain: tuple[tuple[Path, int], ...] = ()


def server_user(cluster: Path, *, binary: Path, writable: Sequence[Path]) -> ServerUser | None:
    """Who may own `cluster` and run `binary`; None is ourselves, as for everybody but root.

    writable: all that the server changes, which need not be there yet.

    PostgreSQL refuses root. A cluster that already belongs to somebody stays his, so that `sudo` once does not lock
    a developer out of his own data; otherwise it is nobody's.
    """
    if os.geteuid() != 0:
        return None
    owner = cluster.stat() if cluster.exists() else None
    uid, gid = (owner.st_uid, owner.st_gid) if owner and owner.st_uid else (NOBODY_ID, NOBODY_ID)
    capabilities = _capabilities(cluster.parent, binary)
    if not capabilities:
        return ServerUser(uid, gid)
    if not landlock.version_here(_libc):
        log.warning("postgres.can_read_every_file", reason="no Landlock", data_dir=str(cluster.parent))
        return ServerUser(uid, gid, capabilities)
    return ServerUser(uid, gid, capabilities, tuple(_domain(binary, writable)))


def before_exec(user: ServerUser | None) -> Callable[[], None]:
    """What the child does before exec: become `user`, and get SIGINT (a fast, clean stop) when we die.

    The death signal is tied to the thread that forks, and a change of user clears it, hence the order.
    """
    parent = os.getpid()

    def prepare() -> None:
        if user is not None:
            if user.domain:
                _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
                landlock.restrict(_libc, user.domain)
            _become(user)
        _checked(_libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != parent:
            os._exit(1)  # we died before the line above could take effect

    return prepare


def give_to(user: ServerUser | None, paths: Iterable[Path]) -> None:
    """Hand `paths` (not what lies below them) to the server's user."""
    if user is not None:
        for path in paths:
            os.chown(path, user.uid, user.gid, follow_symlinks=False)


def _capabilities(data: Path, binary: Path) -> tuple[int, ...]:
    # A checkout under /root (mode 0700) is closed to every user that PostgreSQL accepts. Opening the directories up
    # would show them to everybody for ever, and copying 60 MB of binaries elsewhere would have to be kept in step, so
    # the server keeps the one right it lacks: to pass through directories; its domain bounds that. Searching is enough
    # as long as others may execute the binary; Docker's default set has only the wider right, which also serves a umask
    # of 077.
    files_open = bool(binary.stat().st_mode & _OTHERS_MAY_ENTER)
    if files_open and all(path.stat().st_mode & _OTHERS_MAY_ENTER for path in (*_above(data), *binary.parents)):
        return ()
    held = _held_capabilities()
    wanted = (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE) if files_open else (_CAP_DAC_OVERRIDE,)
    return tuple(capability for capability in wanted if held >> capability & 1)[:1]


def _domain(binary: Path, writable: Sequence[Path]) -> Iterable[tuple[Path, int]]:
    installed = binary.parents[2]
    libraries = installed.with_name(f"{installed.name}.libs")  # where wheels keep the libraries of others
    for path in (installed, libraries, *map(Path, _PROGRAMS)):
        yield path, landlock.READ | landlock.EXECUTE
    for path in map(Path, _TABLES):
        yield path, landlock.READ
    for path in (Path("/dev/null"), *writable):
        yield path, landlock.EVERYTHING & ~landlock.EXECUTE


def _above(path: Path) -> tuple[Path, ...]:
    return (path, *path.parents)


def _held_capabilities() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return 0


def _become(user: ServerUser) -> None:
    if user.capabilities:
        # Keeps the capabilities when root becomes `user`. PR_SET_KEEPCAPS would too, but access(2), with which
        # PostgreSQL looks for its own binary, ignores every capability of a user who is not root without this bit.
        _checked(_libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "prctl(PR_SET_SECUREBITS)")
    os.setgroups([])
    os.setgid(user.gid)
    os.setuid(user.uid)
    if user.capabilities:
        _keep_only(user.capabilities)


def _keep_only(capabilities: tuple[int, ...]) -> None:
    mask = sum(1 << capability for capability in capabilities)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Two blocks of 32 capabilities, each (effective, permitted, inheritable); ours are in the low block.
    sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    _checked(_libc.capset(header, sets), "capset")
    for capability in capabilities:  # ambient capabilities are the ones that survive exec without file attributes
        _checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0), "prctl(PR_CAP_AMBIENT)")


def _checked(result: int, call: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")
