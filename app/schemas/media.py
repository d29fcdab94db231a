"""What clients send and get for a media. Columns that clients must not see or set are simply not here."""

import uuid
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.core.media_types import MediaType
from app.schemas.fields import JsonObject, Metadata, ShortText, Timestamp

EXAMPLE: JsonDict = {
    "id": "6f9c1c1e-3a54-4a3f-9a0c-2c1d5a7b8e90",
    "content_id": None,
    "media_type": "image",
    "filename": "mission photo.jpg",
    "url": "http://localhost:8002/api/v1/media/files/2026/11/mission_photo_a1b2c3d4e5f6.jpg",
    "thumbnail_url": "http://localhost:8002/api/v1/media/files/2026/11/mission_photo_a1b2c3d4e5f6_thumb.jpg",
    "poster_url": None,
    "file_size": 184320,
    "mime_type": "image/jpeg",
    "width": 2048,
    "height": 1536,
    "duration": None,
    "metadata": {"location": "Uganda", "photographer": "John Doe"},
    "properties": {"format": "JPEG", "mode": "RGB", "original_width": 4032, "original_height": 3024},
    "checksum_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "uploaded_by": "123e4567-e89b-12d3-a456-426614174000",
    "created_at": "2026-11-22T12:00:00Z",
    "updated_at": "2026-11-22T12:00:00Z",
}


EXAMPLE_CURSOR = "MTc5NTM0ODgwMDAwMDAwMDo2ZjljMWMxZTNhNTQ0YTNm"


class MediaCreate(BaseModel):
    """The form of an upload besides its file; sent as multipart/form-data."""

    media_type: MediaType = Field(description="What the file is said to be; its content has to agree.")
    content_id: uuid.UUID | None = Field(None, description="Content to associate the media with.")
    metadata: str | None = Field(None, description="A JSON object, at most 64 KiB.")
    checksum_sha256: str | None = Field(
        None, pattern="^[0-9a-fA-F]{64}$", description="SHA-256 of the file in hex; a mismatch is refused."
    )


class MediaUpdate(BaseModel):
    """Fields to change; a field that is not sent stays. `metadata` is replaced whole."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "example": {
                "filename": "new-filename.jpg",
                "metadata": {"location": "Uganda", "photographer": "John Doe"},
            }
        },
    )

    filename: ShortText | None = Field(None, description="Name for downloads; the type of the file stays what it is.")
    metadata: Metadata | None = Field(None, description="A JSON object, at most 64 KiB and 32 levels deep.")


class MediaResponse(BaseModel):
    """A media as clients see it."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    id: uuid.UUID
    content_id: uuid.UUID | None = Field(description="The content it belongs to, if any.")
    media_type: MediaType
    filename: str = Field(description="Name for downloads.")
    url: str = Field(description="Public address of the file; it never changes and may be cached for ever.")
    thumbnail_url: str | None = Field(description="A picture within 300x300 pixels, where the file has one.")
    poster_url: str | None = Field(None, description="A larger picture of a video or document, where there is one.")
    file_size: int | None = Field(description="Bytes of the stored file.")
    mime_type: str | None = Field(description="Type of the stored file, found from its content.")
    width: int | None = Field(description="Pixels as displayed; images and videos.")
    height: int | None = Field(description="Pixels as displayed; images and videos.")
    duration: int | None = Field(description="Whole seconds; audio and video.")
    metadata: JsonObject = Field(description="What the uploader sent.")
    properties: JsonObject = Field(description="What was read out of the file.")
    checksum_sha256: str | None = Field(description="SHA-256 of the stored file, hex.")
    uploaded_by: uuid.UUID
    created_at: Timestamp
    updated_at: Timestamp


class MediaList(BaseModel):
    """One page of media, newest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [EXAMPLE],
                "total": 1,
                "total_is_estimate": False,
                "page": 1,
                "page_size": 20,
                "pages": 1,
                "next_cursor": None,
            }
        }
    )

    items: list[MediaResponse]
    total: Annotated[int | None, Field(description="Media that match; absent with `count=none`.")]
    total_is_estimate: bool = Field(False, description="Whether `total` is the planner's estimate.")
    page: int
    page_size: int
    pages: int | None = Field(description="Pages of this size; follows `total`.")
    next_cursor: str | None = Field(description="Send as `cursor` for what follows; null at the end.")


class Message(BaseModel):
    """A confirmation."""

    model_config = ConfigDict(json_schema_extra={"example": {"message": "Media deleted successfully"}})

    message: str = Field(examples=["Media deleted successfully"])
