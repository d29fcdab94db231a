"""StorageManager: how stored files are named, found and addressed; what is safe as a key. Knows no tables and no HTTP.

A key is `YYYY/MM/{sanitised_name}_{unique_id}.{ext}`, as in the founding document; a rendition's key puts its kind
before the dot (`…_thumb.jpg`). The name of the client gives a key its looks only: no directory, no extension.
"""

import asyncio
import re
import unicodedata
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path

from app.core.errors import StoredFileNotFound
from app.core.staging import Staging, StagingArea
from app.core.storage_backends.base import OpenFile, StorageBackend, StoredObject

FILES_PATH = "/api/v1/media/files/"
MAX_NAME_CHARS = 50
_UNIQUE_ID_CHARS = 12
_KEY = re.compile(r"\d{4}/\d{2}/[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.[a-z0-9]{1,8}", re.ASCII)


class StorageManager:
    """One per process; `open()` before use, `close()` at the end."""

    def __init__(self, *, backend: StorageBackend, staging: Staging, public_url: str) -> None:
        self._backend = backend
        self._public_url = public_url
        self.staging = staging

    def open(self) -> None:
        """Make ready to take files. Raises StorageUnavailable or StorageFull."""
        self.staging.open()

    def close(self, *, is_settled: bool) -> None:
        """Remove what this process staged; `is_settled` as in `Staging.close`."""
        self.staging.close(is_settled=is_settled)

    # -- names ---------------------------------------------------------------------------------------------------

    def new_key(self, filename: str, *, extension: str, at: datetime) -> str:
        """A key that no other file has: 48 random bits behind at most 50 characters of the client's name."""
        unique_id = uuid.uuid4().hex[:_UNIQUE_ID_CHARS]
        return f"{at:%Y/%m}/{sanitise_name(filename)}_{unique_id}.{extension}"

    def rendition_key(self, key: str, *, kind: str, extension: str) -> str:
        """The key of a file derived from `key`, beside it: `a_1.png` -> `a_1_thumb.jpg`."""
        stem, _, _ = key.rpartition(".")
        return f"{stem}_{kind}.{extension}"

    def path_of(self, key: str) -> str:
        """The URL path of a stored file, without host; what column `url` holds."""
        return FILES_PATH + key  # its form has nothing that a URL would write differently

    def url_of(self, key: str) -> str:
        """The public URL of a stored file."""
        return self.absolute(self.path_of(key))

    def absolute(self, path: str) -> str:
        """A URL path with the public address in front; rows hold paths, so that BASE_URL may change."""
        return self._public_url + path

    def checked_key(self, raw: str) -> str:
        """`raw` when it has the form of our keys. Raises StoredFileNotFound for everything else.

        The form leaves no room for `..`, absolute paths, backslashes, NUL, percent signs, dot files or other alphabets.
        """
        if _KEY.fullmatch(raw) is None:
            raise StoredFileNotFound
        return raw

    # -- bytes ---------------------------------------------------------------------------------------------------

    def area(self) -> AbstractAsyncContextManager[StagingArea]:
        """A staging place for one upload, removed on exit."""
        return self.staging.area()

    async def publish(self, files: Sequence[tuple[Path, str]]) -> None:
        """Put staged files under their keys, in order; durable on return. What went before a failure may stay.

        Raises FileExistsError when a key is taken, StorageUnavailable, StorageFull.
        """
        await self._backend.publish(files)

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove stored files; missing ones are no error. Raises StorageUnavailable at the first refusal."""
        for key in keys:
            await self._backend.delete(key)

    async def hide(self, keys: Sequence[str]) -> None:
        """Take files out of a proxy's sight that are about to be deleted; reading one here brings it back.

        Raises StorageUnavailable.
        """
        await self._backend.hide(keys)

    async def stat(self, key: str) -> StoredObject:
        """Size and time of a stored file. Raises StoredFileNotFound."""
        return await self._backend.stat(key)

    async def open_file(self, key: str) -> OpenFile:
        """A stored file for reading; close it. Raises StoredFileNotFound."""
        return await self._backend.open(key)

    def list(self) -> AsyncIterator[StoredObject]:
        """Every stored file once, in no order."""
        return self._backend.list()

    def local_path(self, key: str) -> Path | None:
        """The file on this machine's disk, or None when the backend has no such thing."""
        return self._backend.local_path(key)

    async def check_writable(self) -> None:
        """Prove that files can be taken now: where uploads are staged, on the file system that keeps them.

        Raises StorageUnavailable or StorageFull.
        """
        await asyncio.to_thread(self.staging.check_writable)


def sanitise_name(filename: str) -> str:
    """The stem of a client's file name as 1 to 50 characters of `A-Za-z0-9_-`, beginning with a letter or digit."""
    stem = filename.rpartition(".")[0] or filename
    ascii_stem = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    cleaned = re.sub(r"[^A-Za-z0-9_-]+", "_", ascii_stem)[:MAX_NAME_CHARS].strip("_-")
    return cleaned or "file"
