"""Pinned versions lie above the holes we know of; `make audit` asks an advisory database for those we do not."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PROJECT = Path(__file__).resolve().parents[2]

FLOORS = {
    "starlette": ("1.3.1", "limits that urlencoded forms slip past, CVE-2026-54283, and all before"),
    "python-multipart": ("0.0.31", "quadratic framing, unbounded part headers, file name smuggling"),
    "python-jose": ("3.4.0", "algorithm confusion CVE-2024-33663 and the JWE bomb CVE-2024-33664"),
    "pillow": ("12.3.0", "bombs and overflows of the formats it guesses, CVE-2026-59200 the last"),
    "fastapi": ("0.109.1", "the backtracking Content-Type of CVE-2024-24762"),
}


def pinned(file: str) -> dict[str, Requirement]:
    lines = (PROJECT / file).read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {requirement.name.lower(): requirement for requirement in requirements}


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
@pytest.mark.parametrize("name", FLOORS)
def test_a_version_with_a_known_hole_is_not_pinned(name: str, file: str) -> None:
    floor, hole = FLOORS[name]
    (specifier,) = pinned(file)[name].specifier
    assert Version(specifier.version) >= Version(floor), hole


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_every_dependency_is_pinned_to_one_version(file: str) -> None:
    loose = [name for name, r in pinned(file).items() if [spec.operator for spec in r.specifier] != ["=="]]
    assert loose == []
