"""ContentService: the small resource that media belong to; only its creator changes it."""

import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from app.core.attach import Attach
from app.core.config import Settings
from app.core.database import Database
from app.core.errors import ContentNotFound, MediaNotFound, PermissionDenied
from app.core.http_conditions import NO_CONDITIONS, Conditions
from app.core.paging import Cursor
from app.models import Content
from app.repositories.content_reader import LISTED_MEDIA, ContentReader, ContentRecord
from app.repositories.content_repository import ContentRepository
from app.repositories.media_reader import MediaRecord
from app.repositories.media_repository import MediaRepository
from app.services.content_media import ContentMedia, MediaRun
from app.services.media_lists import MediaLists
from app.services.public_reads import PublicReads
from app.services.quota import contents_used_up
from app.services.validators import content_tag

_TOLD_ONE_BY_ONE: Final = 64
"""A content with more media than this says of everything that it has changed; as the database does."""


@dataclass(frozen=True, slots=True)
class ContentChanges:
    """Fields of an update; None leaves a field as it is."""

    title: str | None = None
    body: str | None = None
    attach: Attach | None = None


@dataclass(frozen=True, slots=True)
class ContentPage:
    """items: contents with their first media; None when they come one by one, as `rest`, because they are large."""

    items: Sequence[tuple[ContentRecord, Sequence[MediaRecord]]] | None
    rest: AsyncGenerator[tuple[ContentRecord, MediaRun], None] | None
    total: int


class ContentService:
    def __init__(self, database: Database, reads: PublicReads, lists: MediaLists, settings: Settings) -> None:
        self._database = database
        self._reads = reads
        self._lists = lists
        self._settings = settings
        self._reader = ContentReader(database.statements)
        self._media = ContentMedia(self._reader)

    async def create_content(self, *, title: str, body: str, attach: Attach, user_id: uuid.UUID) -> Content:
        """A new content without media. Raises QuotaExceeded."""
        async with self._database.transaction() as session:
            repository = ContentRepository(session)
            most = self._settings.quota_contents
            if most and await repository.count_of(user_id) >= most:
                raise contents_used_up(self._settings)
            content = Content(title=title, body=body, attach=attach.value, created_by=user_id)
            repository.add(content)
            await session.flush()
        return content

    async def get_content(
        self, content_id: uuid.UUID, *, limit: int | None = None, cursor: Cursor | None = None
    ) -> tuple[ContentRecord, MediaRun]:
        """One content with its media, or `limit` of those after `cursor`. Raises ContentNotFound."""
        found = await self._media.with_content(content_id, limit=limit, cursor=cursor)
        if found is None:
            raise ContentNotFound
        return found

    async def list_contents(self, *, page: int, page_size: int) -> ContentPage:
        """One page, newest first, each with its first media and how many it has."""
        offset = (page - 1) * page_size
        total = await self._reader.count()
        items = await self._reader.listed(offset=offset, limit=page_size)
        if items is not None:
            return ContentPage(items, None, total)
        return ContentPage(None, self._one_by_one(await self._reader.listed_ids(offset=offset, limit=page_size)), total)

    async def _one_by_one(
        self, places: Sequence[tuple[uuid.UUID, int]]
    ) -> AsyncGenerator[tuple[ContentRecord, MediaRun], None]:
        for content_id, media_total in places:
            found = await self._media.with_content(content_id, limit=LISTED_MEDIA, cursor=None)
            if found is not None:  # it was not deleted since
                content, run = found
                yield content._replace(media_total=media_total), run

    async def etag(self, content_id: uuid.UUID) -> str:
        """The validator of a content with its media. Raises ContentNotFound.

        Asked for before the content is read, so that it is never newer than what it is sent with.
        """
        async with self._database.read() as session:
            return await _etag(ContentRepository(session), content_id)

    async def check_may_change(
        self, content_id: uuid.UUID, user_id: uuid.UUID, conditions: Conditions = NO_CONDITIONS
    ) -> None:
        """Asked before the body of an update is read. Raises ContentNotFound, PermissionDenied, PreconditionFailed."""
        async with self._database.read() as session:
            repository = ContentRepository(session)
            await _require(repository, await repository.get(content_id), user_id, conditions)

    async def update_content(
        self,
        content_id: uuid.UUID,
        changes: ContentChanges,
        *,
        user_id: uuid.UUID,
        conditions: Conditions = NO_CONDITIONS,
    ) -> None:
        """Change what is not None. Raises ContentNotFound, PermissionDenied and PreconditionFailed."""
        async with self._database.transaction() as session:
            repository = ContentRepository(session)
            content = await repository.lock(content_id)
            content = await _require(repository, content, user_id, conditions)
            if changes.title is not None:
                content.title = changes.title
            if changes.body is not None:
                content.body = changes.body
            if changes.attach is not None:
                content.attach = changes.attach.value

    async def delete_content(
        self, content_id: uuid.UUID, *, user_id: uuid.UUID, conditions: Conditions = NO_CONDITIONS
    ) -> None:
        """Delete a content; its media stay. Raises ContentNotFound, PermissionDenied and PreconditionFailed."""
        left: Sequence[uuid.UUID] = []
        try:
            async with self._database.transaction() as session:
                repository = ContentRepository(session)
                content = await repository.lock(content_id)
                content = await _require(repository, content, user_id, conditions)
                # Nobody adds to them: that would need a lock on the row that we have locked.
                left = await repository.media_ids(content_id, limit=_TOLD_ONE_BY_ONE + 1)
                await repository.remove(content)
        finally:
            self._have_no_content(left)  # also when nobody knows whether the COMMIT went through

    def _have_no_content(self, media_ids: Sequence[uuid.UUID]) -> None:
        if len(media_ids) > _TOLD_ONE_BY_ONE:
            self._reads.many_changed()
        elif media_ids:
            for media_id in media_ids:
                self._reads.changed(media_id)
            self._lists.changed()

    async def detach_media(self, content_id: uuid.UUID, media_id: uuid.UUID, *, user_id: uuid.UUID) -> None:
        """Take a media away from a content; it stays its uploader's, without a content.

        The creator of the content may, and the uploader of the media. Raises ContentNotFound, MediaNotFound when it is
        not there, and PermissionDenied.
        """
        try:
            async with self._database.transaction() as session:
                content = await ContentRepository(session).get(content_id)
                if content is None:
                    raise ContentNotFound
                media = await MediaRepository(session).lock(media_id)
                if media is None or media.content_id != content_id:
                    raise MediaNotFound
                if user_id not in (content.created_by, media.uploaded_by):
                    raise PermissionDenied("Only the content's creator and the media's uploader may detach it.")
                media.content_id = None
        finally:
            self._reads.changed(media_id)  # also when nobody knows whether the COMMIT went through
            self._lists.changed()


async def _require(
    repository: ContentRepository, content: Content | None, user_id: uuid.UUID, conditions: Conditions
) -> Content:
    if content is None:
        raise ContentNotFound
    if content.created_by != user_id:
        raise PermissionDenied("Only its creator may change this content.")
    if conditions:
        conditions.require_for_change(await _etag(repository, content.id), content.updated_at)
    return content


async def _etag(repository: ContentRepository, content_id: uuid.UUID) -> str:
    version = await repository.version(content_id)
    if version is None:
        raise ContentNotFound
    return content_tag(content_id, version)
