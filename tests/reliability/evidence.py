"""What is really stored after a fault: rows, files, journal and staging, read behind the service's back."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from app.core.database import Database
from app.core.staging import STAGING_DIRECTORY
from tests.fixtures.settings import make_settings

_KEYS = """
SELECT storage_path FROM media UNION SELECT thumbnail_path FROM media UNION SELECT poster_path FROM media
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Files in the tree, keys that rows own, keys in the journal, and whatever lies in some upload's staging."""

    files: set[str]
    owned: set[str]
    journal: set[str]
    staged: set[str]

    @property
    def is_settled(self) -> bool:
        """Whether every file has its row, every row its files, and nothing is unfinished."""
        return self.files == self.owned and not self.journal and not self.staged

    def __str__(self) -> str:
        return (
            f"files without row: {sorted(self.files - self.owned)}, rows without file: "
            f"{sorted(self.owned - self.files)}, journal: {sorted(self.journal)}, staged: {sorted(self.staged)}"
        )


class Inspector:
    """Reads the state of one service's database and storage."""

    def __init__(self, database: Database, upload_dir: Path) -> None:
        self.database = database
        self._upload_dir = upload_dir

    async def look(self) -> Evidence:
        """The state now."""
        async with self.database.read() as session:
            # The tree first: a file that is published while we look has its row when the rows are read.
            files = await asyncio.to_thread(self._files)
            journal = set((await session.execute(text("SELECT key FROM storage_journal"))).scalars())
            owned = set((await session.execute(text(_KEYS))).scalars()) - {None}
        return Evidence(files, owned, journal, await asyncio.to_thread(self._staged))

    async def settled(self, *, within_s: float) -> Evidence:
        """The state as soon as it is settled. Fails when it is not in time."""
        deadline = time.monotonic() + within_s
        while not (evidence := await self.look()).is_settled:
            assert time.monotonic() < deadline, str(evidence)
            await asyncio.sleep(0.05)
        return evidence

    async def assert_bytes_are_what_rows_say(self) -> None:
        """Every stored file has the checksum of its row, whether or not anybody was told of it."""
        async with self.database.read() as session:
            rows = (await session.execute(text("SELECT storage_path, checksum_sha256 FROM media"))).all()
        for key, checksum in rows:
            data = await asyncio.to_thread((self._upload_dir / key).read_bytes)
            assert hashlib.sha256(data).hexdigest() == checksum, key

    def _files(self) -> set[str]:
        # os.walk, which does not mind directories that vanish meanwhile.
        found = (Path(directory) / name for directory, _, names in os.walk(self._upload_dir) for name in names)
        files = (path.relative_to(self._upload_dir) for path in found)
        return {path.as_posix() for path in files if not path.parts[0].startswith(".")}

    def _staged(self) -> set[str]:
        # Depth two is one upload, or the boxes of the workers; depth one are the directories of live processes.
        owners = next(os.walk(self._upload_dir / STAGING_DIRECTORY), ("", [], []))[1]
        walks = (next(os.walk(self._upload_dir / STAGING_DIRECTORY / owner), ("", [], [])) for owner in owners)
        return {name for _, directories, files in walks for name in (*directories, *files)} - {"boxes"}


@asynccontextmanager
async def inspector_of(database_url: str, upload_dir: Path) -> AsyncIterator[Inspector]:
    """An inspector with a connection of its own."""
    database = Database(database_url, make_settings(upload_dir.parent), application_name="inspector")
    try:
        yield Inspector(database, upload_dir)
    finally:
        await database.close()
