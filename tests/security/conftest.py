"""One running service for the whole package: a process with real sockets, shared because its start takes seconds."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from app.core.database import Database
from app.core.embedded import EmbeddedPostgres
from tests.fixtures.live_service import LiveService
from tests.fixtures.trees import files_below

MIB = 1024 * 1024
IMAGE_LIMIT_BYTES = 2 * MIB
UPLOAD_LIMIT_BYTES = 4 * MIB


@dataclass(frozen=True)
class Target:
    """The service under attack, and a user who may upload to it."""

    service: LiveService
    user_id: uuid.UUID

    @property
    def port(self) -> int:
        return self.service.port

    @property
    def auth(self) -> dict[str, str]:
        return self.service.auth_of(self.user_id)

    @property
    def bearer_line(self) -> bytes:
        """The header line of a token, for requests written by hand."""
        return f"Authorization: {self.auth['Authorization']}\r\n".encode()

    def files(self) -> list[Path]:
        """Every stored and staged file, sorted."""
        return files_below(self.service.upload_dir)

    def media_count(self) -> int:
        reply = httpx.get(f"{self.service.url}/api/v1/media/?page_size=1&count=exact", headers=self.auth)
        total: int = reply.json()["total"]
        return total


@pytest.fixture(scope="session")
async def target(
    database: Database, postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Target]:
    """The running service; its tests each leave it as they found it."""
    async with database.read() as session:
        await session.execute(text("CREATE DATABASE hostile"))
    service = LiveService(
        tmp_path_factory.mktemp("target"),
        {
            "DATABASE_URL": postgres.url.replace("/postgres?", "/hostile?"),
            "MAX_IMAGE_SIZE": str(IMAGE_LIMIT_BYTES),
            "MAX_VIDEO_SIZE": str(UPLOAD_LIMIT_BYTES),
            "MAX_UPLOAD_SIZE": str(UPLOAD_LIMIT_BYTES),
            "UPLOAD_IDLE_TIMEOUT_S": "2",
            "HEADER_TIMEOUT_S": "2",
        },
    )
    try:
        service.start()
        yield Target(service, uuid.uuid4())
    finally:
        service.close()
        async with database.read() as session:
            await session.execute(text("DROP DATABASE hostile WITH (FORCE)"))
