"""ContentService: the small resource that media belong to; only its creator changes it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.core.database import Database
from app.core.errors import ContentNotFound, PermissionDenied
from app.core.http_conditions import NO_CONDITIONS, Conditions
from app.models import Content
from app.repositories.content_repository import ContentRepository
from app.services.media_lists import MediaLists
from app.services.public_reads import PublicReads
from app.services.validators import content_tag

_TOLD_ONE_BY_ONE: Final = 64
"""A content with more media than this says of everything that it has changed; as the database does."""


@dataclass(frozen=True, slots=True)
class ContentChanges:
    """Fields of an update; None leaves a field as it is."""

    title: str | None = None
    body: str | None = None


@dataclass(frozen=True, slots=True)
class ContentPage:
    items: Sequence[Content]
    total: int


class ContentService:
    def __init__(self, database: Database, reads: PublicReads, lists: MediaLists) -> None:
        self._database = database
        self._reads = reads
        self._lists = lists

    async def create_content(self, *, title: str, body: str, user_id: uuid.UUID) -> Content:
        """A new content without media."""
        async with self._database.transaction() as session:
            content = Content(title=title, body=body, created_by=user_id, media=[])
            ContentRepository(session).add(content)
            await session.flush()
        return content

    async def get_content(self, content_id: uuid.UUID) -> Content:
        """One content with its media. Raises ContentNotFound."""
        async with self._database.read() as session:
            content = await ContentRepository(session).get_with_media(content_id)
        if content is None:
            raise ContentNotFound
        return content

    async def list_contents(self, *, page: int, page_size: int) -> ContentPage:
        """One page, newest first, with all media of the page."""
        async with self._database.read() as session:
            repository = ContentRepository(session)
            items = await repository.page_with_media(offset=(page - 1) * page_size, limit=page_size)
            return ContentPage(items, await repository.count())

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
        """Change title or body. Raises ContentNotFound, PermissionDenied and PreconditionFailed."""
        async with self._database.transaction() as session:
            repository = ContentRepository(session)
            content = await repository.lock(content_id)
            content = await _require(repository, content, user_id, conditions)
            if changes.title is not None:
                content.title = changes.title
            if changes.body is not None:
                content.body = changes.body

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
