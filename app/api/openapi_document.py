"""The OpenAPI document as a whole: what FastAPI derives from the routes, put right where it does not know better.

FastAPI documents a 422 wherever it validates; ours is a 400 (app/api/errors.py). And every answer carries a request id,
which no route knows of.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from app.schemas.errors import ErrorBody

TAGS: list[dict[str, str]] = [
    {
        "name": "media",
        "description": "Uploaded files and what is known about them. Anybody may read; uploading, listing and changing "
        "need a bearer token, and only the uploader may change or delete.",
    },
    {
        "name": "files",
        "description": "The bytes: downloads under the original name, and the addresses that `url`, `thumbnail_url` "
        "and `poster_url` point at. Ranges, conditional requests and HEAD work as in RFC 9110.",
    },
    {
        "name": "content",
        "description": "The small resource that media belong to. Deleting it keeps the media, without a content.",
    },
    {
        "name": "operations",
        "description": "For load balancers and monitoring: health, readiness and metrics. Not under `/api/v1`.",
    },
]

_ERRORS_PATH = "/errors"
_FASTAPI_ERRORS = ("HTTPValidationError", "ValidationError")
_FASTAPI_ERROR_REF = "#/components/schemas/HTTPValidationError"
_METHODS = ("get", "put", "post", "delete", "head", "patch", "options", "trace")
_REQUEST_ID = {
    "description": "Id of this request in the log: the one it was sent with, if that is 1 to 64 of `A-Za-z0-9._-`.",
    "schema": {"type": "string"},
    "example": "0b8f5c2e9d1a4f6b8c3e7a5d2f1b9c04",
}


def use_own_document(app: FastAPI) -> None:
    """Let `app.openapi()`, `/openapi.json` and the pages show the corrected document; it is made once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _corrected(_derived(app))
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI documents


def _derived(app: FastAPI) -> dict[str, Any]:
    # The error answers of the routes only name their schema; this route, which nobody can call, brings it in.
    errors = APIRoute(_ERRORS_PATH, _no_answer, response_model=ErrorBody)
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        license_info=app.license_info,
        tags=app.openapi_tags,
        routes=[*app.routes, errors],
    )
    del document["paths"][_ERRORS_PATH]
    return document


def _no_answer() -> None:
    """The endpoint of a route that is never served."""


def _corrected(document: dict[str, Any]) -> dict[str, Any]:
    for operation in _operations(document):
        responses = operation["responses"]
        if _is_fastapis(responses.get("422")):
            del responses["422"]
        operation["responses"] = dict(sorted(responses.items()))
        for response in responses.values():
            response.setdefault("headers", {})["X-Request-ID"] = {"$ref": "#/components/headers/X-Request-ID"}
    components = document["components"]
    for name in _FASTAPI_ERRORS:
        components["schemas"].pop(name, None)
    components["headers"] = {"X-Request-ID": _REQUEST_ID}
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from (path[method] for method in _METHODS if method in path)


def _is_fastapis(response: dict[str, Any] | None) -> bool:
    schema = (response or {}).get("content", {}).get("application/json", {}).get("schema", {})
    return bool(schema.get("$ref") == _FASTAPI_ERROR_REF)
