"""Every module of tests/fixtures that holds a fixture is a plugin, so a new file there needs no entry here."""

from pathlib import Path

import pytest

_FIXTURES = Path(__file__).parent / "fixtures"

pytest_plugins = [
    f"tests.fixtures.{file.stem}"
    for file in sorted(_FIXTURES.glob("*.py"))
    if "@pytest.fixture" in file.read_text(encoding="utf-8")
]

# Before they are imported, as they import one another.
pytest.register_assert_rewrite(*pytest_plugins)
