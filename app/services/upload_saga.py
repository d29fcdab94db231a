"""An upload from its first byte to its answer; the one place that turns a request into a file and a row.

    admit     before the first body byte: place free, length plausible; content there and takes it, quota not used up,
              unless the Idempotency-Key may ask for an answer that was lost
    receive   the body streams into a staging file; counted, capped, hashed; no database connection is held
    check     form fields, checksum, replay of an earlier answer, malware
    process   a sandboxed worker finds out what the file is and makes what is stored
    publish   keys into the journal (one statement); files into place (fsync, rename, fsync); then one statement inserts
              the row and strikes the keys out

A crash between any two steps leaves at most staging files and journal entries, which the sweep finishes.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.core.concurrency import Admission, finish
from app.core.config import Settings
from app.core.database import Database
from app.core.errors import (
    BodyTooLarge,
    ContentNotFound,
    IdempotencyMismatch,
    IdempotentMediaDeleted,
    PermissionDenied,
    QuotaExceeded,
    ServiceError,
    StorageUnavailable,
)
from app.core.json_safety import AT_ONCE_BYTES
from app.core.malware_scan import MalwareScanner
from app.core.media_types import MediaType
from app.core.processing.contract import Job, ProcessedFile, ProcessingOptions
from app.core.processing.detection.signatures import sure_media_type
from app.core.processing.sandbox import Sandbox
from app.core.staging import StagingArea
from app.core.storage import StorageManager
from app.core.upload_stream import FORM_OVERHEAD_BYTES, ReceivedUpload, receive_upload
from app.core.uploads.body_room import BodyRoom
from app.models import Media
from app.repositories.idempotency_repository import IdempotencyRepository
from app.repositories.media_repository import MediaRepository
from app.repositories.upload_ledger import RecordRefusal, RecordRefused, Standing, UploadLedger
from app.repositories.usage_repository import Usage
from app.services.in_flight import InFlight
from app.services.quota import hold_content, hold_quota
from app.services.upload_draft import Draft, make_draft
from app.services.upload_form import UploadForm, read_form
from app.services.upload_publisher import UploadPublisher


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What the HTTP layer knows before the body is read. `content_id` is set when the path names a content.

    body_room: how to have `body` read straight into memory, where the server can.
    on_media_type: told as soon as the form says what the file is, so that failed uploads are counted by type as well.
    """

    user_id: uuid.UUID
    content_type: str | None
    content_length: int | None
    body: AsyncIterator[bytes | memoryview]
    body_room: BodyRoom | None = None
    content_id: uuid.UUID | None = None
    idempotency_key: str | None = None
    on_media_type: Callable[[MediaType], None] | None = None


@dataclass(frozen=True, slots=True)
class UploadOutcome:
    """The row; `is_replay` when it was made by an earlier request with the same Idempotency-Key."""

    media: Media
    is_replay: bool = False


