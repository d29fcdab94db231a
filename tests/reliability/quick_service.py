"""The service as `python -m app serve` starts it, but forked from a process that has done the imports already.

Imports are two thirds of a start, and a test that starts the service twenty times would spend most of its time on
them. What runs, and what is killed, is the same.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypedDict

import httpx

from tests.fixtures.live_service import START_TIMEOUT_S, LiveService

_NURSERY = """
import os, signal, sys
import app.main
from app.cli.main import main
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended children vanish by themselves
print("ready", flush=True)
for _ in sys.stdin:
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)
        os._exit(main(["serve"]))
    print(pid, flush=True)
"""


class Surroundings(TypedDict):
    """Arguments for subprocess."""

    cwd: Path
    env: dict[str, str]


class QuickService(LiveService):
    """Start and kill it as often as you like; `quick_service` makes one. prefix: a command to run it with."""

    def __init__(self, directory: Path, environment: dict[str, str], prefix: Sequence[str]) -> None:
        super().__init__(directory, environment)
        self._prefix = prefix
        directory.mkdir(parents=True, exist_ok=True)
        self._nursery = subprocess.Popen(
            [*prefix, sys.executable, "-c", _NURSERY, str(self.log_path)],
            cwd=directory,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._client = httpx.Client(base_url=self.url, timeout=2)
        self._pid = 0
        assert self._said() == "ready"

    def start(self) -> None:
        assert self._nursery.stdin is not None
        self._nursery.stdin.write("serve\n")
        self._nursery.stdin.flush()
        self._pid = int(self._said())
        deadline = time.monotonic() + START_TIMEOUT_S
        while self._is_running():
            with suppress(httpx.HTTPError):
                if self._client.get("/readyz").status_code == 200:
                    return
            assert time.monotonic() < deadline, "too slow"
            time.sleep(0.02)
        raise AssertionError(f"the service ended:\n{self.log_path.read_text()[-4000:]}")

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        while self._is_running():
            time.sleep(0.001)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self.command_line(*arguments)
        return subprocess.run(command, **self.surroundings, capture_output=True, text=True, timeout=60, check=False)

    def command_line(self, *arguments: str) -> list[str]:
        """`python -m app ...` for subprocess; to be run in its `surroundings`."""
        return [*self._prefix, sys.executable, "-m", "app", *arguments]

    @property
    def surroundings(self) -> Surroundings:
        """Where commands run: the directory and the environment of this service."""
        return {"cwd": self._directory, "env": self._environment}

    def close(self) -> None:
        if self._pid:
            self.kill()
        self._nursery.kill()
        self._nursery.communicate()
        self._client.close()

    def _is_running(self) -> bool:
        return Path(f"/proc/{self._pid}").exists()

    def _said(self) -> str:
        assert self._nursery.stdout is not None
        return self._nursery.stdout.readline().strip()


@contextmanager
def quick_service(
    directory: Path, environment: dict[str, str], *, prefix: Sequence[str] = ()
) -> Iterator[QuickService]:
    """A started service, ended afterwards."""
    service = QuickService(directory, environment, prefix)
    try:
        service.start()
        yield service
    finally:
        service.close()
