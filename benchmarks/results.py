"""What one measurement says, and how rounds become one figure."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import median

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One workload on one target.

    rate: requests a second, or megabytes a second where the case says so.  p50_ms and p99_ms: of the requests; for WX
    of the metadata requests beside the uploads.  cpu_ms: of the server's process tree for one request;
    database_cpu_ms: of PostgreSQL.  peak_mb: most memory of the server's tree (see `measure`); grown_mb: that less
    what it had before.
    load_cores: CPU that the load generator used, in cores.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    database_cpu_ms: float
    peak_mb: float
    grown_mb: float
    load_cores: float
    failures: float


@dataclass(frozen=True, slots=True)
class Figure:
    """Medians over the rounds. spread: (highest - lowest rate) / median rate."""

    median: Sample
    spread: float
    rounds: int


CaseAndTarget = tuple[str, str]
Figures = dict[CaseAndTarget, Figure]


def combined(samples: Sequence[Sample]) -> Figure:
    """The median of each value by itself."""
    middle = Sample(
        **{field.name: median(getattr(sample, field.name) for sample in samples) for field in fields(Sample)}
    )
    rates = [sample.rate for sample in samples]
    spread = (max(rates) - min(rates)) / middle.rate if middle.rate else 0.0
    return Figure(middle, spread, len(samples))
