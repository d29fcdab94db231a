"""Runs the whole application for one upload and prints, in order, what it asks of the disk and of the database.

A program, started by test_order.py in a process of its own: an audit hook cannot be taken off again. Nothing of ours
is replaced. The interpreter itself reports renames (audit events), calls of fsync (profile events of C functions) and
what the driver is asked to write (profile events, before it is sent); a file that has its full size then has been
written.
"""

import asyncio
import os
import sys
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import asyncpg  # type: ignore[import-untyped]  # asyncpg ships no types
import httpx
import orjson

from app.core.config import load_settings
from app.core.security import mint_development_token
from app.main import create_app
from tests.reliability.commits import WRITES

FETCHES = {asyncpg.Connection.fetch.__code__, asyncpg.Connection.fetchrow.__code__}
DATA = b"some text " * 300_000
events: list[tuple[str, str]] = []
asked: list[FrameType] = []


def audit(name: str, arguments: tuple[object, ...]) -> None:
    if name == "os.rename":
        events.append(("rename", f"{arguments[0]!s} {arguments[1]!s}"))


def profile(frame: FrameType, kind: str, function: object) -> None:
    if kind == "call" and frame.f_code in FETCHES and frame not in asked:
        asked.append(frame)  # a coroutine is called again each time that it goes on
        if frame.f_locals["query"].lstrip().startswith(WRITES):
            events.append(("COMMIT", ""))
    if kind == "c_call" and getattr(function, "__name__", "") == "fsync":
        # The caller's descriptor: a C function's arguments are not told.
        descriptor = frame.f_locals["fd"]
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if os.fstat(descriptor).st_size == len(DATA):
            events.append(("write", path))
        events.append(("fsync", path))


async def upload_once() -> int:
    settings = load_settings()
    app = create_app(settings)
    token = mint_development_token(settings, user_id=uuid.uuid4(), expires_s=60)
    async with app.router.lifespan_context(app):
        await asyncio.sleep(0.5)  # the sweep at start has nothing to do with it
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://media.test", timeout=30) as client:
            events.clear()
            reply = await client.post(
                "/api/v1/media/upload",
                files={"file": ("a.txt", DATA)},
                data={"media_type": "document"},
                headers={"Authorization": f"Bearer {token}"},
            )
            events.append(("answer", str(reply.status_code)))
            recorded = list(events)
    sys.stdout.buffer.write(b"\n" + orjson.dumps(recorded) + b"\n")
    return 0


def main(_: Sequence[str]) -> int:
    """Record one upload; returns the exit status."""
    sys.addaudithook(audit)
    threading.setprofile(profile)
    sys.setprofile(profile)
    return asyncio.run(upload_once())
