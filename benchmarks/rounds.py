"""Runs the cases in interleaved rounds, so that a machine that gets slower or faster does so for everybody.

Round 0 warms caches, pools and the disk, and is thrown away.
"""

import os
from collections import defaultdict
from dataclasses import dataclass

from benchmarks.load import LoadResult
from benchmarks.measure import Meter, metered, wait_until_quiet
from benchmarks.results import MEGABYTE, Figures, Sample, combined
from benchmarks.site import Site
from benchmarks.targets import Target
from benchmarks.workloads import NGINX, Case


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: of a measurement (times the case's weight), of one in round 0, and of rest before each."""

    measure_s: float
    warm_up_s: float
    cooldown_s: float


def run_rounds(site: Site, cases: list[Case], *, rounds: int, pace: Pace) -> Figures:
    """All cases on all targets, `rounds` times after the warm-up; the medians."""
    samples: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for number in range(rounds + 1):
        for case in cases:
            for name, target in _in_turn(site, case, number):
                duration_s = (pace.measure_s if number else pace.warm_up_s) * case.weight
                sample = _measured(site, case, target, duration_s, pace)
                if number:
                    samples[case.key, name].append(sample)
                _show(number, case, name, sample)
    return {key: combined(of_key) for key, of_key in samples.items()}


def _in_turn(site: Site, case: Case, round_number: int) -> list[tuple[str, Target]]:
    """The targets of the case; each round begins with another one."""
    running = [(name, target) for name in case.targets if (target := site.target(case.table, name)) is not None]
    if case.workload in {"W1", "W3"}:
        running = [(name, target) for name, target in running if name != NGINX or getattr(target, "has_put", False)]
    shift = round_number % len(running) if running else 0
    return running[shift:] + running[:shift]


def _measured(site: Site, case: Case, target: Target, duration_s: float, pace: Pace) -> Sample:
    os.sync()  # what the one before left unwritten must not slow this one down
    wait_until_quiet(site.all_pids(), cooldown_s=pace.cooldown_s)
    with metered(target.pids, site.database_pids) as meter:
        seen, count = case.run(target, duration_s)
    target.tidy(seen.ids if case.workload in {"W2", "W3", "WX"} else [])
    return _sample(case, seen, count, meter, duration_s)


def _sample(case: Case, seen: LoadResult, count: float, meter: Meter, duration_s: float) -> Sample:
    requests = max(count, 1)
    scale = case.bytes_per_request / MEGABYTE if case.bytes_per_request else 1
    return Sample(
        rate=seen.rate_per_s * scale,
        p50_ms=seen.p50_ms,
        p99_ms=seen.p99_ms,
        cpu_ms=meter.servers.cpu_s * 1000 / requests,
        database_cpu_ms=meter.database.cpu_s * 1000 / requests,
        peak_mb=meter.servers.peak_bytes / MEGABYTE,
        grown_mb=meter.servers.grown_bytes / MEGABYTE,
        load_cores=seen.load_cpu_s / duration_s,
        failures=seen.failures,
    )


def _show(number: int, case: Case, name: str, sample: Sample) -> None:
    failed = f"  {sample.failures:.0f} FAILED" if sample.failures else ""
    print(
        f"round {number}  {case.key:<15} {name:<13} {sample.rate:9.1f} {case.unit:<8} p50 {sample.p50_ms:8.1f} ms  "
        f"p99 {sample.p99_ms:8.1f} ms  {sample.cpu_ms:8.2f} + {sample.database_cpu_ms:6.2f} ms CPU  "
        f"{sample.peak_mb:6.0f} MB{failed}",
        flush=True,
    )
