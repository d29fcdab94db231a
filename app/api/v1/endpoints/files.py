"""The routes that hand out bytes: downloads by id, and the public files that `url` and `thumbnail_url` point at."""

from fastapi import APIRouter, Request, Response

from app.api.deps import ServicesDep
from app.api.downloads import IMMUTABLE, REVALIDATE, Delivery, file_response
from app.api.openapi import conditions_of_reads, errors, file_answers
from app.api.parameters import FileKey, MediaId
from app.api.paths import require_plain_path

router = APIRouter(prefix="/media", tags=["files"])

_ERRORS = errors(400, 404, 412, 416)
_ASKED = conditions_of_reads(with_ranges=True)


@router.get(
    "/files/{key:path}",
    operation_id="getFile",
    summary="Show a file",
    response_class=Response,
    responses={**file_answers(with_digest=False), **_ERRORS},
    openapi_extra=_ASKED,
)
async def get_file(key: FileKey, request: Request, services: ServicesDep) -> Response:
    """The file behind `url`, `thumbnail_url` or `poster_url`. It never changes, so it may be cached for ever."""
    require_plain_path(request)
    file = await services.media.find_stored_file(key)
    delivery = Delivery("inline", IMMUTABLE, services.settings.ACCEL_REDIRECT_PREFIX)
    return await file_response(request, file, services.storage, delivery)


@router.get(
    "/{media_id}/download",
    operation_id="downloadMedia",
    summary="Download a file",
    response_class=Response,
    responses={**file_answers(with_digest=True), **_ERRORS},
    openapi_extra=_ASKED,
)
async def download_media(media_id: MediaId, request: Request, services: ServicesDep) -> Response:
    """The file of a media under its own name, as an attachment; `Range` asks for parts of it."""
    file = await services.media.get_stored_file(media_id)
    delivery = Delivery("attachment", REVALIDATE, services.settings.ACCEL_REDIRECT_PREFIX)
    return await file_response(request, file, services.storage, delivery)
