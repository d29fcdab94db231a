"""A restore, rehearsed as docs/reliability.md describes it: the database is saved first, the files after it."""

import asyncio
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import orjson
from sqlalchemy import text

from app.core.database import Database
from app.core.postgres.cluster import find_binaries
from app.core.staging import STAGING_DIRECTORY
from tests.fixtures.live_service import LiveService
from tests.reliability.evidence import inspector_of
from tests.reliability.ledger import MEDIA, UPLOAD
from tests.reliability.quick_service import quick_service


def postgres_tool(name: str, *arguments: str) -> None:
    subprocess.run([str(find_binaries() / name), *arguments], check=True, capture_output=True, timeout=60)


def report_of(service: LiveService, *arguments: str) -> list[dict[str, Any]]:
    """What `reconcile` says, line by line."""
    done = service.command("reconcile", "--age", "0", *arguments)
    assert done.returncode == 0, done.stderr
    return [orjson.loads(line) for line in done.stdout.splitlines()]


async def test_a_restore_brings_back_all_that_was_there_when_the_backup_began(
    tmp_path: Path, fresh_database_url: str, database: Database
) -> None:
    dump, files = tmp_path / "media.dump", tmp_path / "backup"
    with quick_service(tmp_path / "old", {"DATABASE_URL": fresh_database_url}) as service:
        headers = service.auth_of(uuid.uuid4())
        async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=30) as client:

            async def uploaded(data: bytes) -> str:
                reply = await client.post(UPLOAD, files={"file": ("a.txt", data)}, data={"media_type": "document"})
                assert reply.status_code == 201
                return str(reply.json()["id"])

            kept = {await uploaded(data): data for data in (b"first", b"second", b"third")}
            deleted = await uploaded(b"deleted while the backup runs")

            await asyncio.to_thread(postgres_tool, "pg_dump", "--format=custom", f"--file={dump}", fresh_database_url)
            late = await uploaded(b"uploaded while the backup runs")
            assert (await client.delete(f"{MEDIA}/{deleted}")).status_code == 200
            await asyncio.to_thread(
                shutil.copytree, service.upload_dir, files, ignore=shutil.ignore_patterns(STAGING_DIRECTORY)
            )

    # Everything is lost; a new machine gets the two halves.
    name = f"restored_{uuid.uuid4().hex[:8]}"
    async with database.read() as session:
        await session.execute(text(f"CREATE DATABASE {name}"))
    restored_url = urlunsplit(urlsplit(fresh_database_url)._replace(path=f"/{name}"))
    await asyncio.to_thread(postgres_tool, "pg_restore", "--exit-on-error", f"--dbname={restored_url}", str(dump))
    new = tmp_path / "new"
    await asyncio.to_thread(shutil.copytree, files, new / "uploads")

    with quick_service(new, {"DATABASE_URL": restored_url}) as service:
        *findings, last = await asyncio.to_thread(report_of, service, "--fix")
        assert sorted(str(finding["problem"]) for finding in findings) == ["file_without_row", "row_without_file"]
        assert last["summary"]["repaired"] == 2
        async with (
            inspector_of(restored_url, service.upload_dir) as inspector,
            httpx.AsyncClient(base_url=service.url, timeout=30) as client,
        ):
            await inspector.settled(within_s=3)
            for media_id, data in kept.items():
                assert (await client.get(f"{MEDIA}/{media_id}/download")).content == data
            for media_id in (deleted, late):
                assert (await client.get(f"{MEDIA}/{media_id}")).status_code == 404
    async with database.read() as session:
        await session.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
