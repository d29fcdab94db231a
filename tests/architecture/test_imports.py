"""The house keeps its shape: imports go one way, vendors come in at one door, nothing hides inside a function."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
APP = PROJECT / "app"

# What each layer may import, besides itself. `core` knows nobody, the command line knows everybody.
ALLOWED = {
    "core": set(),
    "models": {"core"},
    "schemas": {"core"},
    "repositories": {"core", "models", "schemas"},
    "services": {"core", "models", "schemas", "repositories"},
    "api": {"core", "models", "schemas", "repositories", "services"},
    "main": {"core", "models", "schemas", "repositories", "services", "api"},
    "server": {"core"},
    "cli": {"core", "models", "schemas", "repositories", "services", "api", "main", "server"},
    "__main__": {"cli"},
}

FORBIDDEN_VENDORS = {
    "core": {"fastapi", "starlette"},
    "models": {"fastapi", "starlette"},
    "schemas": {"fastapi", "starlette", "sqlalchemy"},
    "repositories": {"fastapi", "starlette"},
    "services": {"fastapi", "starlette"},
    "api": {"sqlalchemy", "asyncpg"},
}

# Imported in one file each, so that replacing one is a matter of one file.
ONE_DOOR = {
    "jose", "httpx", "structlog", "prometheus_client", "python_multipart", "magic", "pypdfium2",
    "legacy_doc", "olefile", "py_svg_hush", "resvg_py", "pillow_heif", "blurhash_rs",
    "fastapi_offline", "pyvips",
}  # fmt: skip
# A server and its protocol are two subjects of one library.
DOORS = {"uvicorn": {"app/server/protocol.py", "app/server/server.py"}}

MAX_LINES = 400


@cache
def sources() -> tuple[tuple[Path, ast.Module], ...]:
    return tuple((path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(APP.rglob("*.py")))


def layer_of(path: Path) -> str:
    return path.relative_to(APP).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
            if node.module == "app":
                yield from (f"app.{alias.name}" for alias in node.names)


def test_imports_go_one_way() -> None:
    wrong = [
        f"{path.relative_to(PROJECT)} imports {name}"
        for path, tree in sources()
        for name in imported(tree)
        if name.startswith("app.")
        and (layer := layer_of(path)) != "__init__"
        and (target := name.split(".")[1]) != layer
        and target not in ALLOWED[layer]
    ]
    assert wrong == []


def test_each_layer_keeps_to_its_own_frameworks() -> None:
    wrong = [
        f"{path.relative_to(PROJECT)} imports {name}"
        for path, tree in sources()
        for name in imported(tree)
        if name.split(".")[0] in FORBIDDEN_VENDORS.get(layer_of(path), set())
    ]
    assert wrong == []


def test_a_vendor_comes_in_at_one_door() -> None:
    doors: dict[str, set[str]] = defaultdict(set)
    for path, tree in sources():
        for name in imported(tree):
            if name.split(".")[0] in ONE_DOOR | DOORS.keys():
                doors[name.split(".")[0]].add(str(path.relative_to(PROJECT)))
    assert {vendor: files for vendor, files in doors.items() if len(files) > 1} == DOORS


def test_no_import_hides_inside_a_function() -> None:
    hidden = [
        f"{path.relative_to(PROJECT)}:{node.lineno}"
        for path, tree in sources()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def test_only_settings_read_the_environment() -> None:
    readers = {
        str(path.relative_to(PROJECT))
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    }
    # They hand something on to child processes or to a library that reads the environment; none reads a setting.
    assert readers <= {"app/cli/serve.py", "app/core/embedded.py", "app/core/metrics.py"}


def test_no_file_grows_into_a_giant() -> None:
    giants = {
        str(path.relative_to(PROJECT)): lines
        for path, _ in sources()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert giants == {}


def test_every_module_says_what_it_owns() -> None:
    silent = [
        str(path.relative_to(PROJECT))
        for path, tree in sources()
        if path.stat().st_size and ast.get_docstring(tree) is None
    ]
    assert silent == []
