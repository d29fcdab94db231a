"""The routes of content: parse, call one service, return."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.api.deps import CurrentUser, ServicesDep
from app.api.json_body import json_request_body, read_json
from app.api.openapi import created, errors
from app.api.parameters import ContentId, PageSize
from app.api.presenters import JsonReply, content_document
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
    response_model=ContentWithMedia,
    responses={**created(), **errors(400, 401, 413)},
    openapi_extra=json_request_body(ContentCreate),
)
async def create_content(request: Request, services: ServicesDep, user: CurrentUser) -> JsonReply:
    """A new content; media are uploaded to it afterwards."""
    wanted = await read_json(request, ContentCreate)
    content = await services.content.create_content(title=wanted.title, body=wanted.body, user_id=user.user_id)
    headers = {"Location": f"{request.app.state.api_prefix}/content/{content.id}"}
    return JsonReply(content_document(content, services.storage), 201, headers)


@router.get(
    "/", operation_id="listContents", summary="List contents", response_model=ContentList, responses=errors(400)
)
async def list_contents(
    services: ServicesDep,
    page: Annotated[int, Query(ge=1, le=1_000_000, description="From 1.", examples=[1])] = 1,
    page_size: PageSize = 20,
) -> JsonReply:
    """Contents with their media, newest first. Public."""
    found = await services.content.list_contents(page=page, page_size=page_size)
    return JsonReply(
        {
            "items": [content_document(content, services.storage) for content in found.items],
            "total": found.total,
            "page": page,
            "page_size": page_size,
            "pages": page_count(found.total, page_size),
        }
    )


@router.get(
    "/{content_id}",
    operation_id="getContent",
    summary="Get a content",
    response_model=ContentWithMedia,
    responses=errors(400, 404),
)
async def get_content(content_id: ContentId, services: ServicesDep) -> JsonReply:
    """One content with its media, oldest first. Public."""
    return JsonReply(content_document(await services.content.get_content(content_id), services.storage))


@router.put(
    "/{content_id}",
    operation_id="updateContent",
    summary="Change a content",
    response_model=ContentWithMedia,
    responses=errors(400, 401, 403, 404, 413),
    openapi_extra=json_request_body(ContentUpdate),
)
async def update_content(
    content_id: ContentId, request: Request, services: ServicesDep, user: CurrentUser
) -> JsonReply:
    """Change title or body; only its creator may. What is not sent stays as it is."""
    await services.content.check_may_change(content_id, user.user_id)
    wanted = await read_json(request, ContentUpdate)
    changes = ContentChanges(title=wanted.title, body=wanted.body)
    content = await services.content.update_content(content_id, changes, user_id=user.user_id)
    return JsonReply(content_document(content, services.storage))


@router.delete(
    "/{content_id}", operation_id="deleteContent", summary="Delete a content", responses=errors(400, 401, 403, 404)
)
async def delete_content(content_id: ContentId, services: ServicesDep, user: CurrentUser) -> Message:
    """Delete a content; only its creator may. Its media stay, without a content."""
    await services.content.delete_content(content_id, user_id=user.user_id)
    return Message(message="Content deleted successfully")
