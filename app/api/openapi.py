"""Pieces of the OpenAPI document that several routes share: error answers, file answers, the upload form."""

from typing import Any

from app.schemas.errors import ErrorBody
from app.schemas.media import MediaCreate

Responses = dict[int | str, dict[str, Any]]

_SENTENCES = {
    400: ("The request or the file is not acceptable.", "file_type_mismatch", "The content is a PDF document, but…"),
    401: ("No valid bearer token.", "unauthenticated", "A valid bearer token is required."),
    403: ("Somebody else's.", "permission_denied", "Only the uploader may change this media."),
    404: ("Not there.", "media_not_found", "Media not found."),
    408: ("The body arrived too slowly.", "request_timeout", "The request body arrived too slowly."),
    413: ("Over the upload limit or the quota.", "body_too_large", "The request exceeds the upload limit of…"),
    416: ("The range lies outside the file.", "range_not_satisfiable", "The requested range lies outside the file of…"),
    422: ("Idempotency-Key used for another upload.", "idempotency_mismatch", "This Idempotency-Key was already used…"),
    429: ("Too many requests.", "too_many_requests", "Too many requests; slow down."),
    500: ("A fault of ours; the log knows it by X-Request-ID.", "internal_error", "Something went wrong on our side."),
    503: ("Full, or a dependency is down; try again.", "service_busy", "The service is at its limit of parallel work…"),
    507: ("The storage is full.", "storage_full", "The storage is full; the file was not kept."),
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
_CHALLENGE = {"WWW-Authenticate": {"description": "`Bearer` challenge.", "schema": {"type": "string"}}}
_HEADERS = {401: _CHALLENGE, 429: _RETRY_AFTER, 503: _RETRY_AFTER}


def errors(*statuses: int) -> Responses:
    """Documented error answers; 500 and 503 belong to every route."""
    found: Responses = {}
    for status in sorted({*statuses, 500, 503}):
        description, code, detail = _SENTENCES[status]
        example = {"detail": detail, "code": code}
        found[status] = {
            "model": ErrorBody,
            "description": description,
            "content": {"application/json": {"example": example}},
            "headers": _HEADERS.get(status, {}),
        }
    return found


def file_answers() -> Responses:
    """200, 206 and 304 of the routes that hand out bytes."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    headers = {
        "ETag": {"description": "Strong validator.", "schema": {"type": "string"}},
        "Accept-Ranges": {"description": "`bytes`", "schema": {"type": "string"}},
        "Repr-Digest": {"description": "`sha-256=:…:` of the file (RFC 9530).", "schema": {"type": "string"}},
    }
    return {
        200: {"description": "The file.", "content": {"application/octet-stream": binary}, "headers": headers},
        206: {"description": "The parts asked for with `Range`.", "content": {"application/octet-stream": binary}},
        304: {"description": "The client's copy is still good."},
    }


def upload_form(*, with_content_id: bool) -> dict[str, Any]:
    """The `openapi_extra` of an upload: the endpoint reads the stream itself, so FastAPI cannot know the form."""
    schema = MediaCreate.model_json_schema(ref_template="#/components/schemas/{model}")
    properties = {
        "file": {"type": "string", "format": "binary", "description": "The file, with its name."},
        **{name: _inlined(field, schema) for name, field in schema["properties"].items()},
    }
    if not with_content_id:
        del properties["content_id"]
    form = {"type": "object", "required": ["file", "media_type"], "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}}}


def _inlined(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A field without references and without the `null` that a form cannot send, so that Swagger UI draws an input."""
    field = dict(field)
    if "$ref" in field:
        definition = schema["$defs"][field.pop("$ref").rpartition("/")[2]]
        field = {"type": definition["type"], "enum": definition["enum"]} | field
    if "anyOf" in field:
        (kind,) = [option for option in field.pop("anyOf") if option != {"type": "null"}]
        # Swagger UI fills in what it makes up from the schema, and sends it; an empty field is not sent.
        field = kind | {name: value for name, value in field.items() if name != "default"} | {"example": ""}
    return field
