"""The dashboard, the alert rules and the operations manual speak of metrics, labels and log events that exist."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import TypedDict, cast

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]  # has no types of its own

from app.core import metrics

OPERATIONS = Path("docs/operations")
# What Prometheus itself adds.
LABELS_OF_PROMETHEUS = {"job", "instance", "le"}


class Rule(TypedDict):
    alert: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Target(TypedDict):
    expr: str


class Panel(TypedDict):
    id: int
    type: str
    title: str
    description: str
    gridPos: dict[str, int]
    targets: list[Target]


def rules() -> list[Rule]:
    groups = cast("dict[str, list[dict[str, list[Rule]]]]", yaml.safe_load((OPERATIONS / "alerts.yml").read_text()))
    return [rule for group in groups["groups"] for rule in group["rules"]]


def panels() -> list[Panel]:
    dashboard = json.loads((OPERATIONS / "grafana-dashboard.json").read_text())
    return cast("list[Panel]", dashboard["panels"])


def charts() -> list[Panel]:
    return [panel for panel in panels() if panel["type"] != "row"]


def expressions() -> list[str]:
    shown = [target["expr"] for panel in charts() for target in panel["targets"]]
    return shown + [rule["expr"] for rule in rules()]


def families() -> set[str]:
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in metrics.metric_names()}


def known_labels() -> set[str]:
    source = Path("app/core/metrics.py").read_text()
    tuples = re.findall(r"\(((?:\"[a-z_]+\"(?:, )?)+),?\)", source)
    quoted = {label for found in tuples for label in re.findall(r'"([a-z_]+)"', found)}
    return quoted | {"media_type", "dependency"} | LABELS_OF_PROMETHEUS


def test_every_metric_that_is_asked_for_exists() -> None:
    asked = {name for text in expressions() for name in re.findall(r"\bmedia_[a-z_]+", text)}
    labels = {"media_type"}
    assert asked - labels - metrics.metric_names() == set()


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(target["expr"] for panel in charts() for target in panel["targets"])
    assert {name for name in families() if name not in shown} == set()


def test_every_label_that_is_asked_for_exists() -> None:
    asked = {label for text in expressions() for label in re.findall(r"[{,]\s*([a-z_]+)\s*(?:=|!=|=~|!~)\s*\"", text)}
    grouped = {
        label.strip()
        for text in expressions()
        for group in re.findall(r"by \(([^)]+)\)", text)
        for label in group.split(",")
    }
    assert (asked | grouped) - known_labels() == set()


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_says_what_is_wrong_and_what_to_do(rule: Rule) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"].endswith(".")
    assert len(rule["annotations"]["action"]) > 80


def test_alert_names_are_unique_and_those_in_the_dashboard_exist() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    mentioned = {name for panel in charts() for name in re.findall(r"\bMedia[A-Z]\w+", panel["description"])}
    assert mentioned - set(names) == set()


def test_dashboard_is_well_formed() -> None:
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for panel in charts():
        assert panel["description"].endswith("."), panel["title"]
        assert all(target["expr"].count("(") == target["expr"].count(")") for target in panel["targets"])


def test_panels_do_not_cover_each_other() -> None:
    def cells(panel: Panel) -> tuple[range, range]:
        place = panel["gridPos"]
        return range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])

    for one, other in combinations(panels(), 2):
        (one_x, one_y), (other_x, other_y) = cells(one), cells(other)
        assert not (set(one_x) & set(other_x) and set(one_y) & set(other_y)), (one["title"], other["title"])


def test_manual_lists_exactly_the_metrics_that_exist() -> None:
    manual = (OPERATIONS / "README.md").read_text()
    listed = set(re.findall(r"^\| `(media_[a-z_]+)` \|", manual, re.MULTILINE))
    assert listed == families()


def test_log_events_of_the_manual_and_the_alerts_are_logged_somewhere() -> None:
    source = " ".join(path.read_text() for path in Path("app").rglob("*.py"))
    manual = (OPERATIONS / "README.md").read_text()
    events = set(re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", manual, re.MULTILINE))
    for rule in rules():
        events |= set(re.findall(r"\b((?:sandbox|request|sweep|media|auth)\.[a-z_]+)\b", rule["annotations"]["action"]))
    assert {event for event in events if f'"{event}"' not in source} == set()
    assert len(events) > 10
