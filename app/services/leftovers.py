"""Removes bytes that no row owns; the one place where a file is deleted because the journal says so."""

from collections.abc import Collection
from dataclasses import dataclass

from app.core.database import Database
from app.core.errors import ServiceError, StorageFull, StorageUnavailable
from app.core.logging import get_logger
from app.core.storage import StorageManager
from app.repositories.journal_repository import JournalRepository
from app.repositories.media_repository import MediaRepository

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Removal:
    """Keys whose bytes are gone, and those that the storage refused to remove; they stay in the journal."""

    removed: int
    refused: int


async def remove_noted(database: Database, storage: StorageManager, keys: Collection[str]) -> Removal:
    """Delete the files of those `keys` that are in the journal, and strike them out. Raises DatabaseUnavailable.

    Being in the journal is what says that a key has no row: whoever inserts the row strikes its keys out in the same
    transaction. So this is right even after a COMMIT whose answer was lost. A key that somebody else has locked is
    his to finish.
    """
    if not keys:
        return Removal(0, 0)
    async with database.transaction() as session:
        journal = JournalRepository(session)
        claimed = await journal.claim(keys)
        if not claimed:
            return Removal(0, 0)
        # Never true by our own hand. A random id that was drawn twice, or rows that were brought back by hand, would
        # otherwise cost an acknowledged file.
        owned = await MediaRepository(session).owned_keys(claimed)
        if owned:
            log.error("journal.key_has_a_row", keys=sorted(owned))
        finished = list(owned)
        for key in claimed:
            if key not in owned and await _is_deleted(storage, key):
                finished.append(key)
        await journal.clear(finished)
    return Removal(len(finished) - len(owned), len(claimed) - len(finished))


async def close_storage(database: Database, storage: StorageManager) -> None:
    """Close `storage` at the end of a process, and leave a sign of its end if the journal still knows it."""
    try:
        async with database.read() as session:
            is_settled = not await JournalRepository(session).knows(storage.staging.owner)
    except ServiceError:
        is_settled = False
    storage.close(is_settled=is_settled)


async def _is_deleted(storage: StorageManager, key: str) -> bool:
    try:
        await storage.delete([key])
    except (StorageUnavailable, StorageFull) as exc:  # copy-on-write file systems need room to delete
        # One file that cannot be removed must not keep the others from going.
        log.warning("journal.file_refused", key=key, cause=repr(exc.__cause__))
        return False
    return True
