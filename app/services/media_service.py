"""MediaService: what can be done with media, and by whom. Uploads and deletes are sagas of their own."""

import math
import uuid
from dataclasses import dataclass
from datetime import datetime

from app.core.database import Database
from app.core.errors import ContentNotFound, MediaNotFound, NotFound, PermissionDenied, StoredFileNotFound
from app.core.http_conditions import NO_CONDITIONS, Conditions
from app.core.json_safety import RawJson, is_readable, read
from app.core.media_types import MediaType
from app.core.paging import Cursor
from app.core.storage import StorageManager
from app.models import Media, MediaWaveform
from app.repositories.content_reader import ContentReader
from app.repositories.content_repository import ContentRepository
from app.repositories.media_list_reader import MediaFilter
from app.repositories.media_reader import MediaRecord
from app.repositories.media_repository import MediaRepository
from app.services.content_media import ContentMedia, MediaRun
from app.services.delete_saga import DeleteSaga
from app.services.media_lists import CountMode, MediaLists, MediaPage
from app.services.public_reads import PublicReads
from app.services.upload_saga import UploadOutcome, UploadRequest, UploadSaga
from app.services.validators import media_tag


@dataclass(frozen=True, slots=True)
class MediaChanges:
    """Fields of an update; None leaves a field as it is."""

    filename: str | None = None
    metadata: RawJson | None = None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What it takes to hand a file out. `etag` is strong and quoted: the bytes under a key never change.

    last_modified: None when it is what the storage says of the file.
    """

    key: str
    filename: str
    mime_type: str
    charset: str | None
    etag: str
    checksum_sha256: str | None
    last_modified: datetime | None


class MediaService:
    def __init__(
        self,
        *,
        database: Database,
        reads: PublicReads,
        lists: MediaLists,
        storage: StorageManager,
        upload_saga: UploadSaga,
        delete_saga: DeleteSaga,
    ) -> None:
        self._database = database
        self._reads = reads
        self._lists = lists
        self._content_media = ContentMedia(ContentReader(database.statements))
        self._storage = storage
        self._upload_saga = upload_saga
        self._delete_saga = delete_saga

    async def upload_media(self, request: UploadRequest) -> UploadOutcome:
        """Store a file and its row; see `upload_saga` for the way and the errors."""
        try:
            return await self._upload_saga.run(request)
        finally:
            self._lists.changed()  # also when nobody knows whether the COMMIT went through

    async def get_media(self, media_id: uuid.UUID) -> MediaRecord:
        """One media, read only. Raises MediaNotFound."""
        media = await self._reads.media(media_id)
        if media is None:
            raise MediaNotFound
        return media

    async def get_media_for_content(
        self, content_id: uuid.UUID, media_type: MediaType | None, *, limit: int | None, cursor: Cursor | None
    ) -> MediaRun:
        """The media of a content, oldest first: all after `cursor`, or `limit` of them. Raises ContentNotFound."""
        found = await self._content_media.run(content_id, media_type, limit=limit, cursor=cursor)
        if not found.first:
            async with self._database.read() as session:
                if not await ContentRepository(session).exists(content_id):
                    raise ContentNotFound
        return found

    async def list_media(
        self, wanted: MediaFilter, *, page: int, page_size: int, cursor: Cursor | None, count: CountMode | None
    ) -> MediaPage:
        """One page, newest first. page: from 1, ignored with a cursor.  Raises InvalidField for an absurd page."""
        return await self._lists.page(wanted, page=page, page_size=page_size, cursor=cursor, count=count)

    async def check_may_change(
        self, media_id: uuid.UUID, user_id: uuid.UUID, conditions: Conditions = NO_CONDITIONS
    ) -> None:
        """Asked before the body of an update is read. Raises MediaNotFound, PermissionDenied, PreconditionFailed."""
        _require_uploader(await self.get_media(media_id), user_id)
        if conditions:
            async with self._database.read() as session:  # what is kept may be older than what the client knows
                media = await MediaRepository(session).get(media_id)
            if media is None:
                raise MediaNotFound
            conditions.require_for_change(media_tag(media), media.updated_at)

    async def update_media(
        self,
        media_id: uuid.UUID,
        changes: MediaChanges,
        *,
        user_id: uuid.UUID,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Media:
        """Change the name or the metadata. Raises MediaNotFound, PermissionDenied and PreconditionFailed."""
        try:
            async with self._database.transaction() as session:
                media = await MediaRepository(session).lock(media_id)
                if media is None:
                    raise MediaNotFound
                _require_uploader(media, user_id)
                conditions.require_for_change(media_tag(media), media.updated_at)
                if changes.filename is not None:
                    media.filename = changes.filename
                if changes.metadata is not None:
                    media.user_metadata = changes.metadata
                await session.flush()
        finally:
            self._reads.changed(media_id)  # also when nobody knows whether the COMMIT went through
        return media

    async def delete_media(
        self, media_id: uuid.UUID, *, user_id: uuid.UUID, conditions: Conditions = NO_CONDITIONS
    ) -> None:
        """Delete a media and its files. Raises MediaNotFound, PermissionDenied and PreconditionFailed."""
        try:
            await self._delete_saga.run(media_id, user_id=user_id, conditions=conditions)
        finally:
            self._reads.changed(media_id)
            self._lists.changed()

    async def get_stored_file(self, media_id: uuid.UUID) -> StoredFile:
        """The file of a media, for a download. Raises MediaNotFound and StoredFileNotFound."""
        media = await self.get_media(media_id)
        if media.storage_path is None:
            raise StoredFileNotFound
        return _main_file(media, media.storage_path)

    async def find_stored_file(self, key: str) -> StoredFile:
        """The file under `key`, which some row must own, as its public address shows it. Raises StoredFileNotFound."""
        media = await self._reads.owner_of_file(self._storage.checked_key(key))
        if media is None:
            raise StoredFileNotFound
        if key == media.storage_path and media.media_type == MediaType.DOCUMENT:
            return _main_file(media, key)
        return _by_its_key(media, key)

    async def get_waveform(self, media_id: uuid.UUID) -> MediaWaveform:
        """The peaks of an audio file. Raises MediaNotFound, and NotFound for a media that has none."""
        async with self._database.read() as session:
            repository = MediaRepository(session)
            waveform = await repository.waveform(media_id)
            if waveform is None and await repository.get(media_id) is None:
                raise MediaNotFound
        if waveform is None:
            raise NotFound("This media has no waveform.")
        return waveform


def page_count(total: int, page_size: int) -> int:
    """Pages of `page_size` that hold `total` items; an empty list has none."""
    return math.ceil(total / page_size)


def _require_uploader(media: Media | MediaRecord, user_id: uuid.UUID) -> None:
    if media.uploaded_by != user_id:
        raise PermissionDenied("Only the uploader may change this media.")


def _main_file(media: MediaRecord, key: str) -> StoredFile:
    # Only text that is UTF-8 is said to be: for anything else a browser's guess is as good as ours.
    is_text = media.mime_type == "text/plain"
    properties = read(media.properties.text.encode()) if is_text and is_readable(media.properties) else None
    is_utf8 = isinstance(properties, dict) and properties.get("charset") in ("utf-8", "us-ascii")
    return StoredFile(
        key=key,
        filename=media.filename,
        mime_type=media.mime_type or "application/octet-stream",
        charset="utf-8" if is_utf8 else None,
        etag=f'"{media.checksum_sha256}"',
        checksum_sha256=media.checksum_sha256,
        last_modified=media.created_at,
    )


def _by_its_key(media: MediaRecord, key: str) -> StoredFile:
    """A picture, video or audio as anyone can describe it who knows the key and the disk, which a proxy does too.

    A key holds a random id, and no other bytes ever come under it: its name is as good a validator as a checksum.
    """
    name = key.rpartition("/")[2]
    is_main = key == media.storage_path
    mime_type = media.mime_type if is_main else _PICTURE_TYPES.get(name.rpartition(".")[2])
    return StoredFile(
        key=key,
        filename=name,
        mime_type=mime_type or "application/octet-stream",
        charset=None,
        etag=f'"{name}"',
        checksum_sha256=None,
        last_modified=None,
    )


_PICTURE_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
