"""The last step of an upload: files and row come into being together, or not at all.

    note      one statement writes the keys into the journal: bytes may exist from here on
    place     the files: fsync, rename, fsync of their directories
    record    one statement inserts the row and strikes the keys out

What fails is taken back at once where that is sure to work, and else by the sweep. In either case it is the journal
that says whether the row came into being, never the error.
"""

from collections.abc import Callable

from app.core.config import Settings
from app.core.database import Database
from app.core.errors import DatabaseUnavailable, ServiceError, StorageUnavailable
from app.core.logging import get_logger
from app.core.postgres.statements import ConstraintViolated
from app.core.storage import StorageManager
from app.repositories.upload_ledger import RecordRefusal, RecordRefused, UploadLedger
from app.services.in_flight import InFlight
from app.services.leftovers import remove_noted
from app.services.quota import bytes_used_up, closed_content, files_used_up, full_content, quota_of
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
        self._ledger = UploadLedger(database.statements)
        self._storage = storage
        self._in_flight = in_flight
        self._nudge_sweep = nudge_sweep

    async def publish(self, draft: Draft) -> None:
        """Make `draft` durable and visible. Run it under `finish`: it must not be stopped half way.

        Raises QuotaExceeded, PermissionDenied, StorageFull, StorageUnavailable, DatabaseUnavailable, and RecordRefused
        when the content has gone or the Idempotency-Key was used meanwhile; nothing stays behind then, or the
        sweep takes it away.
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
            await self._ledger.note(draft.keys, owner=self._storage.staging.owner)
        except ConstraintViolated as exc:
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
        try:
            await self._ledger.record(
                draft.media,
                keys=draft.keys,
                quota=quota_of(self._settings),
                waveform=draft.waveform,
                text=draft.text,
                idempotency=draft.idempotency,
            )
        except RecordRefused as refused:
            match refused.reason:
                case RecordRefusal.FILES_OVER_QUOTA:
                    raise files_used_up(self._settings) from refused
                case RecordRefusal.BYTES_OVER_QUOTA:
                    raise bytes_used_up(self._settings) from refused
                case RecordRefusal.CONTENT_CLOSED:
                    raise closed_content() from refused
                case RecordRefusal.CONTENT_FULL:
                    raise full_content(self._settings) from refused
                case RecordRefusal.KEYS_TAKEN_AWAY:
                    raise StorageUnavailable from refused
            raise

    async def _undo(self, draft: Draft) -> None:
        try:
            refused = (await remove_noted(self._database, self._storage, draft.keys)).refused
        except ServiceError as exc:
            log.warning("upload.undo_left_to_sweep", keys=draft.keys, code=exc.code)
            refused = len(draft.keys)
        if refused:
            self._nudge_sweep()
