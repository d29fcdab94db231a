"""The routes of waveforms: peaks as JSON for players, and a ready-made drawing."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app.api.deps import ServicesDep
from app.api.openapi import Responses, errors
from app.api.parameters import MediaId
from app.core.waveforms import Peaks, as_svg, from_bytes, reduced
from app.schemas.waveform import WaveformResponse

router = APIRouter(prefix="/media", tags=["media"])

_CACHED = "public, max-age=86400"
_SVG = {"schema": {"type": "string"}, "example": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 256"/>'}
_DRAWING: Responses = {200: {"description": "The drawing.", "content": {"image/svg+xml": _SVG}}}


async def peaks(
    media_id: MediaId,
    services: ServicesDep,
    points: Annotated[int, Query(ge=1, le=10_000, description="At most so many pairs.", examples=[1_000])] = 1_000,
) -> Peaks:
    """The stored peaks, merged to `points` pairs. Raises MediaNotFound, NotFound."""
    stored = await services.media.get_waveform(media_id)
    whole = from_bytes(stored.data, sample_rate=stored.sample_rate, samples_per_pixel=stored.samples_per_pixel)
    return reduced(whole, points=points)


PeaksDep = Annotated[Peaks, Depends(peaks)]


@router.get("/{media_id}/waveform", operation_id="getWaveform", summary="Get a waveform", responses=errors(400, 404))
async def get_waveform(found: PeaksDep, response: Response) -> WaveformResponse:
    """Peaks of an audio file in the format of BBC audiowaveform, version 2. Public."""
    response.headers["Cache-Control"] = _CACHED
    return WaveformResponse(
        sample_rate=found.sample_rate,
        samples_per_pixel=found.samples_per_pixel,
        length=found.length,
        data=list(found.data),
    )


@router.get(
    "/{media_id}/waveform.svg",
    operation_id="drawWaveform",
    summary="Draw a waveform",
    response_class=Response,
    responses={**_DRAWING, **errors(400, 404)},
)
async def draw_waveform(found: PeaksDep) -> Response:
    """The same as an SVG that fills its box, in the colour of the text around it. Public."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    headers = {"Cache-Control": _CACHED, "Content-Security-Policy": policy}
    return Response(as_svg(found), headers=headers, media_type="image/svg+xml")
