"""Print the configuration reference, as Markdown or as .env.example, or the table of permitted file types.

These documents of the project are made with it, so they cannot drift away from the settings and the type table.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.core.config import Settings
from app.core.media_types import FILE_TYPES, FileType, MediaType, Processor

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
_UNFOLDED = {
    "MAX_IMAGE_PIXELS": "pixels of an image, times its frames, read from the header before decoding",
    "MAX_IMAGE_FRAMES": "frames of an animation",
    "MAX_UNPACKED_SIZE": "unpacked bytes of an Office file",
    "MAX_ARCHIVE_MEMBERS": "members of an Office file",
    "PROCESSING_MEMORY_BYTES": "bytes of memory while it is read",
    "PROCESSING_CPU_S": "CPU seconds while it is read",
    "PROCESSING_TIMEOUT_S": "wall seconds while it is read",
}


# Not settings of the service: docker-compose.yml reads these, and sets the others it needs itself.
_COMPOSE = (
    f"# -- docker compose only {'-' * 56}",
    "",
    "# Password of the database that compose starts; letters and digits only, it becomes part of a URL. Required.",
    "# POSTGRES_PASSWORD=",
    "",
    "# Port of the proxy.",
    "# MEDIA_PORT=8080",
    "",
    "# Largest body that the proxy lets through: MAX_UPLOAD_SIZE + 1 MiB.",
    "# MEDIA_MAX_BODY=105906176",
    "",
    "# Memory of one API container; the server and PROCESSING_WORKERS times PROCESSING_MEMORY_BYTES.",
    "# MEDIA_MEMORY=3g",
    "",
    "# Tag of the image that is built.",
    "# MEDIA_VERSION=latest",
    "",
    "# Compose also demands BASE_URL and AUTH_MODE, which are settings below.",
    "",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=sorted(_DOCUMENTS), default="markdown", help="which document")


def run(arguments: argparse.Namespace) -> int:
    print(_DOCUMENTS[arguments.format](), end="")
    return 0


def env_example() -> str:
    """The text of .env.example: every setting with its meaning, commented out at its default."""
    lines = ["# Copy to .env and change what you need; every line shows the default.", "", *_COMPOSE]
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


def file_types() -> str:
    """The text of docs/file-types.md: what may be uploaded, under which names, how large, and how it is served."""
    limits = {media_type: Settings.model_fields[f"MAX_{media_type.name}_SIZE"].default for media_type in MediaType}
    lines = [
        "# Permitted file types",
        "",
        "Everything else is refused with 400, and so is a file whose content, extension and `media_type` disagree,",
        "that is damaged, or that the malware scanner refuses; nothing of a refused file is kept. The limits are the",
        "defaults of the settings in [configuration.md](configuration.md). This page is made from the type table by",
        "`make docs`.",
        "",
        "| media_type | type | extensions | most bytes | kept as | in a browser |",
        "|---|---|---|---|---|---|",
    ]
    for row in FILE_TYPES:
        kept = f"rewritten as `{row.stored_as or row.mime_type}`" if _is_rewritten(row) else "byte for byte"
        names = ", ".join(f"`.{extension}`" for extension in row.extensions)
        shown = "shown, sandboxed" if row.inline else "saved"
        lines.append(
            f"| {row.media_type} | `{row.mime_type}` | {names} | {limits[row.media_type]} | {kept} | {shown} |"
        )
    lines += ["", "| what a file may unfold to | most | setting |", "|---|---|---|"]
    for name, meaning in _UNFOLDED.items():
        lines.append(f"| {meaning} | {Settings.model_fields[name].default} | `{name}` |")
    return "\n".join(lines) + "\n"


def _is_rewritten(row: FileType) -> bool:
    return row.processor in (Processor.IMAGE, Processor.SVG)


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


_DOCUMENTS: Mapping[str, Callable[[], str]] = {"markdown": markdown, "env": env_example, "types": file_types}
