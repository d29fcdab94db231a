"""Show the effective configuration, secrets masked, and try every part the service needs.

Exit status 1 when a part does not work.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable

from pydantic import SecretStr

from app.cli.parts import opened_parts
from app.core.config import Settings, load_settings
from app.core.errors import ServiceError
from app.core.security import create_verifier
from app.core.staging import STAGING_DIRECTORY
from app.main import create_sandbox


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(_: argparse.Namespace) -> int:
    settings = load_settings()
    for name in sorted(type(settings).model_fields):
        print(f"{name}={_shown(getattr(settings, name))}")
    print()
    return 0 if asyncio.run(_try_parts(settings)) else 1


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return "" if value is None else str(value)


async def _try_parts(settings: Settings) -> bool:
    verifier = create_verifier(settings)
    try:
        is_fine = await _attempt("auth service", verifier.check)
    finally:
        await verifier.aclose()
    try:
        async with opened_parts(settings) as (database, storage):
            is_fine &= await _attempt("database", database.check)
            is_fine &= await _attempt("storage", storage.check_writable)
    except ServiceError as exc:
        _print("database and storage", exc)
        is_fine = False
    return is_fine & await _attempt("worker processes and their libraries", lambda: _start_workers(settings))


async def _start_workers(settings: Settings) -> None:
    writable_dir = settings.UPLOAD_DIR.resolve() / STAGING_DIRECTORY
    async with create_sandbox(settings, writable_dir=writable_dir):
        """Each worker has loaded its libraries when the sandbox is open."""


async def _attempt(part: str, check: Callable[[], Awaitable[None]]) -> bool:
    try:
        await check()
    except ServiceError as exc:
        _print(part, exc)
        return False
    print(f"ok      {part}")
    return True


def _print(part: str, exc: ServiceError) -> None:
    print(f"FAILED  {part}: {exc} {f'[{exc.__cause__!r}]' if exc.__cause__ else ''}".rstrip())
