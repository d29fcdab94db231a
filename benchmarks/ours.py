"""Our service as a target: production settings, two server processes, the database given by URL."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchmarks.processes import ServerProcess, free_port
from benchmarks.rows import ids_of
from benchmarks.targets import Item, Page, Upload, bearer, multipart

WORKERS = 2
API = "/api/v1/media"
PAGE_SIZE = 20
METADATA_IDS = 5_000


class OurService:
    """`python -m app serve`; `accel_prefix` is set for the instance behind nginx."""

    picture_paths: tuple[str, ...] = ()

    def __init__(
        self, name: str, *, home: Path, database_url: str, upload_dir: Path, secret: str, rows: int,
        accel_prefix: str = "",
    ) -> None:  # fmt: skip
        self.name = name
        self.port = free_port()
        self.upload_dir = upload_dir
        self._rows = rows
        self._url = f"http://127.0.0.1:{self.port}"
        self._database_url = database_url
        self._auth = bearer(secret)
        self._stored: dict[Item, str] = {}
        home.mkdir(parents=True, exist_ok=True)
        self.process = ServerProcess(
            [sys.executable, "-m", "app", "serve"],
            home=home,
            log=home / "service.log",
            environment={
                "ENVIRONMENT": "production",
                "AUTH_SECRET": secret,
                "DATABASE_URL": database_url,
                "BASE_URL": self._url,
                "PORT": str(self.port),
                "WORKERS": str(WORKERS),
                "LOG_LEVEL": "WARNING",
                "UPLOAD_DIR": str(upload_dir),
                "DATA_DIR": str(home / "data"),
                "ACCEL_REDIRECT_PREFIX": accel_prefix,
                # One client stands for thousands here; the limits per user would be all that is measured.
                "RATE_LIMIT_UPLOADS_PER_MINUTE": "0",
                "RATE_LIMIT_REQUESTS_PER_MINUTE": "0",
                "QUOTA_BYTES": "0",
                "QUOTA_FILES": "0",
            },
        )

    def wait(self) -> None:
        """Return when it is ready."""
        self.process.wait_until(f"{self._url}/readyz")

    @property
    def pids(self) -> list[int]:
        return [self.process.pid]

    def store(self, item: Item, file: Path, media_type: str) -> str:
        """Upload the file that `download_path` will name; returns the path of its public URL."""
        with file.open("rb") as body:
            reply = httpx.post(
                f"{self._url}{API}/upload",
                headers=self._auth,
                data={"media_type": media_type},
                files={"file": (file.name, body, {"image": "image/jpeg", "video": "video/mp4"}[media_type])},
                timeout=60,
            )
        if reply.status_code != 201:
            raise RuntimeError(f"{self.name} refused {file.name}: {reply.status_code} {reply.text}")
        self._stored[item] = f"{API}/{reply.json()['id']}/download"
        url: str = reply.json()["url"]
        return urlsplit(url).path

    def upload(self, file: Path, media_type: str) -> Upload:
        return multipart(file, media_type, path=f"{API}/upload", headers=self._auth)

    def metadata_paths(self) -> list[str]:
        return [f"{API}/{media_id}" for media_id in ids_of(self._database_url, METADATA_IDS)]

    def list_path(self, page: Page) -> str:
        last = self._rows // PAGE_SIZE
        match page:
            case Page.FIRST:
                return f"{API}/?page=1&page_size={PAGE_SIZE}"
            case Page.LAST:
                return f"{API}/?page={last}&page_size={PAGE_SIZE}"
            case Page.CURSOR:
                before = f"{self._url}{API}/?page={last - 1}&page_size={PAGE_SIZE}"
                cursor = httpx.get(before, headers=self._auth, timeout=30).json()["next_cursor"]
                return f"{API}/?cursor={cursor}&page_size={PAGE_SIZE}"

    def download_path(self, item: Item) -> str:
        return self._stored[item]

    def auth(self) -> dict[str, str]:
        return self._auth

    def tidy(self, ids: list[str]) -> None:
        with httpx.Client(headers=self._auth, timeout=60) as client:
            for media_id in ids:
                client.delete(f"{self._url}{API}/{media_id}")

    def stop(self) -> None:
        self.process.stop()


class ProxiedService:
    """Our service behind nginx with the configuration that we ship; only the public files are asked for."""

    picture_paths: tuple[str, ...] = ()

    def __init__(self, name: str, service: OurService, *, port: int, nginx: ServerProcess) -> None:
        self.name = name
        self.port = port
        self._service = service
        self._nginx = nginx
        self.files: dict[Item, str] = {}

    @property
    def pids(self) -> list[int]:
        return [self._nginx.pid, *self._service.pids]

    def upload(self, file: Path, media_type: str) -> Upload:
        return self._service.upload(file, media_type)

    def metadata_paths(self) -> list[str]:
        return self._service.metadata_paths()

    def list_path(self, page: Page) -> str:
        return self._service.list_path(page)

    def download_path(self, item: Item) -> str:
        return self.files[item]

    def auth(self) -> dict[str, str]:
        return self._service.auth()

    def tidy(self, ids: list[str]) -> None:
        self._service.tidy(ids)

    def stop(self) -> None:
        self._nginx.stop()
        self._service.stop()
