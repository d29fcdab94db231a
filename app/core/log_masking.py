"""Makes a value fit for a log line: secrets masked, bounded, plain JSON types; imports nothing of ours.

This is the last net, not the rule: code must not log a secret in the first place. It works on shapes, so it catches
the token inside a URL or a vendor's error text that nobody meant to log.
"""

import math
import re
from collections.abc import Mapping, Set
from datetime import date
from itertools import islice
from typing import TypeAlias

LogValue: TypeAlias = "dict[str, LogValue] | list[LogValue] | str | int | float | bool | None"

MASK = "***"
MAX_TEXT_CHARS = 16_384
MAX_DEPTH = 6
MAX_ITEMS = 200

_SECRET_WORD = r"(?:password|passwd|passphrase|secret|token|authorization|cookie|api[_-]?key|signature)"  # noqa: S105
_SECRET_KEY = re.compile(rf"(?:^|[_\-.]){_SECRET_WORD}$", re.IGNORECASE)
_VALUE = r"(?:\"[^\"]*\"?|'[^']*'?|[^\s\"'&,;)}\]]+)"
_NOT_YET_MASKED = rf"(?!{re.escape(MASK)}|(?:bearer|basic)\s)"
# Every repetition is followed by what it cannot match, or ends the pattern, so the time stays linear.
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1\2{MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)*"), MASK),
    (re.compile(r"(\w://[^\s/:@]*:)[^\s/@]+(?=@)"), rf"\1{MASK}"),
    (re.compile(r"(cookie[\"']?\s?[=:]\s?)[^\r\n]+", re.IGNORECASE), rf"\1{MASK}"),
    # `word=value` and `"word": value`; a bare `word: value` only for words that no error sentence ends with
    # ("invalid token: it has expired" should stay readable).
    (re.compile(rf"({_SECRET_WORD}(?:[\"']?\s?=|[\"']\s?:)\s?){_NOT_YET_MASKED}{_VALUE}", re.IGNORECASE), rf"\1{MASK}"),
    (
        re.compile(rf"((?:password|passwd|passphrase|authorization):\s?){_NOT_YET_MASKED}{_VALUE}", re.IGNORECASE),
        rf"\1{MASK}",
    ),
)


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret: `password`, `client_secret`, `access-token`, not `token_count`."""
    return _SECRET_KEY.search(name) is not None


def mask_text(text: str) -> str:
    """`text` with bearer tokens, JWTs, passwords in URLs and `secret=...` pairs replaced by `***`, and shortened."""
    if len(text) > MAX_TEXT_CHARS:
        # Both ends are kept: a traceback says where at its beginning and what at its end.
        half = MAX_TEXT_CHARS // 2
        text = f"{text[:half]}…[{len(text) - 2 * half} characters left out]…{text[-half:]}"
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text


def clean(value: object, *, depth: int = 0) -> LogValue:
    """`value` as plain JSON types with its secrets masked; never raises, whatever the object."""
    match value:
        case None | bool() | int():
            cleaned: LogValue = value
        case float():
            cleaned = value if math.isfinite(value) else str(value)
        case bytes() | bytearray() | memoryview():
            cleaned = f"<{len(value)} bytes>"  # file contents do not belong into a log
        case Mapping() if depth < MAX_DEPTH:
            names = islice(value, MAX_ITEMS)
            cleaned = {str(name): clean_field(str(name), value[name], depth=depth + 1) for name in names}
        case list() | tuple() | Set() if depth < MAX_DEPTH:
            cleaned = [clean(item, depth=depth + 1) for item in islice(value, MAX_ITEMS)]
        case date():
            cleaned = value.isoformat()
        case _:
            cleaned = mask_text(_text_of(value))
    return cleaned


def clean_field(name: str, value: object, *, depth: int = 0) -> LogValue:
    """`value` of the field `name`: masked whole when the name says that it is a secret."""
    if value is not None and not isinstance(value, bool | int | float) and is_secret_name(name):
        return MASK
    return clean(value, depth=depth)


def escape_control(text: str, *, keep: str = "") -> str:
    r"""`text` on one line: line breaks, terminal escapes and every other unprintable as `\n`, `\x1b`; `keep` stays."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode("ascii") for char in text
    )


def _text_of(value: object) -> str:
    try:
        return str(value)
    except Exception as exc:  # a log call must not fail because of what is logged
        return f"<{type(value).__name__} without text: {type(exc).__name__}>"
