"""`make bench`: build the corpus, start the servers, measure in rounds, print the tables and write the report."""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmarks.corpus import make_corpus
from benchmarks.directus import DirectusMissing
from benchmarks.goals import verdicts
from benchmarks.growth import Growth, measure_growth
from benchmarks.load import LoadToolMissing, install_wrk
from benchmarks.processes import PROJECT, StartError
from benchmarks.quality import Quality, measure_quality
from benchmarks.report import Report, write_report
from benchmarks.rounds import Pace, run_rounds
from benchmarks.site import Site
from benchmarks.standing import Standing, measure_standing
from benchmarks.workloads import DIRECTUS, LARGE_ROWS, OURS, SMALL_ROWS, make_cases

Result = TypeVar("Result")

REPORT = PROJECT / "docs/performance.md"
FULL = Pace(measure_s=3.0, warm_up_s=1.0, cooldown_s=0.3)
QUICK = Pace(measure_s=1.0, warm_up_s=0.5, cooldown_s=0.05)
FULL_ROWS = {SMALL_ROWS: 100_000, LARGE_ROWS: 1_000_000}
QUICK_ROWS = {SMALL_ROWS: 20_000, LARGE_ROWS: 100_000}
WORKLOADS = ("W1", "W2", "W3", "W4", "W5", "W6", "W7", "WX")


def main() -> int:
    arguments = _arguments()
    started = time.monotonic()
    cache: Path = arguments.directory
    rows = QUICK_ROWS if arguments.quick else FULL_ROWS
    pace = QUICK if arguments.quick else FULL
    try:
        install_wrk()
        print(f"making the corpus in {cache}", flush=True)
        corpus = make_corpus(cache / "corpus")
        cases = [
            case
            for case in make_cases(corpus, small_rows=rows[SMALL_ROWS], large_rows=rows[LARGE_ROWS])
            if case.workload in arguments.only
        ]
        home = Path(tempfile.mkdtemp(prefix="run-", dir=cache))
        # PostgreSQL may run as another user than root, and has to reach its own directory in there.
        home.chmod(0o711)
        try:
            site = Site(home, corpus, rows=rows, directus_directory=cache / "directus" if arguments.directus else None)
            with site:
                print(f"starting the servers, {rows[SMALL_ROWS]:,} and {rows[LARGE_ROWS]:,} rows", flush=True)
                site.open(cases)
                figures = run_rounds(site, cases, rounds=arguments.rounds, pace=pace)
                growth: list[Growth] = []
                ours = site.target(SMALL_ROWS, OURS)
                if ours is not None and not arguments.is_partial:
                    growth = _attempt(lambda: measure_growth(ours, corpus, duration_s=min(2.0, pace.measure_s)), growth)
            standing: Standing | None = None
            quality: list[Quality] = []
            if not arguments.is_partial:
                standing = _attempt(lambda: measure_standing(home / "standing"), standing)
                quality = _attempt(lambda: measure_quality(corpus, home / "quality"), quality)
        finally:
            shutil.rmtree(home, ignore_errors=True)
    except (LoadToolMissing, StartError, DirectusMissing) as exc:
        print(exc, file=sys.stderr)
        return 1
    report = Report(
        cases=cases,
        figures=figures,
        verdicts=verdicts(figures, with_lists=not arguments.quick),
        growth=growth,
        standing=standing,
        quality=quality,
        is_quick=arguments.quick,
        took_s=time.monotonic() - started,
        with_directus=any(target == DIRECTUS for _, target in figures),
    )
    print(report.text())
    if arguments.report is not None:
        write_report(report, arguments.report)
        print(f"written into {arguments.report}")
    return 0


def _attempt(measure: Callable[[], Result], missing: Result) -> Result:
    """The result, or `missing`: minutes of figures must not be lost to the last and smallest part."""
    try:
        return measure()
    except (StartError, OSError, RuntimeError, subprocess.SubprocessError) as exc:
        print(f"left out: {exc}", file=sys.stderr)
        return missing


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, metavar="N", help="measured rounds after the warm-up; default 3, quick 1")
    parser.add_argument(
        "--only", metavar="W1,W2", help="only these workloads; nothing is written unless --report is given"
    )
    parser.add_argument(
        "--quick", action="store_true", help="shorter, one round, a fifth of the rows: to try, not to judge"
    )
    parser.add_argument("--directus", action="store_true", help="measure Directus too (npm install, about 1 GB)")
    parser.add_argument("--report", type=Path, help=f"the file whose tables are replaced; default {REPORT.name}")
    parser.add_argument(
        "--directory", type=Path, default=Path(tempfile.gettempdir()) / "media-benchmark", metavar="PATH",
        help="corpus and servers' data; must be on a real disk, 8 GB free",
    )  # fmt: skip
    arguments = parser.parse_args()
    arguments.is_partial = arguments.only is not None
    arguments.only = tuple((arguments.only or ",".join(WORKLOADS)).split(","))
    if unknown := set(arguments.only) - set(WORKLOADS):
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 3)
    if arguments.report is None and not arguments.is_partial:
        arguments.report = REPORT
    arguments.directory = arguments.directory.resolve()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
