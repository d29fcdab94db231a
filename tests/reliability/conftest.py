"""One running service for all tests of a module, emptied before each: most of a test's time would be its start."""

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy import text

from app.core.database import Database
from app.core.embedded import EmbeddedPostgres
from tests.fixtures.live_service import LiveService
from tests.reliability.evidence import Inspector, inspector_of
from tests.reliability.quick_service import quick_service
from tests.reliability.small_disk import SmallDisk, small_disk


@dataclass(frozen=True, slots=True)
class Rig:
    """A service on a small disk, a signed-in client of it, and a look behind its back."""

    service: LiveService
    disk: SmallDisk
    client: httpx.AsyncClient
    inspector: Inspector
    database: Database

    async def empty(self) -> None:
        """As if nothing had ever been stored."""
        async with self.database.transaction() as session:
            await session.execute(text("DELETE FROM media"))
            await session.execute(text("DELETE FROM storage_journal"))
        for entry in self.disk.view.glob("[0-9]*"):
            await asyncio.to_thread(shutil.rmtree, entry)


@pytest.fixture(scope="module")
async def running_rig(
    tmp_path_factory: pytest.TempPathFactory, database: Database, postgres: EmbeddedPostgres
) -> AsyncIterator[Rig]:
    directory = tmp_path_factory.mktemp("rig")
    name = f"rig_{uuid.uuid4().hex[:8]}"
    async with database.read() as session:
        await session.execute(text(f"CREATE DATABASE {name}"))
    url = postgres.url.replace("/postgres?", f"/{name}?")
    with (
        small_disk(directory / "uploads") as disk,
        quick_service(directory, {"DATABASE_URL": url}, prefix=disk.prefix) as service,
    ):
        headers = service.auth_of(uuid.uuid4())
        async with (
            inspector_of(url, disk.view) as inspector,
            httpx.AsyncClient(base_url=service.url, headers=headers, timeout=30) as client,
        ):
            yield Rig(service, disk, client, inspector, inspector.database)
    async with database.read() as session:
        await session.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def rig(running_rig: Rig) -> Rig:
    await running_rig.empty()
    return running_rig
