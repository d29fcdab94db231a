"""What clients send and get for a content."""

import uuid

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.fields import ShortText, StorableText, Timestamp
from app.schemas.media import MediaResponse

MAX_BODY_CHARS = 200_000


class ContentCreate(BaseModel):
    """A new content."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": {"title": "Mission report", "body": "…"}})

    title: ShortText
    body: StorableText = Field("", max_length=MAX_BODY_CHARS)


class ContentUpdate(BaseModel):
    """Fields to change; a field that is not sent stays."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": {"title": "Mission report, final"}})

    title: ShortText | None = None
    body: StorableText | None = Field(None, max_length=MAX_BODY_CHARS)


class ContentResponse(BaseModel):
    """A content without its media."""

    id: uuid.UUID
    title: str
    body: str
    created_by: uuid.UUID
    created_at: Timestamp
    updated_at: Timestamp


class ContentWithMedia(ContentResponse):
    """A content and its media, oldest first."""

    media: list[MediaResponse]


class ContentList(BaseModel):
    """One page of contents with their media, newest first."""

    items: list[ContentWithMedia]
    total: int
    page: int
    page_size: int
    pages: int
