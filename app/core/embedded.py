"""The bundled PostgreSQL that runs when DATABASE_URL is unset: started as our child, watched, stopped.

Synchronous on purpose: the death signal that ties the server to us belongs to the thread that starts it, so it must
be the main thread, before the event loop.
"""

import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

from app.core.config import ConfigurationError
from app.core.logging import get_logger
from app.core.postgres.cluster import ENVIRONMENT, PORT, AlreadyRunning, Cluster, find_binaries
from app.core.postgres.process import ServerUser, before_exec, server_user

__all__ = ["AlreadyRunning", "EmbeddedPostgres"]

log = get_logger(__name__)

_READY_POLL_S = 0.01
_LINGERING_POLL_S = 0.1
# A fast shutdown, an immediate one, and what no process survives; each with the seconds it is given.
_STOP_SIGNALS = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
# What PostgreSQL says while the server of a killed predecessor is still on its way out.
_LINGERING = re.compile(r'lock file "[^"]+" already exists|pre-existing shared memory block')

# On the command line, not in the cluster's postgresql.conf: a new release changes them for old clusters too.
_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "work_mem": "8MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "dynamic_shared_memory_type": "sysv",  # no files: in /dev/shm lie those of others
    "max_parallel_workers_per_gather": "0",  # tables are small, and Docker gives /dev/shm 64 MB
    "log_timezone": "UTC",
    "timezone": "UTC",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
    # What users sent belongs into the tables only. An error of a statement shows rows, keys and the statement itself;
    # it is told to us, who log it without them. What stops the server (FATAL) and what it does (LOG) is kept.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
}
_WITHOUT_DURABILITY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """One PostgreSQL cluster under `data_dir`/postgres, served on a Unix socket to this user (and root) only."""

    def __init__(
        self, data_dir: Path, *, max_connections: int = 100, is_durable: bool = True, start_timeout_s: float = 60
    ) -> None:
        """`is_durable=False` turns fsync off, for tests; `start_timeout_s` bounds `start`, without initdb."""
        self._data_dir = data_dir
        self._cluster = Cluster(data_dir)
        self._max_connections = max_connections
        self._is_durable = is_durable
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """A `postgresql://` URL of the cluster's database."""
        return f"postgresql://postgres@/postgres?{urlencode({'host': str(self._cluster.socket_dir), 'port': PORT})}"

    @property
    def log_path(self) -> Path:
        """Where the server writes its log."""
        return self._cluster.log_path

    @property
    def is_running(self) -> bool:
        """Whether our server process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id of the server, None when it is not running."""
        return self._process.pid if self._process is not None and self.is_running else None

    def start(self) -> str:
        """Start the server, making the cluster first when there is none; returns its URL once it takes connections.

        Raises AlreadyRunning when another process uses the data, and ConfigurationError when the directory cannot be
        used or the server does not come up in time: one sentence with the server's last words and the name of its log.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the embedded PostgreSQL must be started from the main thread")
        if self.is_running:
            return self.url
        try:
            self._start()
        except OSError as exc:
            self.stop()
            raise ConfigurationError(f"DATA_DIR: the embedded PostgreSQL cannot use {self._data_dir}: {exc}") from exc
        except subprocess.SubprocessError as exc:
            self.stop()
            raise ConfigurationError(
                f"The embedded PostgreSQL did not start: {exc} PostgreSQL refuses to run as root; where root may not "
                "become another user either, run the service as one, or set DATABASE_URL"
            ) from exc
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Stop the server: a fast shutdown that keeps every commit, then harsher; returns when it is gone."""
        process, self._process = self._process, None
        if process is not None:
            for signal_number, patience_s in _STOP_SIGNALS:
                process.send_signal(signal_number)  # does nothing to a process that has ended
                try:
                    process.wait(timeout=patience_s)
                    break
                except subprocess.TimeoutExpired:
                    log.warning("postgres.slow_stop", signal=signal_number.name, waited_s=patience_s)
        self._cluster.unlock()

    def _start(self) -> None:
        binaries = find_binaries()
        self._cluster.lock()
        user = server_user(self._cluster.path, binary=binaries / "postgres", writable=self._cluster.writable)
        self._cluster.prepare(user, binaries=binaries, is_durable=self._is_durable)
        deadline = time.monotonic() + self._start_timeout_s
        while True:
            log_start = self._cluster.log_size_bytes()
            self._process = self._spawn(binaries, user)
            if self._wait_until_ready(self._process, binaries, deadline):
                return
            said = self._cluster.log_since(log_start)
            if self._process.poll() is None:
                raise self._cluster.start_failure(f"it was not ready after {self._start_timeout_s:.0f} s", said)
            if not _LINGERING.search(said) or time.monotonic() >= deadline:
                raise self._cluster.start_failure(f"it ended with status {self._process.returncode}", said)
            time.sleep(_LINGERING_POLL_S)

    def _spawn(self, binaries: Path, user: ServerUser | None) -> subprocess.Popen[bytes]:
        settings = {
            **_SETTINGS,
            "unix_socket_directories": str(self._cluster.socket_dir),
            "max_connections": str(self._max_connections),
            **({} if self._is_durable else _WITHOUT_DURABILITY),
        }
        arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        with self._cluster.log_path.open("ab") as server_log:
            return subprocess.Popen(  # noqa: S603 - our own binary and arguments
                [str(binaries / "postgres"), "-D", str(self._cluster.path), *arguments],
                cwd="/", env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=server_log, stderr=server_log,
                # Its own session: Ctrl-C must reach us only, or the database would go before our last requests.
                start_new_session=True,
                preexec_fn=before_exec(user),  # noqa: PLW1509 - no second thread runs yet
            )  # fmt: skip

    def _wait_until_ready(self, process: subprocess.Popen[bytes], binaries: Path, deadline: float) -> bool:
        where = [f"--host={self._cluster.socket_dir}", f"--port={PORT}", "--username=postgres"]
        question = [str(binaries / "pg_isready"), *where, "--timeout=2", "--quiet"]
        while process.poll() is None and time.monotonic() < deadline:
            if subprocess.run(question, cwd="/", env=ENVIRONMENT, check=False).returncode == 0:  # noqa: S603 - ours
                return True
            time.sleep(_READY_POLL_S)
        return False
