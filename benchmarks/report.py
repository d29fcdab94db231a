"""The report: markdown tables between markers, so that what people wrote around them stays."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.goals import Verdict
from benchmarks.growth import Growth
from benchmarks.machine import this_machine
from benchmarks.quality import Quality
from benchmarks.results import Figure, Figures
from benchmarks.standing import Standing
from benchmarks.workloads import NGINX, OURS, PROXIED, TEXTBOOK_2, Case

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_GENERATOR_LIMIT_CORES = 0.9
_LEGEND = (
    "CPU is that of the server's whole process tree for one request; the database's is apart. Peak is the tree's "
    "anonymous memory (shared pages once) and its mapped program files. Spread is (highest - lowest) / median of the "
    "rate over the rounds. An upload counts for the share of its time that lies inside the measurement. "
    "In WX, p50 and p99 are those of the metadata requests. The notes tell how many cores the load generator used."
)


@dataclass(frozen=True, slots=True)
class Report:
    """All that one run found out."""

    cases: Sequence[Case]
    figures: Figures
    verdicts: Sequence[Verdict]
    growth: Sequence[Growth]
    standing: Standing | None
    quality: Sequence[Quality]
    is_quick: bool
    took_s: float
    with_directus: bool

    def text(self) -> str:
        """The markdown of everything between the markers."""
        parts = [_heading(self), "### Goals", _goal_table(self.verdicts), "### All figures", _figure_table(self)]
        if self.growth:
            parts += ["### How cost grows", _growth_table(self.growth)]
        if self.standing is not None:
            parts += ["### Start and rest", _standing_text(self.standing)]
        if self.quality:
            parts += ["### Picture quality", _quality_table(self.quality)]
        return "\n\n".join(parts)


def write_report(report: Report, path: Path) -> None:
    """Replace what is between the markers of `path`; make the file when there is none."""
    text = path.read_text(encoding="utf-8") if path.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    block = f"{BEGIN}\n\n{report.text()}\n\n{END}"
    pattern = f"{re.escape(BEGIN)}.*{re.escape(END)}"
    if not re.search(pattern, text, re.DOTALL):
        raise ValueError(f"{path} has no markers {BEGIN} and {END}")
    path.write_text(re.sub(pattern, lambda _: block, text, flags=re.DOTALL), encoding="utf-8")


def _heading(report: Report) -> str:
    rounds = max((figure.rounds for figure in report.figures.values()), default=0)
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {this_machine()}.",
        f"Medians of {rounds} interleaved round(s) after one that was thrown away; {report.took_s / 60:.0f} minutes.",
    ]
    if report.is_quick:
        lines.append(
            "**This was a quick run (`--quick`): one round, about a second a figure, a fifth and a tenth of the rows. "
            "Good for seeing that everything works; not for judging.**"
        )
    if not report.with_directus:
        lines.append("Directus was not measured in this run (`--directus`).")
    return "\n".join(lines)


def _goal_table(verdicts: Sequence[Verdict]) -> str:
    rows = [
        (
            verdict.goal.case,
            verdict.goal.text,
            f"{'≤' if verdict.goal.is_ceiling else '≥'} {_number(verdict.needed)}",
            _number(verdict.measured),
            ("reached" if verdict.is_reached else "**not reached**") + f" ({verdict.ratio:.2f})",
            verdict.basis,
        )
        for verdict in verdicts
    ]
    note = "In brackets: how much of the goal was reached; 1.00 or more is all of it, for ceilings too."
    return _table(("work", "must reach", "that is here", "measured", "", "from"), rows) + "\n\n" + note


def _figure_table(report: Report) -> str:
    rows = []
    for case in report.cases:
        names = [name for name in case.targets if (case.key, name) in report.figures]
        for name in names:
            figure = report.figures[case.key, name]
            rows.append((case.key, case.title, name, *_cells(report.figures, case, name, figure)))
    header = (
        "case", "work", "target", "rate", "spread", "p50 ms", "p99 ms", "CPU ms", "database CPU ms", "peak MB",
        "x textbook x2", "x nginx", "notes",
    )  # fmt: skip
    return _table(header, rows) + "\n\n" + _LEGEND


def _cells(figures: Figures, case: Case, name: str, figure: Figure) -> tuple[str, ...]:
    sample = figure.median
    notes = []
    if sample.failures:
        notes.append(f"{sample.failures:.0f} failed")
    if sample.load_cores >= _GENERATOR_LIMIT_CORES:
        notes.append("the load generator was the limit")
    return (
        f"{_number(sample.rate)} {case.unit}",
        f"{figure.spread * 100:.0f} %",
        _number(sample.p50_ms),
        _number(sample.p99_ms),
        _number(sample.cpu_ms),
        _number(sample.database_cpu_ms),
        _number(sample.peak_mb),
        _ratio(figures, case, name, TEXTBOOK_2, figure),
        _ratio(figures, case, name, NGINX, figure),
        "; ".join([*notes, f"generator {sample.load_cores:.2f} cores"]),
    )


def _ratio(figures: Figures, case: Case, name: str, other: str, figure: Figure) -> str:
    reference = figures.get((case.key, other))
    if reference is None and case.key.endswith("cursor"):
        reference = figures.get((case.key.replace("cursor", "page"), other))  # a textbook has no cursors
    if reference is None or name not in {OURS, PROXIED} or not reference.median.rate:
        return ""
    return f"{figure.median.rate / reference.median.rate:.2f}"


def _growth_table(growth: Sequence[Growth]) -> str:
    rows = [
        (
            step.what,
            f"{_number(step.rate_per_s)} 1/s",
            _number(step.p50_ms),
            _number(step.cpu_ms),
            _number(step.peak_mb) if step.peak_mb else "",
        )
        for step in growth
    ]
    note = "Ours alone, measured once. Rows: compare the lists of both sizes above."
    return _table(("work", "rate", "p50 ms", "CPU ms", "peak MB"), rows) + "\n\n" + note


def _standing_text(standing: Standing) -> str:
    return (
        f"With the embedded PostgreSQL and one server process: first start {standing.first_start_s:.1f} s until "
        f"`/readyz`, second start {standing.second_start_s:.1f} s (goal: 3 s); `import app.main` "
        f"{standing.import_s:.2f} s (goal: 1 s); at rest {standing.idle_mb:.0f} MB (PostgreSQL and sandbox workers "
        f"included) and "
        f"{standing.idle_cpu_percent:.1f} % of one core."
    )


def _quality_table(quality: Sequence[Quality]) -> str:
    rows = [
        (entry.what, f"{entry.ssim:.4f}", f"{entry.psnr_db:.2f}", f"{entry.size_bytes / 1000:.0f}") for entry in quality
    ]
    note = (
        "The 12 MP photograph against its LANCZOS reduction in one step in floating point, stored without loss; luma. "
        "`Pillow` is its own reduction as optimised JPEG of quality 85, thumbnails of 80."
    )
    return _table(("picture", "SSIM", "PSNR dB", "kB"), rows) + "\n\n" + note


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
