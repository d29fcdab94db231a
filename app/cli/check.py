"""Show the effective configuration, secrets masked, and try every part the service needs.

Exit status 1 when a part does not work.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from pydantic import SecretStr

from app.cli.parts import opened_parts
from app.core.config import ConfigurationError, Settings, load_settings
from app.core.errors import ServiceError, Unavailable
from app.core.log_masking import mask_text
from app.core.malware_scan import create_scanner
from app.core.sandbox_strength import hold_sandbox
from app.core.security import create_verifier
from app.main import create_sandbox

_MASK = "********"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(_: argparse.Namespace) -> int:
    settings = load_settings()
    for name in sorted(type(settings).model_fields):
        print(f"{name}={shown(getattr(settings, name))}")
    print()
    return 0 if asyncio.run(_try_parts(settings)) else 1


def shown(value: object) -> str:
    """A setting as text that may be pasted into a ticket: secrets masked, also the password inside an address."""
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return _masked_address(secret) if "://" in secret else _MASK
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    text = "" if value is None else str(value)
    return _masked_address(text) if "://" in text and "@" in text else text


def _masked_address(address: str) -> str:
    """Where an address leads, without password and query; hidden whole when it cannot be taken apart safely."""
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return _MASK
    # A password with an unescaped slash would go on behind what looks like the host.
    if "@" in parts.path + parts.query + parts.fragment or not parts.scheme:
        return _MASK
    user = f"{parts.username}:{_MASK}@" if parts.password else f"{parts.username}@" if parts.username else ""
    return f"{parts.scheme}://{user}{parts.hostname or ''}{port}{parts.path}{f'?{_MASK}' if parts.query else ''}"


async def _try_parts(settings: Settings) -> bool:
    verifier = create_verifier(settings)
    try:
        is_fine = await _attempt("auth service", verifier.check)
    finally:
        await verifier.aclose()
    is_fine &= await _attempt("malware scanner", create_scanner(settings).check)
    try:
        async with opened_parts(settings) as (database, storage):
            is_fine &= await _attempt("database", database.check)
            is_fine &= await _attempt("storage", storage.check_writable)
    except ServiceError as exc:
        _print("database and storage", exc)
        is_fine = False
    return is_fine & await _attempt("worker processes and their libraries", lambda: _start_workers(settings))


async def _start_workers(settings: Settings) -> None:
    # Each worker has loaded its libraries when the sandbox is open.
    with TemporaryDirectory(prefix="media-api-check-") as directory:
        async with create_sandbox(settings, boxes_dir=Path(directory)) as sandbox:
            found = sandbox.gaps
    try:
        hold_sandbox(settings, found)
    except ConfigurationError as exc:
        raise Unavailable(str(exc)) from exc
    for name, state in found.items():
        print(f"WEAK    the sandbox has no {name}: {state}")


async def _attempt(part: str, check: Callable[[], Awaitable[None]]) -> bool:
    try:
        await check()
    except ServiceError as exc:
        _print(part, exc)
        return False
    print(f"ok      {part}")
    return True


def _print(part: str, exc: ServiceError) -> None:
    cause = f" [{mask_text(repr(exc.__cause__))}]" if exc.__cause__ else ""
    print(f"FAILED  {part}: {exc}{cause}")
