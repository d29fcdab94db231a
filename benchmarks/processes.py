"""Starts and stops the server processes; each gets a free port of 127.0.0.1 and a log file."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0


class StartError(Exception):
    """A server did not come up; the text has the end of its log."""


class ServerProcess:
    """One running command and everything it starts."""

    def __init__(self, command: Sequence[str], *, home: Path, environment: Mapping[str, str], log: Path) -> None:
        """Run `command` in `home`; its environment is PATH, PYTHONPATH and `environment`, nothing else."""
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=home,  # not the checkout, whose .env would change what is measured
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "LANG": "C.UTF-8", **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until(self, url: str) -> None:
        """Return when `url` answers below 500. Raises StartError after 90 s or when the process ends."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if _answers(url):
                return
            time.sleep(0.01)
        raise StartError(f"{url} does not answer:\n{self._log.read_text(errors='replace')[-3000:]}")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not listen."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
            return
        self._process.kill()
        self._process.wait(STOP_TIMEOUT_S)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
