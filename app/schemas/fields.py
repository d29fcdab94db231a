"""Field types that several schemas share."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, JsonValue, PlainSerializer, StringConstraints

from app.core.errors import InvalidField
from app.core.json_safety import checked_object, is_storable_text


def _storable(text: str) -> str:
    if not is_storable_text(text):
        raise ValueError("contains a character that cannot be stored (NUL or a lone surrogate)")
    return text


def _metadata(value: object) -> object:
    if isinstance(value, dict):
        try:
            checked_object(value, field="metadata")
        except InvalidField as exc:
            raise ValueError(str(exc)) from exc
    return value


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


StorableText = Annotated[str, AfterValidator(_storable)]
ShortText = Annotated[StorableText, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
JsonObject = dict[str, JsonValue]
Metadata = Annotated[JsonObject, BeforeValidator(_metadata)]
Timestamp = Annotated[datetime, PlainSerializer(_rfc3339, return_type=str)]
