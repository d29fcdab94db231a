"""Every module of tests/fixtures that holds a fixture is a plugin, so a new file there needs no entry here."""

import gc
import os
from pathlib import Path

import pytest

_FIXTURES = Path(__file__).parent / "fixtures"

# Every new httpx client reads all certificate authorities there are, for 41 ms, and most tests make several. Nothing
# here speaks TLS with the world; those of a directory would be read when asked for, and this one has none.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(_FIXTURES)

_PLUGINS = [
    f"tests.fixtures.{file.stem}"
    for file in sorted(_FIXTURES.glob("*.py"))
    if "@pytest.fixture" in file.read_text(encoding="utf-8")
]

# Before they are imported, as they import one another.
pytest.register_assert_rewrite(*_PLUGINS)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None):
        return  # this process only hands tests out, and the imports are three seconds in which nobody else works
    for plugin in _PLUGINS:
        config.pluginmanager.import_plugin(plugin)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # modules and thousands of tests, which stay to the end: later collections skip them
