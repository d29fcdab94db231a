"""Everything that publishing an upload needs, thought up before anything is touched: keys, files and rows."""

import asyncio
import base64
import hashlib
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.core.filenames import with_extension
from app.core.json_safety import write
from app.core.media_types import MIB, extension_of
from app.core.processing.contract import ProcessedFile, Rendition
from app.core.storage import StorageManager
from app.core.upload_stream import ReceivedUpload
from app.models import IdempotencyKey, Media, MediaText, MediaWaveform
from app.services.upload_form import UploadForm

_MEASURED_INLINE_BYTES = MIB


@dataclass(frozen=True, slots=True)
class Draft:
    """Staged files with the keys they will have, the file itself first, and the rows."""

    files: list[tuple[Path, str]]
    media: Media
    waveform: MediaWaveform | None
    text: MediaText | None
    idempotency: IdempotencyKey | None

    @property
    def keys(self) -> list[str]:
        """Every key that the media will own."""
        return [key for _, key in self.files]


async def make_draft(
    storage: StorageManager,
    *,
    user_id: uuid.UUID,
    idempotency_key: str | None,
    form: UploadForm,
    incoming: Path,
    received: ReceivedUpload,
    processed: ProcessedFile,
) -> Draft:
    """The draft of one processed upload; reads the file again only when a worker has rewritten it."""
    stored, size_bytes, checksum = incoming, received.size_bytes, received.sha256
    properties = dict(processed.properties)
    if processed.main_path is not None:
        stored = Path(processed.main_path)
        size_bytes, checksum = await _measured(stored)
        properties |= {"received_sha256": received.sha256, "received_size_bytes": received.size_bytes}
    key = storage.new_key(received.filename, extension=processed.extension, at=datetime.now(UTC))
    files = [(stored, key)]
    thumbnail_key = _add_rendition(storage, files, "thumb", processed.thumbnail)
    poster_key = _add_rendition(storage, files, "poster", processed.poster)
    media = Media(
        id=uuid.uuid4(),
        content_id=form.content_id,
        media_type=received.media_type.value,
        filename=_display_name(received, processed),
        url=storage.path_of(key),
        storage_path=key,
        thumbnail_path=thumbnail_key,
        poster_path=poster_key,
        file_size=size_bytes,
        mime_type=processed.mime_type,
        width=processed.width_px,
        height=processed.height_px,
        duration=None if processed.duration_s is None else round(processed.duration_s),
        user_metadata=form.metadata,
        properties=write(properties),
        checksum_sha256=checksum,
        uploaded_by=user_id,
    )
    return Draft(
        files=files,
        media=media,
        waveform=_waveform_row(media.id, processed),
        text=MediaText(media_id=media.id, text=processed.text) if processed.text else None,
        idempotency=_idempotency_row(media, idempotency_key, form),
    )


def _display_name(received: ReceivedUpload, processed: ProcessedFile) -> str:
    """The client's name; one without an extension gets that of the stored file (`blob` becomes `blob.jpg`)."""
    if extension_of(received.filename):
        return received.filename
    return with_extension(received.filename, (processed.extension,))


def _add_rendition(
    storage: StorageManager, files: list[tuple[Path, str]], kind: str, rendition: Rendition | None
) -> str | None:
    if rendition is None:
        return None
    _, main_key = files[0]
    key = storage.rendition_key(main_key, kind=kind, extension=extension_of(Path(rendition.path).name))
    files.append((Path(rendition.path), key))
    return key


async def _measured(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file that a worker has just written."""
    size_bytes = _size_of(path)
    # It is in memory still, so for a small one the way to a thread costs as much as the work (0.2 ms for 200 KB).
    digest = _digest(path) if size_bytes <= _MEASURED_INLINE_BYTES else await asyncio.to_thread(_digest, path)
    return size_bytes, digest


def _size_of(path: Path) -> int:
    return path.stat().st_size


def _digest(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _waveform_row(media_id: uuid.UUID, processed: ProcessedFile) -> MediaWaveform | None:
    if processed.waveform is None:
        return None
    facts = asdict(processed.waveform)
    data = base64.b64decode(facts.pop("data_base64"))
    return MediaWaveform(media_id=media_id, data=data, **facts)


def _idempotency_row(media: Media, key: str | None, form: UploadForm) -> IdempotencyKey | None:
    if key is None:
        return None
    return IdempotencyKey(user_id=media.uploaded_by, key=key, fingerprint=form.fingerprint, media_id=media.id)
