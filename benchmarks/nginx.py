"""nginx as the limit of what the machine can do: it stores bodies (PUT) and sends files, and looks into neither."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.processes import PROJECT, ServerProcess, free_port
from benchmarks.targets import Item, Page, Upload

WORKERS = 2
_COMMON = """
{user}
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log warn;
worker_processes {workers};
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    keepalive_requests 1000000;
    {server}
}}
"""
_STATIC = """
    access_log off;
    sendfile on;
    tcp_nopush on;
    types {{ image/jpeg jpg; video/mp4 mp4; }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        root {home}/files;
        {dav}
    }}
"""
_DAV = "location /put/ { dav_methods PUT; }"


class NginxMissing(Exception):
    """nginx is not installed."""


class StaticNginx:
    """Files of a directory, and PUT into it where this nginx was built with its WebDAV module."""

    picture_paths: tuple[str, ...] = ()

    def __init__(self, name: str, *, home: Path, files: dict[Item, Path]) -> None:
        self.name = name
        self.port = free_port()
        self.has_put = _has_dav()
        (home / "files/put").mkdir(parents=True)
        self._put_directory = home / "files/put"
        for item, path in files.items():
            shutil.copy(path, home / "files" / f"{item}{path.suffix}")
        self._stored = {item: f"/{item}{path.suffix}" for item, path in files.items()}
        server = _STATIC.format(port=self.port, home=home, dav=_DAV if self.has_put else "")
        self._process = start_nginx(home, server)

    def wait(self) -> None:
        """Return when it answers."""
        self._process.wait_until(f"http://127.0.0.1:{self.port}{self._stored[Item.SMALL]}")

    @property
    def pids(self) -> list[int]:
        return [self._process.pid]

    def upload(self, file: Path, media_type: str) -> Upload:
        del media_type
        return Upload("PUT", "/put/{n}", {}, b"", file, b"")

    def metadata_paths(self) -> list[str]:
        raise NotImplementedError("nginx has no metadata")

    def list_path(self, page: Page) -> str:
        raise NotImplementedError("nginx has no lists")

    def download_path(self, item: Item) -> str:
        return self._stored[item]

    def auth(self) -> dict[str, str]:
        return {}

    def tidy(self, ids: list[str]) -> None:
        del ids
        for path in self._put_directory.iterdir():
            path.unlink()

    def stop(self) -> None:
        self._process.stop()


def start_proxy(home: Path, *, api_port: int, upload_dir: Path) -> tuple[int, ServerProcess]:
    """nginx with the configuration that we ship in front of our service; its port and process."""
    port = free_port()
    values = {
        "MEDIA_LISTEN": f"127.0.0.1:{port}",
        "MEDIA_API": f"127.0.0.1:{api_port}",
        "MEDIA_RESOLVER": "127.0.0.1",
        "MEDIA_MAX_BODY": str(101 * 1024 * 1024),
        "MEDIA_FILES": str(upload_dir.resolve()),
        "MEDIA_DIRECT_FILES": "on",
        "MEDIA_CORS_ORIGINS": "",
    }
    template = (PROJECT / "docs/operations/nginx/media.conf").read_text(encoding="utf-8")
    server = re.sub(r"\$\{(MEDIA_\w+)\}", lambda match: values[match[1]], template)
    server = server.replace("/dev/stdout", str(home / "access.log"))
    home.mkdir(parents=True)
    process = start_nginx(home, server)
    process.wait_until(f"http://127.0.0.1:{port}/readyz")
    return port, process


def start_nginx(home: Path, server: str) -> ServerProcess:
    """nginx with two workers and this content of `http { }`. Raises NginxMissing."""
    user = "user root;" if os.geteuid() == 0 else ""  # the same user as the services, whose files are private
    configuration = home / "nginx.conf"
    configuration.write_text(_COMMON.format(user=user, home=home, workers=WORKERS, server=server))
    command = [_binary(), "-p", str(home), "-e", str(home / "error.log"), "-c", str(configuration)]
    return ServerProcess(command, home=home, environment={}, log=home / "service.log")


def is_installed() -> bool:
    """Whether there is an nginx to compare with."""
    return _find() is not None


def _has_dav() -> bool:
    shown = subprocess.run([_binary(), "-V"], capture_output=True, text=True, check=True)
    return "http_dav_module" in shown.stderr


def _binary() -> str:
    found = _find()
    if found is None:
        raise NginxMissing("nginx is not installed; run: apt-get update && apt-get install -y nginx-light")
    return found


def _find() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
