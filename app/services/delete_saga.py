"""A delete from the request to the last byte; the mirror image of the upload.

behind a proxy    that sends files without asking us, they are taken out of its sight first, or nothing is deleted
one transaction   the row goes and its keys enter the journal: from here on the media is gone for every reader
then              the files go, and the keys are struck out; a crash in between leaves that to the sweep
"""

import uuid
from collections.abc import Callable

from app.core.concurrency import finish
from app.core.database import Database
from app.core.errors import DatabaseUnavailable, MediaNotFound, PermissionDenied, ServiceError, StorageFull
from app.core.http_conditions import NO_CONDITIONS, Conditions
from app.core.logging import get_logger
from app.core.storage import StorageManager
from app.repositories.journal_repository import JournalRepository
from app.repositories.media_repository import MediaRepository
from app.repositories.usage_repository import UsageRepository
from app.services.in_flight import InFlight
from app.services.leftovers import remove_noted
from app.services.validators import media_tag

log = get_logger(__name__)


class DeleteSaga:
    def __init__(
        self,
        *,
        database: Database,
        storage: StorageManager,
        in_flight: InFlight,
        nudge_sweep: Callable[[], None],
        has_proxy: bool,
    ) -> None:
        """has_proxy: somebody else reads the store and sends what lies there (ACCEL_REDIRECT_PREFIX)."""
        self._database = database
        self._storage = storage
        self._in_flight = in_flight
        self._nudge_sweep = nudge_sweep
        self._has_proxy = has_proxy

    async def run(self, media_id: uuid.UUID, *, user_id: uuid.UUID, conditions: Conditions = NO_CONDITIONS) -> None:
        """Delete one media. Raises MediaNotFound, PermissionDenied, PreconditionFailed and DatabaseUnavailable.

        Afterwards it is gone by every address, also while the storage refuses to let the bytes go. Behind a proxy a
        storage that refuses to hide them is StorageUnavailable instead, and the media stays whole.
        """
        await finish(self._run(media_id, user_id, conditions))

    async def _run(self, media_id: uuid.UUID, user_id: uuid.UUID, conditions: Conditions) -> None:
        try:
            keys = await self._remove_row(media_id, user_id, conditions)
        except DatabaseUnavailable:
            # Perhaps after the COMMIT went through: then the journal knows the keys, and the sweep removes the bytes.
            self._nudge_sweep()
            raise
        with self._in_flight.working_on(keys):
            try:
                refused = (await remove_noted(self._database, self._storage, keys)).refused
            except ServiceError as exc:
                # The media is deleted, as promised; only its bytes are still there, and nobody can reach them.
                log.warning("media.bytes_left_to_sweep", media_id=str(media_id), code=exc.code)
                refused = len(keys)
        if refused:
            self._nudge_sweep()

    async def _remove_row(self, media_id: uuid.UUID, user_id: uuid.UUID, conditions: Conditions) -> list[str]:
        async with self._database.transaction() as session:
            repository = MediaRepository(session)
            media = await repository.lock(media_id)
            if media is None:
                raise MediaNotFound
            if media.uploaded_by != user_id:
                raise PermissionDenied("Only the uploader may delete this media.")
            conditions.require_for_change(media_tag(media), media.updated_at)
            await UsageRepository(session).subtract(user_id, size_bytes=media.file_size or 0)
            await repository.remove(media)
            JournalRepository(session).write(media.stored_keys, owner=self._storage.staging.owner)
            if self._has_proxy:
                # Last, with the row locked. Should the transaction fail now, the next read brings the files back.
                await self._hide(media.stored_keys)
            return media.stored_keys

    async def _hide(self, keys: list[str]) -> None:
        try:
            await self._storage.hide(keys)
        except StorageFull:
            # A new name may need room that a full disk has not; the delete itself, right after this, makes some.
            log.warning("media.not_hidden_before_delete", keys=keys)
