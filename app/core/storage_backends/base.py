"""What a place for stored files must be able to do. A backend knows keys and bytes, nothing of media, rows or URLs."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A stored file as the backend sees it; `modified_at` is aware and in UTC."""

    key: str
    size_bytes: int
    modified_at: datetime


class OpenFile(Protocol):
    """A stored file that is being read; deleted meanwhile, it can still be read to its end. Close it."""

    size_bytes: int
    modified_at: datetime

    def read_now(self, *, start: int, length: int) -> memoryview | None:
        """Up to `length` bytes from `start` without waiting for anything; None when that is not possible."""
        ...

    def read(self, *, start: int, length: int) -> AsyncGenerator[bytes | memoryview, None]:
        """The bytes from `start`, `length` of them or up to the end, in chunks of at most 1 MiB."""
        ...

    def close(self) -> None:
        """Give the file back; may be called again."""
        ...


class StorageBackend(Protocol):
    """The contract that `tests/storage/contract.py` holds every backend to.

    key: relative POSIX path of at most 1024 bytes, checked by StorageManager before it comes here.
    Every method raises StorageUnavailable when the disk or service refuses, StorageFull when it has no room.
    """

    async def publish(self, files: Sequence[tuple[Path, str]]) -> None:
        """Make finished local files readable under their keys, each whole or not at all; all durable on return.

        files: staged file and key, in the order in which they appear; those that appear are consumed. Raises
        FileExistsError when a key is taken; nothing is overwritten. After a failure the first ones may be there.
        """
        ...

    async def stat(self, key: str) -> StoredObject:
        """Size and time of a stored file. Raises StoredFileNotFound."""
        ...

    async def open(self, key: str) -> OpenFile:
        """A stored file for reading. Raises StoredFileNotFound."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the file; a missing one is no error. Directories that became empty go too."""
        ...

    async def hide(self, keys: Sequence[str]) -> None:
        """Take files out of sight of whoever serves this store without asking us; missing ones are no error.

        For us they are still there: the next `stat` or `open` of one brings it back, `delete` removes it.
        """
        ...

    def list(self) -> AsyncIterator[StoredObject]:
        """Every stored file once, in no order, without what is staged."""
        ...

    def local_path(self, key: str) -> Path | None:
        """The file on this machine's disk for a proxy or `pathsend` to serve, or None when there is no such thing."""
        ...
