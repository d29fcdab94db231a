"""The routes of content: parse, call one service, return."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.deps import CurrentUser, ServicesDep
from app.api.json_body import json_request_body, read_json
from app.api.openapi import changed, conditions_of_changes, conditions_of_reads, created, errors, validated
from app.api.parameters import ContentId, PageSize
from app.api.presenters import JsonReply, content_document
from app.core.http_conditions import conditions_of
from app.schemas.content import ContentCreate, ContentList, ContentUpdate, ContentWithMedia
from app.schemas.media import Message
from app.services.content_service import ContentChanges
from app.services.media_service import page_count
from app.services.validators import new_content_tag

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
    headers = {
        "Location": f"{request.app.state.api_prefix}/content/{content.id}",
        "ETag": new_content_tag(content),
    }
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
    responses={**validated(), **errors(400, 404, 412)},
    openapi_extra=conditions_of_reads(with_ranges=False),
)
async def get_content(content_id: ContentId, request: Request, services: ServicesDep) -> Response:
    """One content with its media, oldest first. Public."""
    headers = {"ETag": await services.content.etag(content_id), "Cache-Control": "no-cache"}
    conditions = conditions_of(request.scope["headers"])
    # A date knows nothing of the media: it decides nothing here.
    if conditions and conditions.is_not_modified(headers["ETag"], None):
        return Response(status_code=304, headers=headers)
    content = await services.content.get_content(content_id)
    return JsonReply(content_document(content, services.storage), headers=headers)


@router.put(
    "/{content_id}",
    operation_id="updateContent",
    summary="Change a content",
    response_model=ContentWithMedia,
    responses={**changed(), **errors(400, 401, 403, 404, 412, 413)},
    openapi_extra=json_request_body(ContentUpdate) | conditions_of_changes(),
)
async def update_content(
    content_id: ContentId, request: Request, services: ServicesDep, user: CurrentUser
) -> JsonReply:
    """Change title or body; only its creator may. What is not sent stays as it is."""
    conditions = conditions_of(request.scope["headers"])
    await services.content.check_may_change(content_id, user.user_id, conditions)
    wanted = await read_json(request, ContentUpdate)
    changes = ContentChanges(title=wanted.title, body=wanted.body)
    await services.content.update_content(content_id, changes, user_id=user.user_id, conditions=conditions)
    headers = {"ETag": await services.content.etag(content_id)}
    content = await services.content.get_content(content_id)
    return JsonReply(content_document(content, services.storage), headers=headers)


@router.delete(
    "/{content_id}",
    operation_id="deleteContent",
    summary="Delete a content",
    responses=errors(400, 401, 403, 404, 412),
    openapi_extra=conditions_of_changes(),
)
async def delete_content(content_id: ContentId, request: Request, services: ServicesDep, user: CurrentUser) -> Message:
    """Delete a content; only its creator may. Its media stay, without a content."""
    conditions = conditions_of(request.scope["headers"])
    await services.content.delete_content(content_id, user_id=user.user_id, conditions=conditions)
    return Message(message="Content deleted successfully")
