"""docs/security.md keeps its word: every demand has a row, and every test and file that a row names exists."""

import ast
import re
from pathlib import Path

import pytest

from app.cli.reference import file_types

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENT = (PROJECT / "docs/security.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([A-Z]\d+|\d\.\d\.\d) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAME = re.compile(r"`([^`]+)`")
LENGTHS = {
    "A": 14, "P": 6, "M": 5, "N": 4, "T": 4, "I": 8, "S": 3, "D": 3, "V": 3, "H": 6, "Q": 2, "J": 2, "E": 3, "R": 11,
}  # fmt: skip
DEMANDS = {f"{letter}{number}" for letter, count in LENGTHS.items() for number in range(1, count + 1)}


def rows() -> list[tuple[str, ...]]:
    return [row.groups() for row in ROW.finditer(DOCUMENT)]


def names_of_tests(path: Path) -> set[str]:
    """`test_x` and `TestY::test_z` of one file."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            inner = (child for child in node.body if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))
            names |= {f"{node.name}::{child.name}" for child in inner}
    return {name for name in names if name.rpartition("::")[2].startswith("test_")}


def test_every_demand_has_exactly_one_row() -> None:
    ids = [row[0] for row in rows()]
    assert len(ids) == len(set(ids))
    assert DEMANDS - set(ids) == set()


@pytest.mark.parametrize("row", rows(), ids=[row[0] for row in rows()])
def test_the_tests_and_the_files_of_a_row_exist(row: tuple[str, ...]) -> None:
    _, _, places, proofs = row
    assert [place for place in NAME.findall(places) if not (PROJECT / place).is_file()] == []
    assert NAME.findall(places)
    assert NAME.findall(proofs)
    for proof in NAME.findall(proofs):
        file, _, name = proof.partition("::")
        assert (PROJECT / file).is_file(), proof
        assert not name or name in names_of_tests(PROJECT / file), proof


def test_other_tests_that_it_names_exist() -> None:
    named = {name.partition("::")[0] for name in NAME.findall(DOCUMENT) if name.startswith("tests/")}
    assert [name for name in named if not (PROJECT / name).exists()] == []


def test_the_table_of_file_types_is_current() -> None:
    assert (PROJECT / "docs/file-types.md").read_text(encoding="utf-8") == file_types(), "run `make docs`"
