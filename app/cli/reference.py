"""Print the configuration reference, as Markdown or as .env.example.

Both documents of the project are made with it, so they cannot drift away from the settings.
"""

import argparse
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.core.config import Settings

# The headings, each with the first setting under it; the order is that of the class.
_GROUPS = {
    "ENVIRONMENT": "Service",
    "DATABASE_URL": "Database",
    "UPLOAD_DIR": "Storage and limits of files",
    "MAX_IMAGE_WIDTH": "Images",
    "MAX_UNPACKED_SIZE": "Documents",
    "MAX_CONCURRENT_UPLOADS": "Work at once",
    "MAX_CONNECTIONS": "Connections",
    "AUTH_MODE": "Auth Service",
    "RATE_LIMIT_UPLOADS_PER_MINUTE": "Abuse",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("markdown", "env"), default="markdown", help="which document")


def run(arguments: argparse.Namespace) -> int:
    print(markdown() if arguments.format == "markdown" else env_example(), end="")
    return 0


def env_example() -> str:
    """The text of .env.example: every setting with its meaning, commented out at its default."""
    lines = ["# Copy to .env and change what you need; every line shows the default.", ""]
    for name, field, heading in _settings():
        if heading is not None:
            lines += [f"# -- {heading} {'-' * (74 - len(heading))}", ""]
        lines += [f"# {field.description}", f"# {name}={_default(field)}", ""]
    return "\n".join(lines).rstrip() + "\n"


def markdown() -> str:
    """The text of docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "Every setting is an environment variable, or a line of `.env`. A wrong value stops the start with a sentence",
        "that names the variable. Sizes are bytes, names that end in `_S` are seconds. This page is made from the",
        "settings themselves by `make docs`.",
    ]
    for name, field, heading in _settings():
        if heading is not None:
            lines += ["", f"## {heading}", "", "| variable | default | meaning |", "|---|---|---|"]
        default = _default(field)
        lines.append(f"| `{name}` | {f'`{default}`' if default else ''} | {field.description} |")
    return "\n".join(lines) + "\n"


def _settings() -> Iterator[tuple[str, FieldInfo, str | None]]:
    for name, field in Settings.model_fields.items():
        yield name, field, _GROUPS.get(name)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined or value is None:
        return ""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return ("x" if int in get_args(field.annotation) else ",").join(str(part) for part in value)
    return value.as_posix() if isinstance(value, Path) else str(value)
