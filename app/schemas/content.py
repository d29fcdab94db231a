"""What clients send and get for a content."""

import uuid

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.core.attach import Attach
from app.schemas.fields import ShortText, StorableText, Timestamp
from app.schemas.media import EXAMPLE as MEDIA_EXAMPLE
from app.schemas.media import MediaResponse

MAX_BODY_CHARS = 200_000

_EXAMPLE: JsonDict = {
    "id": "123e4567-e89b-12d3-a456-426614174000",
    "title": "Mission report",
    "body": "What we saw in Uganda.",
    "attach": "anyone",
    "created_by": "11111111-1111-4111-8111-111111111111",
    "created_at": "2026-11-22T12:00:00Z",
    "updated_at": "2026-11-22T12:00:00Z",
    "media": [{**MEDIA_EXAMPLE, "content_id": "123e4567-e89b-12d3-a456-426614174000"}],
}
_LISTED: JsonDict = {**_EXAMPLE, "media_total": 1}


class ContentCreate(BaseModel):
    """A new content."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": {"title": "Mission report", "body": "…"}})

    title: ShortText
    body: StorableText = Field("", max_length=MAX_BODY_CHARS)
    attach: Attach = Field(Attach.ANYONE, description="Who may upload for it: anyone who is signed in, or its creator.")


class ContentUpdate(BaseModel):
    """Fields to change; a field that is not sent stays."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": {"title": "Mission report, final"}})

    title: ShortText | None = None
    body: StorableText | None = Field(None, max_length=MAX_BODY_CHARS)
    attach: Attach | None = Field(None, description="Who may upload for it from now on.")


class ContentResponse(BaseModel):
    """A content without its media."""

    id: uuid.UUID
    title: str
    body: str
    attach: Attach = Field(description="Who may upload for it.")
    created_by: uuid.UUID
    created_at: Timestamp
    updated_at: Timestamp


class ContentWithMedia(ContentResponse):
    """A content and its media, oldest first."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    media: list[MediaResponse]


class ListedContent(ContentWithMedia):
    """A content with its first 20 media, oldest first."""

    model_config = ConfigDict(json_schema_extra={"example": _LISTED})

    media_total: int = Field(description="How many media it has; ask for the content to get them all.")


class ContentList(BaseModel):
    """One page of contents with their first media, newest first."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"items": [_LISTED], "total": 1, "page": 1, "page_size": 20, "pages": 1}}
    )

    items: list[ListedContent]
    total: int
    page: int
    page_size: int
    pages: int
