"""ContentService: the small resource that media belong to; only its creator changes it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.database import Database
from app.core.errors import ContentNotFound, PermissionDenied
from app.models import Content
from app.repositories.content_repository import ContentRepository
from app.services.public_reads import PublicReads


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
    def __init__(self, database: Database, reads: PublicReads) -> None:
        self._database = database
        self._reads = reads

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

    async def check_may_change(self, content_id: uuid.UUID, user_id: uuid.UUID) -> None:
        """Raises ContentNotFound or PermissionDenied; asked before the body of an update is read."""
        _require_creator(await self.get_content(content_id), user_id)

    async def update_content(self, content_id: uuid.UUID, changes: ContentChanges, *, user_id: uuid.UUID) -> Content:
        """Change title or body; returns the content with its media. Raises ContentNotFound, PermissionDenied."""
        async with self._database.transaction() as session:
            repository = ContentRepository(session)
            content = await repository.lock(content_id)
            if content is None:
                raise ContentNotFound
            _require_creator(content, user_id)
            if changes.title is not None:
                content.title = changes.title
            if changes.body is not None:
                content.body = changes.body
        return await self.get_content(content_id)

    async def delete_content(self, content_id: uuid.UUID, *, user_id: uuid.UUID) -> None:
        """Delete a content; its media stay, without a content. Raises ContentNotFound, PermissionDenied."""
        try:
            async with self._database.transaction() as session:
                repository = ContentRepository(session)
                content = await repository.lock(content_id)
                if content is None:
                    raise ContentNotFound
                _require_creator(content, user_id)
                await repository.remove(content)
        finally:
            self._reads.many_changed()  # whichever media it had have none now


def _require_creator(content: Content, user_id: uuid.UUID) -> None:
    if content.created_by != user_id:
        raise PermissionDenied("Only its creator may change this content.")
