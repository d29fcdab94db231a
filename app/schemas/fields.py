"""Field types that several schemas share."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, JsonValue, PlainSerializer, PlainValidator, StringConstraints, WithJsonSchema

from app.core.errors import InvalidField, InvalidNumber
from app.core.json_safety import RawJson, checked_object, is_storable_text
from app.core.name_letters import visible_text


def _storable(text: str) -> str:
    if not is_storable_text(text):
        raise ValueError("contains a character that cannot be stored (NUL or a lone surrogate)")
    return text


def _metadata(value: object) -> RawJson:
    if not isinstance(value, dict):
        raise ValueError("Input should be a valid dictionary")  # noqa: TRY004 - what pydantic makes a problem of
    try:
        return checked_object(value, field="metadata")
    except InvalidNumber:
        raise  # with the code that it has in an upload
    except InvalidField as exc:
        raise ValueError(str(exc)) from exc


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _seen(text: str) -> str:
    if not visible_text(text).strip():
        raise ValueError("has no letter that can be shown")
    return text


StorableText = Annotated[str, AfterValidator(_storable)]
ShortText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
    AfterValidator(_storable),
    AfterValidator(_seen),
]
JsonObject = dict[str, JsonValue]
Metadata = Annotated[
    RawJson, PlainValidator(_metadata), WithJsonSchema({"type": "object", "additionalProperties": True})
]
Timestamp = Annotated[datetime, PlainSerializer(_rfc3339, return_type=str)]
