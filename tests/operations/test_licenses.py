"""Every dependency has a licence that we take, and a licence that we do not take is noticed."""

import pytest

from tests.licenses import PROJECT, packages, problem_with


def test_every_dependency_has_a_licence_that_we_take() -> None:
    listed = list(packages())
    pinned = [line for line in (PROJECT / "requirements.txt").read_text().splitlines() if "==" in line]
    assert len(listed) == len(pinned)
    assert {package.name: package.problem for package in listed if package.problem} == {}


@pytest.mark.parametrize(
    ("terms", "is_taken"),
    [
        ("MIT License", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("GPL-2.0 OR MIT", True),
        ("LGPL-3.0-or-later", True),
        ("GNU Lesser General Public License v3 (LGPLv3)", True),
        ("AGPL-3.0-only", False),
        ("GNU Affero General Public License v3", False),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-2.0-only", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_what_is_taken(terms: str, is_taken: bool) -> None:
    assert (problem_with(terms) is None) == is_taken
