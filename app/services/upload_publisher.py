"""The last step of an upload: files and row come into being together, or not at all.

    note      one short transaction writes the keys into the journal: bytes may exist from here on
    place     each file: fsync, rename, fsync of its directory
    record    one transaction inserts the row and strikes the keys out

What fails is taken back at once where that is sure to work, and else by the sweep. In either case it is the journal
that says whether the row came into being, never the error.
"""

from collections.abc import Callable

from sqlalchemy.exc import IntegrityError

from app.core.config import Settings
from app.core.database import Database
from app.core.errors import DatabaseUnavailable, ServiceError, StorageUnavailable
from app.core.logging import get_logger
from app.core.storage import StorageManager
from app.repositories.idempotency_repository import IdempotencyRepository
from app.repositories.journal_repository import JournalRepository
from app.repositories.media_repository import MediaRepository
from app.repositories.usage_repository import UsageRepository
from app.services.in_flight import InFlight
from app.services.leftovers import remove_noted
from app.services.quota import hold_quota
from app.services.upload_draft import Draft

log = get_logger(__name__)


class UploadPublisher:
    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        storage: StorageManager,
        in_flight: InFlight,
        nudge_sweep: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._in_flight = in_flight
        self._nudge_sweep = nudge_sweep

    async def publish(self, draft: Draft) -> None:
        """Make `draft` durable and visible. Run it under `finish`: it must not be stopped half way.

        Raises QuotaExceeded, StorageFull, StorageUnavailable, DatabaseUnavailable, and IntegrityError when the content
        has gone or the Idempotency-Key was used meanwhile; nothing stays behind then, or the sweep takes it away.
        """
        with self._in_flight.working_on(draft.keys):
            try:
                await self._note(draft)
                await self._place_and_record(draft)
            except DatabaseUnavailable:
                # The connection broke, perhaps after the COMMIT went through, and asking the journal now would only
                # keep the client waiting for his 503.
                self._nudge_sweep()
                raise

    async def _note(self, draft: Draft) -> None:
        try:
            async with self._database.transaction() as session:
                JournalRepository(session).write(draft.keys, owner=self._storage.staging.owner)
        except IntegrityError as exc:
            # Another upload drew the same random id and is on its way; the next try draws another one.
            raise StorageUnavailable from exc

    async def _place_and_record(self, draft: Draft) -> None:
        try:
            await self._storage.publish(draft.files)
            await self._record(draft)
        except DatabaseUnavailable:
            raise
        except FileExistsError as exc:
            await self._undo(draft)
            raise StorageUnavailable from exc
        except Exception:
            await self._undo(draft)
            raise

    async def _record(self, draft: Draft) -> None:
        media = draft.media
        async with self._database.transaction() as session:
            hold_quota(
                self._settings,
                await UsageRepository(session).add(media.uploaded_by, size_bytes=media.file_size or 0),
            )
            repository = MediaRepository(session)
            repository.add(media)
            await session.flush()
            repository.add_facts(waveform=draft.waveform, document_text=draft.text)
            if draft.idempotency is not None:
                await IdempotencyRepository(session).put(draft.idempotency)
            if await JournalRepository(session).clear(draft.keys) != len(draft.keys):
                # A sweep took us for dead and removed the files: the row must not come into being.
                raise StorageUnavailable

    async def _undo(self, draft: Draft) -> None:
        try:
            refused = (await remove_noted(self._database, self._storage, draft.keys)).refused
        except ServiceError as exc:
            log.warning("upload.undo_left_to_sweep", keys=draft.keys, code=exc.code)
            refused = len(draft.keys)
        if refused:
            self._nudge_sweep()
