"""`python -m benchmarks.profiles`: one flame graph per hot path into docs/performance/, and the largest costs as text.

py-spy looks at our service from outside, sandbox workers included, while the workload runs; the load is that of
the benchmark. Needs py-spy and the right to trace (root, or ptrace_scope 0).
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from benchmarks.corpus import make_corpus
from benchmarks.flame import called_time, flame_svg, own_time, own_time_by_package, read_stacks
from benchmarks.load import install_wrk
from benchmarks.processes import PROJECT
from benchmarks.site import Site
from benchmarks.targets import Target
from benchmarks.workloads import LARGE_ROWS, OURS, SMALL_ROWS, Case, make_cases

PICTURES = PROJECT / "docs/performance"
SAMPLES_PER_S = 100
ROWS = {SMALL_ROWS: 100_000, LARGE_ROWS: 100_000}
PROFILED = ("W1", "W2", "W3 8", "W4", "W5 100k first", "W5 100k cursor", "W6", "W7")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiles", description=__doc__)
    parser.add_argument("--only", default=",".join(PROFILED), metavar="W1,W4", help="only these cases")
    parser.add_argument("--seconds", type=float, default=8.0, help="of load for each case; default 8")
    parser.add_argument("--into", type=Path, default=PICTURES, help="directory of the pictures")
    parser.add_argument(
        "--directory", type=Path, default=Path(tempfile.gettempdir()) / "media-benchmark", help="corpus and data"
    )
    arguments = parser.parse_args()
    if (py_spy := _py_spy()) is None:
        print("py-spy is not installed; it is part of requirements-dev.txt", file=sys.stderr)
        return 1
    install_wrk()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    corpus = make_corpus(arguments.directory / "corpus")
    wanted = set(arguments.only.split(","))
    cases = [case for case in make_cases(corpus, small_rows=ROWS[SMALL_ROWS], large_rows=0) if case.key in wanted]
    ours_only = [_only_ours(case) for case in cases]
    home = Path(tempfile.mkdtemp(prefix="profile-", dir=arguments.directory))
    home.chmod(0o711)
    try:
        with Site(home, corpus, rows=ROWS, directus_directory=None) as site:
            site.open(ours_only)
            for case in ours_only:
                target = site.target(SMALL_ROWS, OURS)
                assert target is not None
                _profile(py_spy, case, target, arguments.seconds, arguments.into)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0


def _profile(py_spy: str, case: Case, target: Target, seconds: float, into: Path) -> None:
    case.run(target, 1.0)  # warm
    with tempfile.TemporaryDirectory(prefix="profile-") as directory:
        raw = Path(directory) / "stacks"
        command = [
            py_spy, "record", "--pid", str(target.pids[0]), "--subprocesses", "--function", "--format", "raw",
            "--rate", str(SAMPLES_PER_S), "--duration", str(round(seconds)), "--output", str(raw), "--nonblocking",
        ]  # fmt: skip
        loading = threading.Thread(target=case.run, args=(target, seconds + 1))
        loading.start()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        loading.join()
        if not raw.exists():
            raise RuntimeError(f"py-spy failed: {done.stderr[-1000:]}")
        stacks = read_stacks(raw.read_text(encoding="utf-8"))
    into.mkdir(parents=True, exist_ok=True)
    name = case.key.lower().replace(" ", "-")
    (into / f"{name}.svg").write_text(flame_svg(stacks, f"{case.key}: {case.title}"), encoding="utf-8")
    print(f"\n{case.key}: {case.title}: {sum(count for _, count in stacks)} samples on a processor")
    _print_shares("own time by package", own_time_by_package(stacks, limit=10))
    _print_shares("own time by function", own_time(stacks, limit=12))
    _print_shares("our functions with what they call", called_time(stacks, package="app", limit=20))


def _print_shares(title: str, shares: Sequence[tuple[str, float]]) -> None:
    print(f"  {title}")
    for name, share in shares:
        print(f"    {share * 100:5.1f} %  {name}")


def _only_ours(case: Case) -> Case:
    return Case(case.key, case.title, case.unit, (OURS,), case.run, case.table, case.bytes_per_request, case.weight)


def _py_spy() -> str | None:
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


if __name__ == "__main__":
    sys.exit(main())
