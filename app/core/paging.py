"""Cursors of keyset paging: where a page ended, as an opaque word. Knows nothing of tables."""

import base64
import binascii
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.core.errors import InvalidField

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR_BYTES = 24


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page: its time, to the microsecond, and its id as the tie-break."""

    created_at: datetime
    id: uuid.UUID

    def encode(self) -> str:
        """32 characters that are safe in a URL."""
        microseconds = (self.created_at - _EPOCH) // timedelta(microseconds=1)
        return base64.urlsafe_b64encode(microseconds.to_bytes(8, "big", signed=True) + self.id.bytes).decode()


def decode_cursor(raw: str) -> Cursor:
    """The cursor in `raw`. Raises InvalidField for anything that `Cursor.encode` did not make."""
    try:
        data = base64.b64decode(raw.encode("ascii"), altchars=b"-_", validate=True)
        if len(data) != _CURSOR_BYTES:
            raise ValueError(len(data))
        created_at = _EPOCH + timedelta(microseconds=int.from_bytes(data[:8], "big", signed=True))
    except (ValueError, OverflowError, binascii.Error) as exc:
        raise InvalidField("cursor", "is not a cursor of this API.") from exc
    return Cursor(created_at, uuid.UUID(bytes=data[8:]))
