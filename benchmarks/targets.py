"""What a server under test looks like to the workloads: requests to send, and process ids to measure."""

import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from jose import jwt

from benchmarks.rows import USER_ID


class Page(StrEnum):
    """Which page of a list is asked for."""

    FIRST = "first"
    LAST = "last"
    CURSOR = "cursor"


class Item(StrEnum):
    """Which stored file is asked for."""

    SMALL = "small"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class Upload:
    """A request with a file in it: `prefix` + the bytes of `file` + `suffix`. `{n}` in `path` is the connection."""

    method: str
    path: str
    headers: dict[str, str]
    prefix: bytes
    file: Path
    suffix: bytes
    afterwards: tuple[str, ...] = ()
    """Paths to GET when it is answered, with its id for `{id}`; they count as part of the upload."""


class Target(Protocol):
    """A running server. All sizes of lists are those of the database it was started on."""

    name: str
    port: int
    picture_paths: tuple[str, ...]
    """What makes the pictures of 2048 and 300 px of an uploaded photograph, where uploading does not: `{id}` in it."""

    @property
    def pids(self) -> list[int]:
        """Roots of its process trees; the database is measured apart."""

    def upload(self, file: Path, media_type: str) -> Upload:
        """The request that uploads `file`."""

    def metadata_paths(self) -> list[str]:
        """Paths of single media, spread over the table."""

    def list_path(self, page: Page) -> str:
        """Path and query of a page of 20."""

    def download_path(self, item: Item) -> str:
        """Where the stored file is had from."""

    def auth(self) -> dict[str, str]:
        """Headers of the user."""

    def tidy(self, ids: list[str]) -> None:
        """Remove what was uploaded, so that the disk does not fill; not measured."""

    def stop(self) -> None:
        """End it and everything it started."""


def make_secret() -> str:
    """A random HS256 secret for one run."""
    return secrets.token_hex(32)


def bearer(secret: str) -> dict[str, str]:
    """The headers of the benchmark's user, good for six hours."""
    now_s = int(time.time())
    claims = {"sub": str(USER_ID), "iat": now_s, "exp": now_s + 6 * 3600}
    return {"Authorization": f"Bearer {jwt.encode(claims, secret, algorithm='HS256')}"}


def multipart(file: Path, media_type: str, *, path: str, headers: dict[str, str]) -> Upload:
    """`file` as the part `file` after the field `media_type`."""
    mime_type = {"image": "image/jpeg", "video": "video/mp4"}[media_type]
    boundary = "benchmark7f3a1c55e0"
    prefix = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="media_type"\r\n\r\n{media_type}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
        f"Content-Type: {mime_type}\r\n\r\n"
    )
    headers = {**headers, "Content-Type": f"multipart/form-data; boundary={boundary}"}
    return Upload("POST", path, headers, prefix.encode(), file, f"\r\n--{boundary}--\r\n".encode())
