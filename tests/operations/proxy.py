"""Runs the real nginx with the configuration that we ship, unprivileged and on ports of this machine."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TEMPLATE = Path("docs/operations/nginx/media.conf")
INSTALL = "nginx is not installed; run: apt-get update && apt-get install -y --no-install-recommends nginx-light"
_NOBODY = 65534
_WRAPPER = """
{user}
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log info;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    {lines}
    include {home}/media.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running nginx: where it listens, the directory it serves files from, and its own."""

    port: int
    files: Path
    home: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def access_log(self) -> str:
        return (self.home / "access.log").read_text()

    def error_log(self) -> str:
        return (self.home / "error.log").read_text()


def rendered(values: Mapping[str, str]) -> str:
    """The shipped template with `${MEDIA_*}` filled in, as `envsubst` does it. A missing value is a KeyError."""
    return re.sub(r"\$\{(MEDIA_\w+)\}", lambda match: values[match[1]], TEMPLATE.read_text())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_nginx(
    *,
    max_body_bytes: int,
    api: str,
    resolver: str = "127.0.0.1",
    port: int = 0,
    files: Path | None = None,
    direct_files: str = "on",
    cors_origins: str = "",
    http_lines: str = "",
) -> Iterator[Proxy]:
    """An nginx in front of `api` (host:port), on `port` or on a free one.

    files: UPLOAD_DIR of a real service, whose user nginx must be then; None makes one, and as root nginx is `nobody`.
    direct_files: `off` asks the service about every file.  cors_origins: CORS_ORIGINS of the service.
    http_lines: further directives of the `http` block around the template.

    Raises AssertionError with the command to run when nginx is missing, or with its words when it does not start.
    """
    binary = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    assert binary is not None, INSTALL
    with tempfile.TemporaryDirectory(prefix="media-nginx-") as created:
        home = Path(created)
        proxy = Proxy(port=port or free_port(), files=files or home / "files", home=home)
        proxy.files.mkdir(exist_ok=True)
        values = {
            "MEDIA_LISTEN": f"127.0.0.1:{proxy.port}",
            "MEDIA_API": api,
            "MEDIA_RESOLVER": resolver,
            "MEDIA_MAX_BODY": str(max_body_bytes),
            "MEDIA_FILES": str(proxy.files.resolve()),
            "MEDIA_DIRECT_FILES": direct_files,
            "MEDIA_CORS_ORIGINS": cors_origins,
        }
        # A file in place of /dev/stdout, which another user than the one who opened it may not open again.
        configuration = rendered(values).replace("/dev/stdout", str(home / "access.log"))
        (home / "media.conf").write_text(configuration)
        is_root = os.geteuid() == 0
        workers_are_root = "user root;" if is_root and files is not None else ""
        (home / "nginx.conf").write_text(_WRAPPER.format(home=home, user=workers_are_root, lines=http_lines))
        user = _NOBODY if is_root and files is None else None
        if user is not None:
            os.chown(home, user, user)
        command = [binary, "-p", str(home), "-e", str(home / "error.log"), "-c", str(home / "nginx.conf")]
        process = subprocess.Popen(command, user=user, group=user, extra_groups=[] if user else None)
        try:
            _wait_until_it_listens(process, proxy)
            yield proxy
        finally:
            process.terminate()
            process.wait(10)


def _wait_until_it_listens(process: "subprocess.Popen[bytes]", proxy: Proxy) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert process.poll() is None, proxy.error_log()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", proxy.port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nginx does not listen: {proxy.error_log()}")
