"""An upload from its first byte to its answer; the one place that turns a request into a file and a row.

    admit     before the first body byte: place free, length plausible, content there, quota not used up
    receive   the body streams into a staging file; counted, capped, hashed; no database connection is held
    check     form fields, checksum, replay of an earlier answer, malware
    process   a sandboxed worker finds out what the file is and makes what is stored
    publish   keys into the journal (short transaction); files into place (fsync, rename, fsync); then one transaction
              inserts the row and strikes the keys out

A crash between any two steps leaves at most staging files and journal entries, which the sweep finishes.
"""

import asyncio
import base64
import hashlib
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
from sqlalchemy.exc import IntegrityError

from app.core.concurrency import Admission, finish
from app.core.config import Settings
from app.core.database import Database
from app.core.errors import (
    BodyTooLarge,
    ChecksumMismatch,
    ContentNotFound,
    DatabaseUnavailable,
    IdempotencyMismatch,
    InvalidField,
    QuotaExceeded,
    ServiceError,
    StorageUnavailable,
)
from app.core.json_safety import parse_object
from app.core.logging import get_logger
from app.core.media_types import extension_of
from app.core.processing.contract import Job, JsonObject, ProcessedFile, ProcessingOptions, Rendition
from app.core.processing.sandbox import Sandbox
from app.core.storage import StorageManager
from app.core.upload_stream import FORM_OVERHEAD_BYTES, ReceivedUpload, receive_upload
from app.models import IdempotencyKey, Media, MediaText, MediaWaveform
from app.repositories.constraints import violated_constraint
from app.repositories.content_repository import ContentRepository
from app.repositories.idempotency_repository import IdempotencyRepository
from app.repositories.journal_repository import JournalRepository
from app.repositories.media_repository import MediaRepository
from app.repositories.usage_repository import Usage, UsageRepository
from app.services.in_flight import InFlight

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What the HTTP layer knows before the body is read. `content_id` is set when the path names a content."""

    user_id: uuid.UUID
    content_type: str | None
    content_length: int | None
    body: AsyncIterator[bytes]
    content_id: uuid.UUID | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class UploadOutcome:
    """The row; `is_replay` when it was made by an earlier request with the same Idempotency-Key."""

    media: Media
    is_replay: bool = False


@dataclass(frozen=True, slots=True)
class _Form:
    content_id: uuid.UUID | None
    metadata: JsonObject
    fingerprint: str


@dataclass(frozen=True, slots=True)
class _Draft:
    """Everything that the publishing step needs: files with their keys, and the rows."""

    files: list[tuple[Path, str]]
    media: Media
    waveform: MediaWaveform | None
    text: MediaText | None
    idempotency: IdempotencyKey | None

    @property
    def keys(self) -> list[str]:
        return [key for _, key in self.files]


class UploadSaga:
    """Stateless but for its admission counter; one per process."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        storage: StorageManager,
        sandbox: Sandbox,
        in_flight: InFlight,
        nudge_sweep: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._sandbox = sandbox
        self._in_flight = in_flight
        self._nudge_sweep = nudge_sweep
        self._options = processing_options(settings)
        self.admission = Admission(settings.MAX_CONCURRENT_UPLOADS)

    async def run(self, request: UploadRequest) -> UploadOutcome:
        """Store one upload. Raises a ServiceError for every way it can fail; nothing stays behind then."""
        with self.admission.enter():
            await self._admit(request)
            async with self._storage.area() as area:
                received = await self._receive(request, area.incoming)
                form = await self._check(request, received)
                if (replay := await self._earlier_answer(request, form)) is not None:
                    return UploadOutcome(replay, is_replay=True)
                processed = await self._process(area.incoming, area.made, received)
                draft = await self._draft(request, form, area.incoming, received, processed)
                # From here on a client that hangs up must not stop us half way.
                return await finish(self._publish(request, form, draft))

    # -- admit and receive -----------------------------------------------------------------------------------------

    async def _admit(self, request: UploadRequest) -> None:
        limit_bytes = self._settings.size_limit_bytes(None)
        if request.content_length is not None and request.content_length > limit_bytes + FORM_OVERHEAD_BYTES:
            raise BodyTooLarge(limit_bytes=limit_bytes)
        async with self._database.read() as session:
            if request.content_id is not None and not await ContentRepository(session).exists(request.content_id):
                raise ContentNotFound
            if self._settings.quota_bytes or self._settings.quota_files:
                used = await UsageRepository(session).of(request.user_id)
                self._hold_quota(Usage(used.file_count + 1, used.stored_bytes + 1))

    async def _receive(self, request: UploadRequest, staged_path: Path) -> ReceivedUpload:
        return await receive_upload(
            content_type=request.content_type,
            body=request.body,
            staged_path=staged_path,
            limit_for=self._settings.size_limit_bytes,
            max_upload_bytes=self._settings.MAX_UPLOAD_SIZE,
            idle_timeout_s=self._settings.UPLOAD_IDLE_TIMEOUT_S,
            total_timeout_s=self._settings.UPLOAD_TIMEOUT_S,
        )

    # -- check -----------------------------------------------------------------------------------------------------

    async def _check(self, request: UploadRequest, received: ReceivedUpload) -> _Form:
        content_id = request.content_id or _read_content_id(received.fields.get("content_id"))
        metadata = received.fields.get("metadata", "").strip()
        form = _Form(
            content_id=content_id,
            metadata=parse_object(metadata, field="metadata") if metadata else {},
            fingerprint=_fingerprint(received, content_id, metadata),
        )
        _compare_checksums(received)
        if content_id is not None and request.content_id is None:
            async with self._database.read() as session:
                if not await ContentRepository(session).exists(content_id):
                    raise ContentNotFound
        return form

    async def _earlier_answer(self, request: UploadRequest, form: _Form) -> Media | None:
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

    async def _process(self, incoming: Path, made: Path, received: ReceivedUpload) -> ProcessedFile:
        job = Job(
            source=str(incoming),
            output_dir=str(made),
            filename=received.filename,
            media_type=received.media_type,
            options=self._options,
        )
        return await self._sandbox.run(job)

    async def _draft(
        self,
        request: UploadRequest,
        form: _Form,
        incoming: Path,
        received: ReceivedUpload,
        processed: ProcessedFile,
    ) -> _Draft:
        stored, size_bytes, checksum = incoming, received.size_bytes, received.sha256
        properties = dict(processed.properties)
        if processed.main_path is not None:
            stored = Path(processed.main_path)
            size_bytes, checksum = await asyncio.to_thread(_measure, stored)
            properties |= {"received_sha256": received.sha256, "received_size_bytes": received.size_bytes}
        key = self._storage.new_key(received.filename, extension=processed.extension, at=datetime.now(UTC))
        files = [(stored, key)]
        thumbnail_key = self._add_rendition(files, key, "thumb", processed.thumbnail)
        poster_key = self._add_rendition(files, key, "poster", processed.poster)
        media_id = uuid.uuid4()
        media = Media(
            id=media_id,
            content_id=form.content_id,
            media_type=received.media_type.value,
            filename=received.filename,
            url=self._storage.path_of(key),
            storage_path=key,
            thumbnail_path=thumbnail_key,
            poster_path=poster_key,
            file_size=size_bytes,
            mime_type=processed.mime_type,
            width=processed.width_px,
            height=processed.height_px,
            duration=None if processed.duration_s is None else round(processed.duration_s),
            user_metadata=form.metadata,
            properties=properties,
            checksum_sha256=checksum,
            uploaded_by=request.user_id,
        )
        return _Draft(
            files=files,
            media=media,
            waveform=_waveform_row(media_id, processed),
            text=MediaText(media_id=media_id, text=processed.text) if processed.text else None,
            idempotency=_idempotency_row(media_id, request, form),
        )

    def _add_rendition(
        self, files: list[tuple[Path, str]], key: str, kind: str, rendition: Rendition | None
    ) -> str | None:
        if rendition is None:
            return None
        extension = extension_of(Path(rendition.path).name)
        rendition_key = self._storage.rendition_key(key, kind=kind, extension=extension)
        files.append((Path(rendition.path), rendition_key))
        return rendition_key

    # -- publish ---------------------------------------------------------------------------------------------------

    async def _publish(self, request: UploadRequest, form: _Form, draft: _Draft) -> UploadOutcome:
        with self._in_flight.working_on(draft.keys):
            async with self._database.transaction() as session:
                JournalRepository(session).write(draft.keys, owner=self._storage.staging.owner)
            try:
                await self._storage.publish(draft.files)
                await self._record(request, draft)
            except DatabaseUnavailable:
                # The connection broke, perhaps after the COMMIT went through. Only the journal knows: if the entries
                # are still there, the row is not, and the sweep removes the files.
                self._nudge_sweep()
                raise
            except IntegrityError as exc:
                await self._undo(draft)
                return await self._explain(exc, request, form)
            except BaseException:
                await self._undo(draft)
                raise
        return UploadOutcome(draft.media)

    async def _record(self, request: UploadRequest, draft: _Draft) -> None:
        async with self._database.transaction() as session:
            used = await UsageRepository(session).add(request.user_id, size_bytes=draft.media.file_size or 0)
            self._hold_quota(used)
            repository = MediaRepository(session)
            repository.add(draft.media)
            await session.flush()
            repository.add_facts(waveform=draft.waveform, document_text=draft.text)
            if draft.idempotency is not None:
                await IdempotencyRepository(session).put(draft.idempotency)
            if await JournalRepository(session).clear(draft.keys) != len(draft.keys):
                # A sweep took us for dead and removed the files: the row must not come into being.
                raise StorageUnavailable

    async def _undo(self, draft: _Draft) -> None:
        """Remove what was published. What cannot be removed now stays in the journal for the sweep."""
        try:
            await self._storage.delete(draft.keys)
            async with self._database.transaction() as session:
                await JournalRepository(session).clear(draft.keys)
        except ServiceError as exc:
            log.warning("upload.undo_left_to_sweep", keys=draft.keys, code=exc.code)
            self._nudge_sweep()

    async def _explain(self, exc: IntegrityError, request: UploadRequest, form: _Form) -> UploadOutcome:
        constraint = violated_constraint(exc)
        if constraint == "fk_media_content_id_content":
            raise ContentNotFound from exc  # deleted while the file was on its way
        if constraint == "pk_idempotency_key":
            # The same upload was sent twice at once and the other one was faster: its answer is the first answer.
            first = await self._earlier_answer(request, form)
            if first is not None:
                return UploadOutcome(first, is_replay=True)
        raise exc

    def _hold_quota(self, usage: Usage) -> None:
        quota_files, quota_bytes = self._settings.quota_files, self._settings.quota_bytes
        if quota_files and usage.file_count > quota_files:
            raise QuotaExceeded(f"Your quota of {quota_files} files is used up.")
        if quota_bytes and usage.stored_bytes > quota_bytes:
            raise QuotaExceeded(f"Your quota of {quota_bytes} bytes is used up.")


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


