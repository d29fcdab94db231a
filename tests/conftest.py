"""Every module of tests/fixtures is a plugin, so a new file there needs no entry here."""

from pathlib import Path

import pytest

_FIXTURES = Path(__file__).parent / "fixtures"

pytest_plugins = [f"tests.fixtures.{file.stem}" for file in sorted(_FIXTURES.glob("[!_]*.py"))]

# Before they are imported, as they import one another.
pytest.register_assert_rewrite(*pytest_plugins)
