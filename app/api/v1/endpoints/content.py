"""The routes of content: parse, call one service, return."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.deps import CurrentUser, ServicesDep
from app.api.json_body import json_request_body, read_json
from app.api.json_stream import content_list_reply, content_reply
from app.api.links import next_link
from app.api.openapi import changed, conditions_of_changes, conditions_of_reads, continued, created, errors, validated
from app.api.parameters import ContentId, MediaCursor, MediaId, MediaLimit, PageSize
from app.api.presenters import content_head
from app.core.http_conditions import conditions_of
from app.core.paging import decode_cursor
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
    responses={**created(), **errors(400, 401, 413, 415)},
    openapi_extra=json_request_body(ContentCreate),
)
async def create_content(request: Request, services: ServicesDep, user: CurrentUser) -> Response:
    """A new content; media are uploaded to it afterwards."""
    wanted = await read_json(request, ContentCreate)
    content = await services.content.create_content(
        title=wanted.title, body=wanted.body, attach=wanted.attach, user_id=user.user_id
    )
    headers = {
        "Location": f"{request.app.state.api_prefix}/content/{content.id}",
        "ETag": new_content_tag(content),
    }
    return Response(content_head(content) + b"]}", 201, headers, media_type="application/json")


@router.get(
    "/", operation_id="listContents", summary="List contents", response_model=ContentList, responses=errors(400)
)
async def list_contents(
    services: ServicesDep,
    page: Annotated[int, Query(ge=1, le=1_000_000, description="From 1.", examples=[1])] = 1,
    page_size: PageSize = 20,
) -> Response:
    """Contents, newest first, each with its first 20 media and how many it has. Public."""
    found = await services.content.list_contents(page=page, page_size=page_size)
    pages = page_count(found.total, page_size)
    tail = {"total": found.total, "page": page, "page_size": page_size, "pages": pages}
    return content_list_reply(found, tail, services.storage)


@router.get(
    "/{content_id}",
    operation_id="getContent",
    summary="Get a content",
    response_model=ContentWithMedia,
    responses={**continued(), **validated(), **errors(400, 404, 412)},
    openapi_extra=conditions_of_reads(with_ranges=False),
)
async def get_content(
    content_id: ContentId, request: Request, services: ServicesDep, limit: MediaLimit = None, cursor: MediaCursor = None
) -> Response:
    """One content with its media, oldest first: all of them, or `limit` after `cursor`. Public."""
    headers = {"ETag": await services.content.etag(content_id), "Cache-Control": "no-cache"}
    conditions = conditions_of(request.scope["headers"])
    # A date knows nothing of the media: it decides nothing here.
    if conditions and conditions.is_not_modified(headers["ETag"], None):
        return Response(status_code=304, headers=headers)
    content, run = await services.content.get_content(
        content_id, limit=limit, cursor=decode_cursor(cursor) if cursor else None
    )
    return content_reply(content, run, services.storage, headers | next_link(request, run.next_cursor))


@router.put(
    "/{content_id}",
    operation_id="updateContent",
    summary="Change a content",
    response_model=ContentWithMedia,
    responses={**changed(), **errors(400, 401, 403, 404, 412, 413, 415)},
    openapi_extra=json_request_body(ContentUpdate) | conditions_of_changes(),
)
async def update_content(content_id: ContentId, request: Request, services: ServicesDep, user: CurrentUser) -> Response:
    """Change title, body or who may upload for it; only its creator may. What is not sent stays as it is."""
    conditions = conditions_of(request.scope["headers"])
    await services.content.check_may_change(content_id, user.user_id, conditions)
    wanted = await read_json(request, ContentUpdate)
    changes = ContentChanges(title=wanted.title, body=wanted.body, attach=wanted.attach)
    await services.content.update_content(content_id, changes, user_id=user.user_id, conditions=conditions)
    headers = {"ETag": await services.content.etag(content_id)}
    content, run = await services.content.get_content(content_id)
    return content_reply(content, run, services.storage, headers)


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


@router.delete(
    "/{content_id}/media/{media_id}",
    operation_id="detachMedia",
    summary="Detach a media from a content",
    responses=errors(400, 401, 403, 404),
)
async def detach_media(content_id: ContentId, media_id: MediaId, services: ServicesDep, user: CurrentUser) -> Message:
    """Take a media away from a content; its creator and the uploader may. The media stays, without a content."""
    await services.content.detach_media(content_id, media_id, user_id=user.user_id)
    return Message(message="Media detached successfully")