def _read_content_id(raw: str | None) -> uuid.UUID | None:
    if raw is None or not raw.strip():
        return None
    try:
        return uuid.UUID(raw.strip())
    except ValueError as exc:
        raise InvalidField("content_id", "is not a UUID.") from exc


def _compare_checksums(received: ReceivedUpload) -> None:
    for expected in (_declared_hex(received.fields), _declared_digest(received.file_headers)):
        if expected is not None and expected != received.sha256:
            raise ChecksumMismatch


def _declared_hex(fields: Mapping[str, str]) -> str | None:
    declared = fields.get("checksum_sha256", "").strip().lower()
    if not declared:
        return None
    if len(declared) != 64 or not all(char in "0123456789abcdef" for char in declared):
        raise InvalidField("checksum_sha256", "must be 64 hexadecimal digits.")
    return declared


def _declared_digest(headers: Mapping[str, str]) -> str | None:
    """The sha-256 member of a part's Content-Digest as hex; other algorithms are ignored (RFC 9530 section 2)."""
    for member in headers.get("content-digest", "").split(","):
        name, _, value = member.strip().partition("=")
        if name.strip().lower() == "sha-256":
            try:
                return base64.b64decode(value.strip().strip(":"), validate=True).hex()
            except ValueError as exc:
                raise InvalidField("Content-Digest", "is not a valid digest.") from exc
    return None


def _fingerprint(received: ReceivedUpload, content_id: uuid.UUID | None, metadata: str) -> str:
    """What makes two uploads the same: the bytes, the name, the type and the fields."""
    parts = [received.sha256, received.filename, received.media_type.value, str(content_id), metadata]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def _measure(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _waveform_row(media_id: uuid.UUID, processed: ProcessedFile) -> MediaWaveform | None:
    if processed.waveform is None:
        return None
    facts = asdict(processed.waveform)
    data = base64.b64decode(facts.pop("data_base64"))
    return MediaWaveform(media_id=media_id, data=data, **facts)


def _idempotency_row(media_id: uuid.UUID, request: UploadRequest, form: _Form) -> IdempotencyKey | None:
    if request.idempotency_key is None:
        return None
    return IdempotencyKey(
        user_id=request.user_id, key=request.idempotency_key, fingerprint=form.fingerprint, media_id=media_id
    )