class UploadSaga:
    """Stateless but for its admission counter; one per process."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        storage: StorageManager,
        scanner: MalwareScanner,
        sandbox: Sandbox,
        in_flight: InFlight,
        nudge_sweep: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._database = database
        self._ledger = UploadLedger(database.statements)
        self._storage = storage
        self._scanner = scanner
        self._sandbox = sandbox
        self._nudge_sweep = nudge_sweep
        self._publisher = UploadPublisher(
            settings=settings, database=database, storage=storage, in_flight=in_flight, nudge_sweep=nudge_sweep
        )
        self._options = processing_options(settings)
        self.admission = Admission(settings.MAX_CONCURRENT_UPLOADS, per_user=settings.uploads_per_user)

    async def run(self, request: UploadRequest) -> UploadOutcome:
        """Store one upload. Raises a ServiceError for every way it can fail; nothing stays behind then."""
        try:
            with self.admission.enter(request.user_id):
                return await self._run_while_staged(request)
        except StorageUnavailable:
            # A disk that refuses to write may refuse to remove what was staged, too.
            self._nudge_sweep()
            raise

    async def _run_while_staged(self, request: UploadRequest) -> UploadOutcome:
        try:
            return await self._run(request)
        except FileNotFoundError as exc:
            # Somebody removed what was staged under our hands: not the client's fault, and soon over.
            raise StorageUnavailable from exc

    async def _run(self, request: UploadRequest) -> UploadOutcome:
        refusal = await self._admit(request)
        async with self._storage.area() as area:
            received = await self._receive(request, area.incoming)
            form = await self._form(request, received)
            if (replay := await self._earlier_answer(request, form)) is not None:
                return UploadOutcome(replay, is_replay=True)
            if refusal is not None:
                raise refusal
            await self._require_content(request, form)
            await self._scanner.scan(area.incoming)
            processed = await self._process(request, area, received)
            draft = await make_draft(
                self._storage,
                user_id=request.user_id,
                idempotency_key=request.idempotency_key,
                form=form,
                incoming=area.incoming,
                received=received,
                processed=processed,
            )
            # From here on a client that hangs up must not stop us half way.
            return await finish(self._publish(request, form, draft))

    # -- admit and receive -----------------------------------------------------------------------------------------

    async def _admit(self, request: UploadRequest) -> ServiceError | None:
        """None, or why a new upload is refused, for a request that may be an old one: its body has to tell."""
        limit_bytes = self._settings.MAX_UPLOAD_SIZE
        if request.content_length is not None and request.content_length > limit_bytes + FORM_OVERHEAD_BYTES:
            raise BodyTooLarge(limit_bytes=limit_bytes)
        standing = await self._standing(request, request.content_id)
        try:
            if request.content_id is not None:
                hold_content(self._settings, standing.content, request.user_id)
            hold_quota(self._settings, Usage(standing.usage.file_count + 1, standing.usage.stored_bytes + 1))
        except (ContentNotFound, PermissionDenied, QuotaExceeded) as refusal:
            if not await self._is_key_used(request):
                raise
            return refusal
        return None

    async def _is_key_used(self, request: UploadRequest) -> bool:
        if request.idempotency_key is None:
            return False
        async with self._database.read() as session:
            return await IdempotencyRepository(session).get(request.user_id, request.idempotency_key) is not None

    async def _receive(self, request: UploadRequest, staged_path: Path) -> ReceivedUpload:
        return await receive_upload(
            content_type=request.content_type,
            body=request.body,
            staged_path=staged_path,
            limit_for=partial(self._limit_bytes, request),
            max_upload_bytes=self._settings.MAX_UPLOAD_SIZE,
            idle_timeout_s=self._settings.UPLOAD_IDLE_TIMEOUT_S,
            total_timeout_s=self._settings.UPLOAD_TIMEOUT_S,
            least_bytes_per_s=self._settings.UPLOAD_MIN_BYTES_PER_S,
            guess=sure_media_type,
            room=request.body_room,
            restore=self._storage.staging.hold,
        )

    def _limit_bytes(self, request: UploadRequest, media_type: MediaType | None) -> int:
        if media_type is not None and request.on_media_type is not None:
            request.on_media_type(media_type)
        return self._settings.size_limit_bytes(media_type)

    # -- check -----------------------------------------------------------------------------------------------------

    async def _form(self, request: UploadRequest, received: ReceivedUpload) -> UploadForm:
        if len(received.fields.get("metadata", "")) > AT_ONCE_BYTES:
            return await asyncio.to_thread(read_form, received, content_id=request.content_id)
        return read_form(received, content_id=request.content_id)

    async def _require_content(self, request: UploadRequest, form: UploadForm) -> None:
        if form.content_id is not None and request.content_id is None:
            room = (await self._standing(request, form.content_id)).content
            hold_content(self._settings, room, request.user_id)

    async def _standing(self, request: UploadRequest, content_id: uuid.UUID | None) -> Standing:
        most = self._settings.MAX_MEDIA_PER_CONTENT
        return await self._ledger.standing(request.user_id, content_id, media_per_content=most)

    async def _earlier_answer(self, request: UploadRequest, form: UploadForm) -> Media | None:
        if request.idempotency_key is None:
            return None
        async with self._database.read() as session:
            earlier = await IdempotencyRepository(session).get(request.user_id, request.idempotency_key)
            if earlier is None:
                return None
            if earlier.fingerprint != form.fingerprint:
                raise IdempotencyMismatch
            return await MediaRepository(session).get(earlier.media_id)

    # -- process ---------------------------------------------------------------------------------------------------

    async def _process(self, request: UploadRequest, area: StagingArea, received: ReceivedUpload) -> ProcessedFile:
        job = Job(
            source=str(area.incoming),
            output_dir=str(area.directory),
            filename=received.filename,
            media_type=received.media_type,
            options=self._options,
        )
        return await self._sandbox.run(job, user=request.user_id)

    # -- publish ---------------------------------------------------------------------------------------------------

    async def _publish(self, request: UploadRequest, form: UploadForm, draft: Draft) -> UploadOutcome:
        try:
            await self._publisher.publish(draft)
        except RecordRefused as refused:
            return await self._explain(refused, request, form)
        return UploadOutcome(draft.media)

    async def _explain(self, refused: RecordRefused, request: UploadRequest, form: UploadForm) -> UploadOutcome:
        if refused.reason is RecordRefusal.CONTENT_GONE:
            raise ContentNotFound from refused  # deleted while the file was on its way
        if refused.reason is RecordRefusal.IDEMPOTENCY_KEY_USED:
            # The same upload was sent twice at once and the other one was faster: its answer is the first answer.
            first = await self._earlier_answer(request, form)
            if first is not None:
                return UploadOutcome(first, is_replay=True)
            raise IdempotentMediaDeleted from refused  # the other one's media was deleted meanwhile
        raise refused


def processing_options(settings: Settings) -> ProcessingOptions:
    """The part of the settings that goes to the workers."""
    thumbnail_width_px, thumbnail_height_px = settings.THUMBNAIL_SIZE
    return ProcessingOptions(
        max_image_width_px=settings.MAX_IMAGE_WIDTH,
        max_image_height_px=settings.MAX_IMAGE_HEIGHT,
        thumbnail_width_px=thumbnail_width_px,
        thumbnail_height_px=thumbnail_height_px,
        image_quality=settings.IMAGE_QUALITY,
        keep_alpha=settings.IMAGE_ALPHA == "keep",
        accept_heic=settings.ACCEPT_HEIC,
        max_image_pixels=settings.MAX_IMAGE_PIXELS,
        max_image_frames=settings.MAX_IMAGE_FRAMES,
        max_unpacked_bytes=settings.MAX_UNPACKED_SIZE,
        max_archive_members=settings.MAX_ARCHIVE_MEMBERS,
    )
