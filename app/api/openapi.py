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
    409: ("Deleted meanwhile; send it again.", "conflict", "The media of this Idempotency-Key was deleted while…"),
    412: ("Not in the state that was demanded.", "precondition_failed", "It is not in the state that the request…"),
    413: ("Over the upload limit or the quota.", "body_too_large", "The request exceeds the upload limit of…"),
    415: ("The body is compressed.", "unsupported_content_encoding", "The request body is encoded as gzip; send it…"),
    416: ("The range lies outside the file.", "range_not_satisfiable", "The requested range lies outside the file of…"),
    422: ("Idempotency-Key used for another upload.", "idempotency_mismatch", "This Idempotency-Key was already used…"),
    429: ("Too many requests.", "too_many_requests", "Too many requests; slow down."),
    500: ("A fault of ours; the log knows it by X-Request-ID.", "internal_error", "Something went wrong on our side."),
    503: ("Full, or a dependency is down; try again.", "service_busy", "The service is at its limit of parallel work…"),
    507: ("The storage is full.", "storage_full", "The storage is full; the file was not kept."),
}


def _header(description: str, example: str | int) -> dict[str, Any]:
    kind = "integer" if isinstance(example, int) else "string"
    return {"description": description, "schema": {"type": kind}, "example": example}


_CONTENT_DIGEST = {
    "description": "SHA-256 of the file as a header of its part (RFC 9530); a mismatch is refused. Members of other "
    "algorithms are ignored.",
    "schema": {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
    "example": "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:",
}
_ERROR_BODY = {"$ref": f"#/components/schemas/{ErrorBody.__name__}"}
_RETRY_AFTER = {"Retry-After": _header("Seconds to wait.", 2)}
_ERROR_HEADERS = {
    415: {"Accept-Encoding": _header("What a request body may be encoded as.", "identity")},
    401: {"WWW-Authenticate": _header("The challenge of RFC 6750.", 'Bearer realm="media", error="invalid_token"')},
    416: {"Content-Range": _header("How long the file is.", "bytes */184320")},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}
_ETAG = {"ETag": _header("Strong validator, for `If-None-Match` and `If-Match`.", '"6f9c1c1e3a54-64a1f0c2b3d40"')}
_LOCATION = {"Location": _header("Path of what was created.", "/api/v1/media/6f9c1c1e-3a54-4a3f-9a0c-2c1d5a7b8e90")}
_LINK = {
    "Link": _header(
        "Where the list goes on, when `limit` left some out (RFC 8288).",
        '</api/v1/content/123e4567-e89b-12d3-a456-426614174000?limit=50&cursor=MTc5…>; rel="next"',
    )
}
_REPLAYED = {
    "Idempotent-Replayed": _header("`true` when this is the answer to an earlier request with the same key.", "true")
}
_FILE_HEADERS = {
    "ETag": _header(
        "Strong validator: the SHA-256 of the file; of a public picture, video or audio its name.",
        '"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"',
    ),
    "Last-Modified": _header("When the file was stored.", "Sun, 22 Nov 2026 12:00:00 GMT"),
    "Cache-Control": _header("A file never changes under its address.", "public, max-age=31536000, immutable"),
}
_BODY_HEADERS = {
    "Content-Disposition": _header("Name and manner (RFC 6266).", 'attachment; filename="mission photo.jpg"'),
    "Accept-Ranges": _header("Parts may be asked for.", "bytes"),
}
_DIGEST = {
    "Repr-Digest": _header(
        "Checksum of the whole file (RFC 9530).", "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:"
    )
}


def errors(*statuses: int) -> Responses:
    """Documented error answers; 500 and 503 belong to every route."""
    found: Responses = {}
    for status in sorted({*statuses, 500, 503}):
        description, code, detail = _SENTENCES[status]
        example = {"detail": detail, "code": code}
        found[status] = {
            # Not as `model`: FastAPI would make ninety validators for answers that it never validates.
            "description": description,
            "content": {"application/json": {"example": example, "schema": _ERROR_BODY}},
            "headers": _ERROR_HEADERS.get(status, {}),
        }
    return found


def created() -> Responses:
    """201 of what has an address of its own."""
    return {201: {"description": "Created.", "headers": _LOCATION | _ETAG}}


def uploaded() -> Responses:
    """201 of an upload, also of one that was answered before."""
    return {201: {"description": "Stored.", "headers": _LOCATION | _ETAG | _REPLAYED}}


def continued() -> Responses:
    """200 of a list of media that may go on."""
    return {200: {"description": "Oldest first.", "headers": _LINK}}


def validated() -> Responses:
    """200 and 304 of a resource with a validator."""
    return {
        200: {"description": "As it is now.", "headers": _ETAG},
        304: {"description": "The client's copy is still good.", "headers": _ETAG},
    }


def changed() -> Responses:
    """200 of an update, with the new validator."""
    return {200: {"description": "As it is now.", "headers": _ETAG}}


def file_answers(*, with_digest: bool) -> Responses:
    """200, 206 and 304 of the routes that hand out bytes; with_digest: of those that always know their checksum."""
    body = _FILE_HEADERS | _BODY_HEADERS | (_DIGEST if with_digest else {})
    content = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    ranged = {"Content-Range": _header("Which part this is; not with several parts.", "bytes 0-1023/184320")}
    return {
        200: {
            "description": "The file, as its own type.",
            "content": content,
            "headers": body,
        },
        206: {
            "description": "The parts asked for with `Range`; several come as `multipart/byteranges`.",
            "content": content,
            "headers": body | ranged,
        },
        304: {"description": "The client's copy is still good.", "headers": _FILE_HEADERS},
    }


_TAG_EXAMPLE = '"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"'
_DATE_EXAMPLE = "Sun, 22 Nov 2026 12:00:00 GMT"
_IF_MATCH = {
    "If-Match": ("`ETag` that it must still have, several, or `*`; otherwise 412 and nothing is done.", _TAG_EXAMPLE),
    "If-Unmodified-Since": (
        "It must not have changed since; ignored beside `If-Match`.",
        "Sun, 22 Nov 2026 12:00:00 GMT",
    ),
}


def conditions_of_reads(*, with_ranges: bool) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads these headers from the request itself."""
    asked = {"If-None-Match": ("The `ETag` of a copy; the same one is a 304.", _TAG_EXAMPLE)} | _IF_MATCH
    if with_ranges:
        asked["If-Modified-Since"] = (
            "When a copy was fetched; 304 if it is still good. Ignored beside `If-None-Match`.",
            _DATE_EXAMPLE,
        )
        asked["Range"] = ("Bytes wanted, one range or several.", "bytes=0-1023")
        asked["If-Range"] = ("`ETag` of the parts at hand: with another file the whole one is sent.", _TAG_EXAMPLE)
    return _header_parameters(asked)


def conditions_of_changes() -> dict[str, Any]:
    """The `openapi_extra` of a route that changes or deletes what has a validator."""
    return _header_parameters(_IF_MATCH)


def _header_parameters(asked: dict[str, tuple[str, str]]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        | {"example": example}
        for name, (text, example) in asked.items()
    ]
    return {"parameters": parameters}


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
    encoding = {"file": {"contentType": "*/*", "headers": {"Content-Digest": _CONTENT_DIGEST}}}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form, "encoding": encoding}}}
    }


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
