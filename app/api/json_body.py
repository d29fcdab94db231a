"""Reads a JSON body after the permission checks, bounded and strict; FastAPI would read it before any dependency."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from app.api.content_encoding import refuse_content_encoding
from app.core.errors import BodyTooLarge, InvalidRequest
from app.core.json_safety import AT_ONCE_BYTES, InvalidJson, read

MAX_JSON_BYTES = 1024 * 1024

# Ours have a dozen fields and 64 KiB of metadata. The fast reader lets nobody else run, and half a million values are
# what it needs 100 ms for.
_MAX_VALUES: Final = 100_000
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)

# One large body at a time: threads take the interpreter from the event loop in turns, and many would take most of them.
_reader: Final = ThreadPoolExecutor(1, thread_name_prefix="json")

Model = TypeVar("Model", bound=BaseModel)


async def read_json(request: Request, model: type[Model]) -> Model:
    """The body as `model`.

    Raises BodyTooLarge over 1 MiB, UnsupportedContentEncoding, InvalidRequest or RequestValidationError.
    """
    refuse_content_encoding(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise BodyTooLarge(limit_bytes=MAX_JSON_BYTES)
    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise InvalidRequest("Send the body as application/json.")
    if len(body) > AT_ONCE_BYTES:
        return await asyncio.get_running_loop().run_in_executor(_reader, _read, bytes(body), model)
    return _read(bytes(body), model)


def _read(body: bytes, model: type[Model]) -> Model:
    if body.count(b",") > _MAX_VALUES and _STRING.sub(b"", body).count(b",") > _MAX_VALUES:
        raise InvalidRequest(f"The body has more than {_MAX_VALUES} values.")
    try:
        value = read(body)
    except InvalidJson as exc:
        raise InvalidRequest("The body is not valid JSON.") from exc
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        raise RequestValidationError(exc.errors(include_url=False, include_context=False)) from exc


def json_request_body(model: type[BaseModel]) -> dict[str, object]:
    """The `openapi_extra` of a route that reads its body with `read_json`."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
