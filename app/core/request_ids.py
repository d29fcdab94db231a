"""The id under which the log knows a request: the one that it was sent with, when that is harmless, or a new one."""

import re
import secrets
from collections.abc import Iterable
from typing import Final

HEADER: Final = b"x-request-id"

_USABLE = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The id of a request with these header fields, names in lower case; two of its kind count as none."""
    values = [value for name, value in headers if name == HEADER]
    return values[0].decode() if len(values) == 1 and _USABLE.fullmatch(values[0]) else secrets.token_hex(16)
