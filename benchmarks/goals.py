"""What issue 7 asks for, as numbers of this run.

A goal against a peer that is not measured here (Strapi always, Directus unless asked for) is carried over by the
textbook app with two processes, which was measured beside that peer when the issue was written: 1.5 x Directus is then
1.5 x (75 / 60) x the textbook's rate in this run.
"""

from dataclasses import dataclass
from typing import Literal

from benchmarks.results import Figures, Sample
from benchmarks.workloads import DIRECTUS, NGINX, OURS, PROXIED, TEXTBOOK_2

Metric = Literal["rate", "cpu_ms", "peak_mb", "grown_mb", "p99_ms"]


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer's figure in the issue, and the textbook's (two processes) beside it."""

    name: str
    published: float
    textbook: float


@dataclass(frozen=True, slots=True)
class Goal:
    """`metric` of `case` on `subject` must be at least (or, with is_ceiling, at most) `factor` x the reference.

    The reference is the peer, else `against` (case, target) of this run, else 1. The metric is divided by `per`.
    """

    case: str
    text: str
    metric: Metric
    factor: float
    is_ceiling: bool = False
    peer: Peer | None = None
    against: tuple[str, str] | None = None
    subject: str = OURS
    per: int = 1
    peer_case: str = ""
    """The case in which the peer (or the textbook for it) is measured, when it is another one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal beside what was measured. ratio: 1 or more is reached, for ceilings too. basis: where `needed` is from."""

    goal: Goal
    measured: float
    needed: float
    ratio: float
    basis: str

    @property
    def is_reached(self) -> bool:
        return self.ratio >= 1


GOALS = (
    Goal("W1", "1.5x Directus", "rate", 1.5, peer=Peer(DIRECTUS, 75, 60)),
    Goal("W2", "2x Directus", "rate", 2, peer=Peer(DIRECTUS, 6.2, 3.7)),
    Goal("W2", "at most 0.55x Directus' CPU", "cpu_ms", 0.55, is_ceiling=True, peer=Peer(DIRECTUS, 270, 503)),
    Goal("W2", "under 400 MB", "peak_mb", 400, is_ceiling=True),
    Goal("W3 1", "2x Directus, bytes synced", "rate", 2, peer=Peer(DIRECTUS, 186, 151)),
    Goal("W3 8", "1.2x Directus, bytes synced", "rate", 1.2, peer=Peer(DIRECTUS, 521, 374)),
    Goal("W3 8", "memory growth per upload under 8 MB", "grown_mb", 8, is_ceiling=True, per=8),
    Goal("W4", "3x textbook with two processes", "rate", 3, against=("W4", TEXTBOOK_2)),
    Goal("W5 100k first", "20x Directus", "rate", 20, peer=Peer(DIRECTUS, 46, 45)),
    Goal("W5 100k cursor", "80x Directus", "rate", 80, peer=Peer(DIRECTUS, 12, 12), peer_case="W5 100k page"),
    Goal("W5 1M first", "within 1.3x of its own 100 k figure", "rate", 1 / 1.3, against=("W5 100k first", OURS)),
    Goal("W5 1M cursor", "within 1.3x of its own 100 k figure", "rate", 1 / 1.3, against=("W5 100k cursor", OURS)),
    Goal("W6", "4x Strapi from the process", "rate", 4, peer=Peer("Strapi", 762, 489)),
    Goal("W6", "0.9x nginx where nginx serves /files/", "rate", 0.9, against=("W6", NGINX), subject=PROXIED),
    Goal("W7", "2x Strapi from the process", "rate", 2, peer=Peer("Strapi", 696, 458)),
    Goal("W7", "1.0x nginx from the process", "rate", 1, against=("W7", NGINX)),
    Goal("WX", "metadata p99 under 40 ms", "p99_ms", 40, is_ceiling=True),
    Goal("WX", "at W2's image rate (nine tenths of it count)", "rate", 0.9, against=("W2", OURS)),
)


def verdicts(figures: Figures, *, with_lists: bool) -> list[Verdict]:
    """One for each goal whose cases were measured; with_lists: whether the tables had the rows that the goals mean."""
    judged = (goal for goal in GOALS if with_lists or not goal.case.startswith("W5"))
    return [verdict for goal in judged if (verdict := _verdict(goal, figures)) is not None]


def _verdict(goal: Goal, figures: Figures) -> Verdict | None:
    figure = figures.get((goal.case, goal.subject))
    reference = _reference(goal, figures)
    if figure is None or reference is None:
        return None
    measured = _value(figure.median, goal.metric) / goal.per
    needed = goal.factor * reference[0]
    ratio = needed / max(measured, 1e-9) if goal.is_ceiling else measured / max(needed, 1e-9)
    return Verdict(goal, measured, needed, ratio, reference[1])


def _reference(goal: Goal, figures: Figures) -> tuple[float, str] | None:
    if goal.peer is not None:
        case = goal.peer_case or goal.case
        measured = figures.get((case, goal.peer.name))
        if measured is not None:
            return _value(measured.median, goal.metric), f"{goal.peer.name} in this run"
        textbook = figures.get((case, TEXTBOOK_2))
        if textbook is None:
            return None
        share = goal.peer.published / goal.peer.textbook
        return share * _value(textbook.median, goal.metric), f"{share * goal.factor:.2f}x textbook x2 of this run"
    if goal.against is not None:
        other = figures.get(goal.against)
        return None if other is None else (_value(other.median, goal.metric), f"{goal.against[1]}, {goal.against[0]}")
    return 1.0, "absolute"


def _value(sample: Sample, metric: Metric) -> float:
    value: float = getattr(sample, metric)
    return value
