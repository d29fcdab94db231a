"""What the report says about the machine."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Machine:
    """cores: those that this process may use.  load: mean of the last minute, when the report was made."""

    cores: int
    processor: str
    memory_gb: float
    kernel: str
    python: str
    load: float

    def __str__(self) -> str:
        hardware = f"{self.cores} cores of {self.processor}, {self.memory_gb:.0f} GB"
        return f"{hardware}, Linux {self.kernel}, Python {self.python}; load average at the end {self.load:.1f}"


def this_machine() -> Machine:
    """The machine that we run on; nothing that names it."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=found[1].strip() if found else platform.machine(),
        memory_gb=psutil.virtual_memory().total / 1e9,
        kernel=platform.release().split("-")[0],
        python=platform.python_version(),
        load=os.getloadavg()[0],
    )
