"""The routes of media: parse, call one service, return."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.content_encoding import refuse_content_encoding
from app.api.deps import CurrentUser, IdempotencyKeyHeader, Services, ServicesDep, Uploader
from app.api.json_body import json_request_body, read_json
from app.api.json_stream import media_list_reply
from app.api.links import next_link
from app.api.openapi import (
    changed,
    conditions_of_changes,
    conditions_of_reads,
    continued,
    errors,
    upload_form,
    uploaded,
    validated,
)
from app.api.parameters import (
    ContentFilter,
    ContentId,
    MediaCursor,
    MediaId,
    MediaLimit,
    MediaTypeFilter,
    PageSize,
    UploaderFilter,
)
from app.api.presenters import JsonReply, media_document, page_document
from app.api.upload_record import CountedUpload, upload_record
from app.core.errors import InvalidField, InvalidRequest
from app.core.filenames import clean_name
from app.core.http_conditions import conditions_of
from app.core.media_types import MediaType
from app.core.paging import decode_cursor
from app.core.uploads.body_room import body_room
from app.repositories.media_list_reader import MediaFilter
from app.schemas.media import EXAMPLE_CURSOR, MediaList, MediaResponse, MediaUpdate, Message
from app.services.media_lists import CountMode
from app.services.media_service import MediaChanges
from app.services.upload_saga import UploadRequest
from app.services.validators import media_tag

router = APIRouter(prefix="/media", tags=["media"])

_UPLOAD_ANSWERS = {**uploaded(), **errors(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 507)}


@router.post(
    "/upload",
    operation_id="uploadMedia",
    summary="Upload a file",
    status_code=201,
    response_model=MediaResponse,
    dependencies=[CountedUpload],
    responses=_UPLOAD_ANSWERS,
    openapi_extra=upload_form(with_content_id=True),
)
async def upload(request: Request, services: ServicesDep, user: Uploader, key: IdempotencyKeyHeader) -> Response:
    """Check, process and store one file. The form fields may come in any order.

    Images are turned upright, fitted into 2048x2048 and freed of metadata; documents, audio and video are kept byte for
    byte. An `Idempotency-Key` makes it safe to send the same upload again.
    """
    return await _upload(request, services, user.user_id, key, content_id=None)


@router.post(
    "/content/{content_id}/upload",
    operation_id="uploadMediaForContent",
    summary="Upload a file for a content",
    status_code=201,
    response_model=MediaResponse,
    dependencies=[CountedUpload],
    responses=_UPLOAD_ANSWERS,
    openapi_extra=upload_form(with_content_id=False),
)
async def upload_for_content(
    content_id: ContentId, request: Request, services: ServicesDep, user: Uploader, key: IdempotencyKeyHeader
) -> Response:
    """Like uploading a file, and the media belongs to the content, which must exist."""
    return await _upload(request, services, user.user_id, key, content_id=content_id)


@router.get(
    "/content/{content_id}/media",
    operation_id="listMediaOfContent",
    summary="List the media of a content",
    response_model=list[MediaResponse],
    responses={**continued(), **errors(400, 404)},
)
async def media_of_content(  # noqa: PLR0917 - FastAPI reads the query from the signature
    content_id: ContentId,
    request: Request,
    services: ServicesDep,
    media_type: MediaTypeFilter = None,
    limit: MediaLimit = None,
    cursor: MediaCursor = None,
) -> Response:
    """The media of one content, oldest first: all of them, or `limit` after `cursor`."""
    run = await services.media.get_media_for_content(
        content_id, media_type, limit=limit, cursor=decode_cursor(cursor) if cursor else None
    )
    return media_list_reply(run, services.storage, next_link(request, run.next_cursor))


@router.get(
    "/",
    operation_id="listMedia",
    summary="List media",
    response_model=MediaList,
    responses=errors(400, 401),
)
async def list_media(  # noqa: PLR0917 - FastAPI reads the query from the signature
    services: ServicesDep,
    _: CurrentUser,
    media_type: MediaTypeFilter = None,
    uploaded_by: UploaderFilter = None,
    content_id: ContentFilter = None,
    page: Annotated[int, Query(ge=1, le=2**31 - 1, description="From 1; ignored with `cursor`.", examples=[1])] = 1,
    page_size: PageSize = 20,
    cursor: Annotated[
        str | None,
        Query(description="`next_cursor` of the page before; any depth costs the same.", examples=[EXAMPLE_CURSOR]),
    ] = None,
    count: Annotated[
        CountMode | None,
        Query(description="How `total` is found; unset: exact up to 10,000, then an estimate.", examples=["none"]),
    ] = None,
) -> JsonReply:
    """Media of everybody, newest first, page by page."""
    found = await services.media.list_media(
        MediaFilter(media_type, uploaded_by, content_id),
        page=page,
        page_size=page_size,
        cursor=decode_cursor(cursor) if cursor else None,
        count=count,
    )
    return JsonReply(page_document(found, page=page, page_size=page_size))


@router.get(
    "/{media_id}",
    operation_id="getMedia",
    summary="Get a media",
    response_model=MediaResponse,
    responses={**validated(), **errors(400, 404, 412)},
    openapi_extra=conditions_of_reads(with_ranges=False),
)
async def get_media(media_id: MediaId, request: Request, services: ServicesDep) -> Response:
    """What is known about one media. Public."""
    media = await services.media.get_media(media_id)
    headers = {"ETag": media_tag(media), "Cache-Control": "no-cache"}
    conditions = conditions_of(request.scope["headers"])
    if conditions and conditions.is_not_modified(headers["ETag"], media.updated_at, by_date=False):
        return Response(status_code=304, headers=headers)
    return JsonReply(media_document(media, services.storage), headers=headers)


@router.put(
    "/{media_id}",
    operation_id="updateMedia",
    summary="Change a media",
    response_model=MediaResponse,
    responses={**changed(), **errors(400, 401, 403, 404, 412, 413, 415)},
    openapi_extra=json_request_body(MediaUpdate) | conditions_of_changes(),
)
async def update_media(media_id: MediaId, request: Request, services: ServicesDep, user: CurrentUser) -> Response:
    """Rename a media or replace its metadata; only its uploader may. What is not sent stays as it is."""
    conditions = conditions_of(request.scope["headers"])
    await services.media.check_may_change(media_id, user.user_id, conditions)
    wanted = await read_json(request, MediaUpdate)
    filename = None if wanted.filename is None else clean_name(wanted.filename)
    if filename == "":
        raise InvalidField("filename", "has no letter that can be shown.")
    changes = MediaChanges(filename=filename, metadata=wanted.metadata)
    media = await services.media.update_media(media_id, changes, user_id=user.user_id, conditions=conditions)
    return JsonReply(media_document(media, services.storage), headers={"ETag": media_tag(media)})


@router.delete(
    "/{media_id}",
    operation_id="deleteMedia",
    summary="Delete a media",
    responses=errors(400, 401, 403, 404, 412),
    openapi_extra=conditions_of_changes(),
)
async def delete_media(media_id: MediaId, request: Request, services: ServicesDep, user: CurrentUser) -> Message:
    """Delete a media, its file and its pictures; only its uploader may."""
    conditions = conditions_of(request.scope["headers"])
    await services.media.delete_media(media_id, user_id=user.user_id, conditions=conditions)
    return Message(message="Media deleted successfully")


async def _upload(
    request: Request,
    services: Services,
    user_id: uuid.UUID,
    idempotency_key: str | None,
    *,
    content_id: uuid.UUID | None,
) -> Response:
    """Both upload routes go this one way, so that no check can be missing on one of them."""
    record = upload_record(request)
    refuse_content_encoding(request)
    outcome = await services.media.upload_media(
        UploadRequest(
            user_id=user_id,
            content_type=request.headers.get("content-type"),
            content_length=_content_length(request),
            body=record.counted(request.stream()),
            body_room=body_room(request.scope),
            content_id=content_id,
            idempotency_key=idempotency_key,
            on_media_type=record.note_type,
        )
    )
    record.note_type(MediaType(outcome.media.media_type))
    headers = {
        "Location": f"{request.app.state.api_prefix}/media/{outcome.media.id}",
        "ETag": media_tag(outcome.media),
    }
    if outcome.is_replay:
        headers["Idempotent-Replayed"] = "true"
    return JsonReply(media_document(outcome.media, services.storage), 201, headers)


def _content_length(request: Request) -> int | None:
    raw = request.headers.get("content-length")
    if raw is None:
        return None
    if not raw.isascii() or not raw.isdigit():
        raise InvalidRequest("Content-Length is not a number.")
    return int(raw[:20])
