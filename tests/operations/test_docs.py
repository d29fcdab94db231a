"""The documents lead somewhere: no dead link, no command, test or file in them that does not exist."""

import re
from pathlib import Path

import pytest

PAGES = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]
DECISIONS = sorted(Path("docs/decisions").glob("*.md"))


@pytest.mark.parametrize("page", [page for page in PAGES if page.exists()], ids=str)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, heading = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (heading and file.suffix == ".md" and heading not in _headings(file)):
            dead.append(target)
    assert dead == []


def _headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [Path("docs/contributing.md"), Path("docs/architecture.md")], ids=str)
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`((?:app|tests|docs)/[\w./-]+)`", page.read_text(encoding="utf-8"))
    assert len(named) > 5
    assert [name for name in named if not Path(name.partition("::")[0]).exists()] == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_one_page_of_four_parts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    parts = ("**Context.**", "**Decision.**", "**Consequences.**", "**Alternatives.**")
    assert text.startswith(f"# {page.stem[:4]}: ")
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert len(text.splitlines()) < 60
