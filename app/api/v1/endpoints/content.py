"""The routes of content: parse, call one service, return."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.deps import CurrentUser, ServicesDep
from app.api.json_body import json_request_body, read_json
from app.api.openapi import errors
from app.api.presenters import content_with_media
from app.schemas.content import ContentCreate, ContentList, ContentUpdate, ContentWithMedia
from app.schemas.media import Message
from app.services.content_service import ContentChanges
from app.services.media_service import page_count

router = APIRouter(prefix="/content", tags=["content"])


@router.post(
    "/",
    operation_id="createContent",
    summary="Create a content",
    status_code=201,
    responses=errors(400, 401, 413),
    openapi_extra=json_request_body(ContentCreate),
)
async def create_content(
    request: Request, response: Response, services: ServicesDep, user: CurrentUser
) -> ContentWithMedia:
    """A new content; media are uploaded to it afterwards."""
    wanted = await read_json(request, ContentCreate)
    content = await services.content.create_content(title=wanted.title, body=wanted.body, user_id=user.user_id)
    response.headers["Location"] = f"{request.app.state.api_prefix}/content/{content.id}"
    return content_with_media(content, services.storage)


@router.get("/", operation_id="listContents", summary="List contents", responses=errors(400))
async def list_contents(
    services: ServicesDep,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    page_size: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ContentList:
    """Contents with their media, newest first. Public."""
    found = await services.content.list_contents(page=page, page_size=page_size)
    return ContentList(
        items=[content_with_media(content, services.storage) for content in found.items],
        total=found.total,
        page=page,
        page_size=page_size,
        pages=page_count(found.total, page_size),
    )


@router.get("/{content_id}", operation_id="getContent", summary="Get a content", responses=errors(400, 404))
async def get_content(content_id: uuid.UUID, services: ServicesDep) -> ContentWithMedia:
    """One content with its media, oldest first. Public."""
    return content_with_media(await services.content.get_content(content_id), services.storage)


@router.put(
    "/{content_id}",
    operation_id="updateContent",
    summary="Change a content",
    responses=errors(400, 401, 403, 404, 413),
    openapi_extra=json_request_body(ContentUpdate),
)
async def update_content(
    content_id: uuid.UUID, request: Request, services: ServicesDep, user: CurrentUser
) -> ContentWithMedia:
    """Change title or body; only its creator may. What is not sent stays as it is."""
    await services.content.check_may_change(content_id, user.user_id)
    wanted = await read_json(request, ContentUpdate)
    changes = ContentChanges(title=wanted.title, body=wanted.body)
    content = await services.content.update_content(content_id, changes, user_id=user.user_id)
    return content_with_media(content, services.storage)


@router.delete(
    "/{content_id}", operation_id="deleteContent", summary="Delete a content", responses=errors(400, 401, 403, 404)
)
async def delete_content(content_id: uuid.UUID, services: ServicesDep, user: CurrentUser) -> Message:
    """Delete a content; only its creator may. Its media stay, without a content."""
    await services.content.delete_content(content_id, user_id=user.user_id)
    return Message(message="Content deleted successfully")
