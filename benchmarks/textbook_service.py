"""The textbook application as a target, with one or two uvicorn processes."""

import asyncio
import sys
from pathlib import Path

import httpx
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.processes import ServerProcess, free_port
from benchmarks.rows import ids_of
from benchmarks.targets import Item, Page, Upload, bearer, multipart
from benchmarks.textbook.models import TextbookBase

PAGE_SIZE = 20
METADATA_IDS = 5_000


def create_textbook_tables(database_url: str) -> None:
    """Its table and indexes; database_url: `postgresql://…`."""
    asyncio.run(_create_tables(database_url))


class TextbookService:
    """uvicorn with its defaults, which are uvloop and httptools where they are installed."""

    picture_paths: tuple[str, ...] = ()

    def __init__(self, name: str, *, home: Path, database_url: str, secret: str, workers: int, rows: int) -> None:
        self.name = name
        self.port = free_port()
        self._url = f"http://127.0.0.1:{self.port}"
        self._database_url = database_url
        self._auth = bearer(secret)
        self._rows = rows
        self._stored: dict[Item, str] = {}
        self._files = home / "files"
        self._files.mkdir(parents=True, exist_ok=True)
        self._kept: set[Path] = set()
        command = ["-m", "uvicorn", "benchmarks.textbook.app:app", "--port", str(self.port), "--log-level", "warning"]
        self._process = ServerProcess(
            [sys.executable, *command, "--no-access-log", "--workers", str(workers)],
            home=home,
            log=home / "service.log",
            environment={
                "TEXTBOOK_DATABASE_URL": _for_sqlalchemy(database_url),
                "TEXTBOOK_DIR": str(self._files),
                "TEXTBOOK_SECRET": secret,
            },
        )

    def wait(self) -> None:
        """Return when it answers."""
        self._process.wait_until(f"{self._url}/openapi.json")

    @property
    def pids(self) -> list[int]:
        return [self._process.pid]

    def store(self, item: Item, file: Path, media_type: str) -> None:
        """Upload the file that `download_path` will name."""
        mime_type = {"image": "image/jpeg", "video": "video/mp4"}[media_type]
        with file.open("rb") as body:
            reply = httpx.post(
                f"{self._url}/media/upload", headers=self._auth, data={"media_type": media_type},
                files={"file": (file.name, body, mime_type)}, timeout=60,
            )  # fmt: skip
        reply.raise_for_status()
        self._stored[item] = f"/media/{reply.json()['id']}/download"
        self._kept = set(self._files.iterdir())

    def upload(self, file: Path, media_type: str) -> Upload:
        return multipart(file, media_type, path="/media/upload", headers=self._auth)

    def metadata_paths(self) -> list[str]:
        return [f"/media/{media_id}" for media_id in ids_of(self._database_url, METADATA_IDS)]

    def list_path(self, page: Page) -> str:
        number = 1 if page is Page.FIRST else self._rows // PAGE_SIZE  # it knows no cursors
        return f"/media/?page={number}&page_size={PAGE_SIZE}"

    def download_path(self, item: Item) -> str:
        return self._stored[item]

    def auth(self) -> dict[str, str]:
        return self._auth

    def tidy(self, ids: list[str]) -> None:
        del ids  # it has no DELETE; its rows may stay
        for path in set(self._files.iterdir()) - self._kept:
            path.unlink()

    def stop(self) -> None:
        self._process.stop()


def _for_sqlalchemy(database_url: str) -> str:
    return database_url.replace("postgresql://", "postgresql+asyncpg://", 1)


async def _create_tables(database_url: str) -> None:
    engine = create_async_engine(_for_sqlalchemy(database_url))
    async with engine.begin() as connection:
        await connection.run_sync(TextbookBase.metadata.create_all)
    await engine.dispose()
