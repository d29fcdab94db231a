"""Parameters that several routes share, as the document shows them: path ids, pages, filters."""

import uuid
from typing import Annotated

from fastapi import Path, Query

from app.core.media_types import MediaType
from app.schemas.media import EXAMPLE_CURSOR
from app.services.content_media import MAX_LIMIT

_MEDIA_ID = "6f9c1c1e-3a54-4a3f-9a0c-2c1d5a7b8e90"
_CONTENT_ID = "123e4567-e89b-12d3-a456-426614174000"
_USER_ID = "11111111-1111-4111-8111-111111111111"

MediaId = Annotated[uuid.UUID, Path(description="`id` of a media.", examples=[_MEDIA_ID])]
ContentId = Annotated[uuid.UUID, Path(description="`id` of a content.", examples=[_CONTENT_ID])]
FileKey = Annotated[
    str, Path(description="What follows `/files/` in a `url`.", examples=["2026/11/mission_photo_a1b2c3d4e5f6.jpg"])
]

MediaTypeFilter = Annotated[MediaType | None, Query(description="Only this type.", examples=["image"])]
UploaderFilter = Annotated[uuid.UUID | None, Query(description="Only what this user uploaded.", examples=[_USER_ID])]
ContentFilter = Annotated[uuid.UUID | None, Query(description="Only what belongs to this.", examples=[_CONTENT_ID])]
MediaLimit = Annotated[
    int | None, Query(ge=1, le=MAX_LIMIT, description="At most so many media; unset: all of them.", examples=[50])
]
MediaCursor = Annotated[
    str | None,
    Query(description="Go on behind the media of the page before: follow its `Link`.", examples=[EXAMPLE_CURSOR]),
]
PageSize = Annotated[int, Query(ge=1, le=100, description="Items per page.", examples=[20])]
