"""Keeps away what the service does not use: libraries load others for features of theirs, or are for one setting only.

structlog prepares coloured tracebacks when it finds rich, and FastAPI loads all of Pydantic 1 to ask whether our models
are of it. They take what they do not find for not installed, which in production rich is not: development loads no more
than production does.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import LazyLoader, find_spec, module_from_spec
from types import ModuleType


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Inside, to import a module of `names` fails as if it were not installed; those that are loaded already stay.

    Source: Python reference, section 5.3.1: None in `sys.modules` means ModuleNotFoundError.
    """
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        hide(name)
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


def hide(name: str) -> None:
    """From now on `name` counts as not installed, unless it is loaded: for what is looked for again and again."""
    sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # what the reference says, the type does not


def when_used(name: str) -> ModuleType:
    """The module `name`, which is loaded when something of it is first asked for; by one thread only.

    For a library that only some settings need. Raises ModuleNotFoundError when it is not installed.
    Source: Python library reference, importlib, "Implementing lazy imports".
    """
    if (loaded := sys.modules.get(name)) is not None:
        return loaded
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(name=name)
    spec.loader = loader = LazyLoader(spec.loader)
    sys.modules[name] = module = module_from_spec(spec)
    loader.exec_module(module)
    return module
