"""JSON from clients that PostgreSQL can keep and every client can read back: bounded, no NUL, no lone surrogate.

RFC 8259 allows what JSONB does not (`\\u0000` is error 22P05) and what most readers trip over (NaN, 5000 levels).
"""

import orjson

from app.core.errors import InvalidField
from app.core.processing.contract import JsonObject, JsonValue

MAX_METADATA_BYTES = 64 * 1024
MAX_DEPTH = 32


def parse_object(raw: str | bytes, *, field: str) -> JsonObject:
    """`raw` as a JSON object of at most 64 KiB and 32 levels. Raises InvalidField with one sentence."""
    if len(raw) > MAX_METADATA_BYTES:
        raise InvalidField(field, f"may have at most {MAX_METADATA_BYTES} bytes.")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise InvalidField(field, "is not valid JSON.") from exc
    if not isinstance(value, dict):
        raise InvalidField(field, "must be a JSON object.")
    return checked_object(value, field=field)


def checked_object(value: JsonObject, *, field: str) -> JsonObject:
    """`value` when it can be kept. Raises InvalidField with one sentence."""
    _check(value, field=field, depth=1)
    if len(orjson.dumps(value)) > MAX_METADATA_BYTES:
        raise InvalidField(field, f"may have at most {MAX_METADATA_BYTES} bytes.")
    return value


def is_storable_text(text: str) -> bool:
    """Whether PostgreSQL can keep `text`: it holds neither NUL nor lone surrogates."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _check(value: JsonValue, *, field: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidField(field, f"is nested deeper than {MAX_DEPTH} levels.")
    match value:
        case str():
            if not is_storable_text(value):
                raise InvalidField(field, "contains a character that cannot be stored (NUL or a lone surrogate).")
        case dict():
            for key, member in value.items():
                _check(key, field=field, depth=depth)
                _check(member, field=field, depth=depth + 1)
        case list():
            for member in value:
                _check(member, field=field, depth=depth + 1)
        case _:
            return
