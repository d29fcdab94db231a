"""What the service costs while nobody asks for anything: start-up, import time and idle memory."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import cpu_seconds, memory_bytes
from benchmarks.processes import PROJECT, ServerProcess, free_port
from benchmarks.results import MEGABYTE

IDLE_S = 3.0
_IMPORT = "import time; t = time.perf_counter(); import app.main; print(time.perf_counter() - t)"


@dataclass(frozen=True, slots=True)
class Standing:
    """first_start_s and second_start_s: until /readyz, with the embedded PostgreSQL, one server process.

    idle_mb: memory of that whole service, PostgreSQL included.  idle_cpu_percent: of one core.
    """

    first_start_s: float
    second_start_s: float
    import_s: float
    idle_mb: float
    idle_cpu_percent: float


def measure_standing(home: Path) -> Standing:
    """Start the service twice as `make run` does and let it idle for three seconds; home: an empty directory."""
    home.mkdir(parents=True)
    import_s = _import_s()
    first, first_start_s = _start(home)
    first.stop()
    second, second_start_s = _start(home)
    try:
        time.sleep(1)
        before = cpu_seconds([second.pid])
        time.sleep(IDLE_S)
        idle_cpu = (cpu_seconds([second.pid]) - before) / IDLE_S * 100
        idle_mb = memory_bytes([second.pid]) / MEGABYTE
    finally:
        second.stop()
    return Standing(first_start_s, second_start_s, import_s, idle_mb, idle_cpu)


def _start(home: Path) -> tuple[ServerProcess, float]:
    port = free_port()
    started = time.perf_counter()
    process = ServerProcess(
        [sys.executable, "-m", "app", "serve"],
        home=home,
        environment={"PORT": str(port), "UPLOAD_DIR": str(home / "uploads"), "DATA_DIR": str(home / "data")},
        log=home / "service.log",
    )
    process.wait_until(f"http://127.0.0.1:{port}/readyz")
    return process, time.perf_counter() - started


def _import_s() -> float:
    """Seconds that `import app.main` takes; the better of two, since the first may have to compile."""
    environment = {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", _IMPORT]
    runs = [
        subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    return min(float(run.stdout) for run in runs)
