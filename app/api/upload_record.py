"""Counts every request that wants to upload, from its bearer token to its outcome; the only place that does."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect, Request

from app.core import metrics
from app.core.errors import InvalidRequest, ServiceError
from app.core.media_types import MediaType


class UploadRecord:
    """What is known so far about one upload: bytes that arrived, and its media type once somebody has found it out."""

    def __init__(self) -> None:
        self.media_type: MediaType | None = None
        self.received_bytes = 0

    def note_type(self, media_type: MediaType) -> None:
        """The form, or the finished media, says what it is."""
        self.media_type = media_type

    async def counted(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks of `body` as they are."""
        async for chunk in body:
            self.received_bytes += len(chunk)
            yield chunk


async def record_upload(request: Request) -> AsyncIterator[None]:
    """Around an upload route and its other dependencies, so that a refused token counts as well."""
    record = request.state.upload_record = UploadRecord()
    outcome = "internal_error"
    try:
        with metrics.upload_in_progress():
            yield
        outcome = "ok"
    except ServiceError as exc:
        outcome = exc.code
        raise
    except RequestValidationError:
        outcome = InvalidRequest.code
        raise
    except (ClientDisconnect, asyncio.CancelledError):
        outcome = "client_disconnected"
        raise
    finally:
        metrics.upload_finished(record.media_type, outcome, record.received_bytes)


CountedUpload = Depends(record_upload, scope="function")
"""Stands in `dependencies=[…]` of a route: those come before the ones of its signature."""


def upload_record(request: Request) -> UploadRecord:
    """The record of the running upload."""
    record = request.state.upload_record
    assert isinstance(record, UploadRecord)
    return record
