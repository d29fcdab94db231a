"""What a workload costs: CPU seconds and memory of whole process trees, sampled from outside.

CPU is user plus system time, in seconds. Memory, in bytes, is the proportional anonymous memory of all processes of a
tree, so that pages shared since a fork count once, plus the program files that its largest process maps: those are
shared with other servers of the same run, and a plain PSS would be the lower the more of them run. Linux only.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SAMPLE_INTERVAL_S = 0.25


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process tree used between two moments."""

    cpu_s: float
    peak_bytes: int
    grown_bytes: int
    """Peak less the value at the beginning."""


@dataclass(slots=True)
class Meter:
    """Filled when the block of `metered` ends."""

    servers: Cost = field(default_factory=lambda: Cost(0.0, 0, 0))
    database: Cost = field(default_factory=lambda: Cost(0.0, 0, 0))


@contextmanager
def metered(servers: Sequence[int], database: Sequence[int]) -> Iterator[Meter]:
    """Measure the trees below these process ids while the block runs."""
    meter = Meter()
    cpu_before = cpu_seconds(servers), cpu_seconds(database)
    with _sampled(servers) as server_samples, _sampled(database) as database_samples:
        yield meter
    cpu_after = cpu_seconds(servers), cpu_seconds(database)
    meter.servers = _cost(cpu_after[0] - cpu_before[0], server_samples)
    meter.database = _cost(cpu_after[1] - cpu_before[1], database_samples)


def cpu_seconds(roots: Sequence[int]) -> float:
    """CPU of all processes of the trees, and of their children that have ended and were waited for."""
    total = 0.0
    for process in _tree(roots):
        with suppress(psutil.Error):
            used = process.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return total


def memory_bytes(roots: Sequence[int]) -> int:
    """Memory of the trees now."""
    usages = [_memory_of(process.pid) for process in _tree(roots)]
    return sum(anonymous for anonymous, _ in usages) + max((files for _, files in usages), default=0)


def _cost(cpu_s: float, samples: list[int]) -> Cost:
    peak = max(samples, default=0)
    return Cost(cpu_s, peak, peak - samples[0] if samples else 0)


@contextmanager
def _sampled(roots: Sequence[int]) -> Iterator[list[int]]:
    if not roots:
        yield []
        return
    samples = [memory_bytes(roots)]
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_INTERVAL_S):
            samples.append(memory_bytes(roots))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield samples
    finally:
        ended.set()
        sampler.join()


def _tree(roots: Sequence[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for pid in roots:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found += [root, *root.children(recursive=True)]
    return found


def _memory_of(pid: int) -> tuple[int, int]:
    """Anonymous and shared memory in proportion, and mapped files in full; zeros for a process that has ended."""
    fields: dict[str, int] = {}
    # smaps_rollup is summed up by the kernel: psutil's memory_full_info reads every mapping, which takes far longer.
    with suppress(OSError), Path(f"/proc/{pid}/smaps_rollup").open(encoding="ascii") as rollup:
        for line in list(rollup)[1:]:
            name, _, rest = line.partition(":")
            fields[name] = int(rest.split()[0]) * 1024
    if not fields:
        return 0, 0
    shared = fields.get("Pss_Shmem", 0)
    return fields["Pss_Anon"] + shared, max(0, fields["Rss"] - fields["Anonymous"] - shared)


def wait_until_quiet(roots: Sequence[int], *, cooldown_s: float, limit_s: float = 3.0) -> None:
    """Wait `cooldown_s`, then on until the trees use less than a tenth of a core, `limit_s` seconds at most."""
    time.sleep(cooldown_s)
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        before = cpu_seconds(roots)
        time.sleep(0.2)
        if cpu_seconds(roots) - before < 0.02:
            return
