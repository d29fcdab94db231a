"""The one reader and the one writer of JSON: what clients send, what columns hold, what answers say; numbers stay.

orjson and every other fast reader turn a number that fits neither 64 bits nor a double into another one, and PostgreSQL
then gives back what they cannot write. So a number that is not sure to survive is kept as its digits, and JSON that has
been read once travels as text. RFC 8259 also allows what JSONB does not (`\\u0000` is error 22P05) and what most
readers trip over (NaN, 5000 levels).
"""

import json
import math
import re
from decimal import Decimal
from typing import Final, NamedTuple, NoReturn, TypeAlias

import orjson

from app.core.errors import InvalidField, InvalidNumber

MAX_METADATA_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32
AT_ONCE_BYTES: Final = 16 * 1024
"""Reading more than this belongs into a thread: where numbers are kept as digits, 1 MiB takes half a second."""
MAX_NUMBER_CHARS: Final = 1_000
"""Beyond every double written out exactly (767 digits), and within what Python reads as an integer (4,300)."""

# A decimal of up to 15 digits comes out of a double as it went in (IEEE 754, DBL_DIG); -0 is no number of PostgreSQL's.
_PERHAPS_INEXACT: Final = re.compile(rb"[-0-9](?:[0-9.]{16}|(?<=-)0|(?<=[0-9])[eE])")
_DEEPEST_READ: Final = 900  # levels that the readers of most languages take
_DIGITS: Final = "0123456789."


class RawJson(NamedTuple):
    """JSON text that is known to be right, as we wrote it or as PostgreSQL gives it; goes on as it is."""

    text: str


class Number(NamedTuple):
    """A number as it was written, which no type of Python's or orjson's would keep."""

    text: str


Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | Number | None"


class InvalidJson(ValueError):
    """Not the JSON of RFC 8259, or text that is not Unicode."""


def read(raw: bytes) -> Json:
    """`raw` as a value in which no number has changed; the last of several equal keys counts. Raises InvalidJson."""
    try:
        value: Json = orjson.loads(raw)
        problem = None
    except orjson.JSONDecodeError as exc:
        problem = exc
    if _PERHAPS_INEXACT.search(raw) is None:
        if problem is not None:
            raise InvalidJson from problem
        return value
    try:
        exact: Json = json.loads(raw.decode(), parse_int=_number, parse_float=_number, parse_constant=_refuse)
        if problem is not None:
            # Perhaps because of a number beyond a double, which the field that it stands in answers for.
            write(exact)
    except (ValueError, TypeError, RecursionError) as exc:
        raise InvalidJson from exc
    return exact


def write(value: object) -> RawJson:
    """`value` of ours, or what `read` gave, as compact text. Raises TypeError for text that is not Unicode."""
    try:
        return RawJson(orjson.dumps(value, default=_written).decode())
    except orjson.JSONEncodeError:
        # An integer beyond 64 bits; json writes any. Whatever else was wrong is wrong for it as well, or for UTF-8.
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        if not is_storable_text(text):
            raise
        return RawJson(text)


def parse_object(raw: str | bytes, *, field: str) -> RawJson:
    """`raw` as a JSON object of at most 64 KiB and 32 levels. Raises InvalidField with one sentence."""
    if len(raw) > MAX_METADATA_BYTES:
        raise _too_long(field)
    try:
        value = read(raw.encode() if isinstance(raw, str) else raw)
    except ValueError as exc:
        raise InvalidField(field, "is not valid JSON.") from exc
    if not isinstance(value, dict):
        raise InvalidField(field, "must be a JSON object.")
    return checked_object(value, field=field)


def checked_object(value: "dict[str, Json]", *, field: str) -> RawJson:
    """`value`, which `read` gave, as it can be kept. Raises InvalidField (also InvalidNumber) with a sentence."""
    _Check(field).take(value, depth=1)
    written = write(value)
    if len(written.text.encode()) > MAX_METADATA_BYTES:
        raise _too_long(field)
    return written


def is_readable(found: RawJson) -> bool:
    """Whether clients can read what a column holds as an object: by hand anything may be written that JSONB takes."""
    text = found.text
    if not text.startswith("{"):
        return False
    if len(text) <= MAX_NUMBER_CHARS:
        return True
    if text.count("[") + text.count("{") > _DEEPEST_READ and not _is_read(text.encode()):
        return False
    return not _has_endless_number(text)


def is_storable_text(text: str) -> bool:
    """Whether PostgreSQL can keep `text`: it holds neither NUL nor lone surrogates."""
    if text.isascii():
        return "\x00" not in text
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _is_read(raw: bytes) -> bool:
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        try:
            read(raw)  # it is deep, or has a number beyond a double
        except InvalidJson:
            return False
    return True


def _has_endless_number(text: str) -> bool:
    """Whether a number of `text`, as PostgreSQL writes it, has more than MAX_NUMBER_CHARS digits and points.

    So long a run has a character at every such step of the text: looking only there takes microseconds, where a regular
    expression and a parser took 250 ms of a 64 KiB text that was full of digits (2026-11).
    """
    looked_at, quotes = 0, 0
    for place in range(MAX_NUMBER_CHARS, len(text), MAX_NUMBER_CHARS + 1):
        if text[place] not in _DIGITS:
            continue
        before, after = text[place - MAX_NUMBER_CHARS : place], text[place : place + MAX_NUMBER_CHARS + 1]
        run = len(before) - len(before.rstrip(_DIGITS)) + len(after) - len(after.lstrip(_DIGITS))
        if run <= MAX_NUMBER_CHARS:
            continue
        # Digits within a string harm nobody; no escape can end at a digit, so the piece before is whole.
        quotes += text[looked_at:place].replace(r"\\", "").replace(r"\"", "").count('"')
        looked_at = place
        if quotes % 2 == 0:
            return True
    return False


class _Check:
    """Looks at every value of one field, and stops at what would be too long: 1 MiB of it took seconds to write."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._left_bytes = MAX_METADATA_BYTES

    def take(self, value: Json, *, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise InvalidField(self._field, f"is nested deeper than {MAX_DEPTH} levels.")
        self._count(2)  # the least that a value takes with what parts it from the next
        match value:
            case str():
                self._count(len(value))
                if not is_storable_text(value):
                    raise InvalidField(
                        self._field, "contains a character that cannot be stored (NUL or a lone surrogate)."
                    )
            case Number():
                if not _is_storable_number(value.text):
                    raise InvalidNumber(self._field, max_chars=MAX_NUMBER_CHARS)
                self._count(len(_digits(value.text)) - 1)
            case dict():
                for key, member in value.items():
                    self.take(key, depth=depth)
                    self.take(member, depth=depth + 1)
            case list():
                for member in value:
                    self.take(member, depth=depth + 1)
            case _:
                return

    def _count(self, size_bytes: int) -> None:
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            raise _too_long(self._field)


def _too_long(field: str) -> InvalidField:
    return InvalidField(field, f"may have at most {MAX_METADATA_BYTES} bytes.")


def _number(text: str) -> int | Number:
    if len(text) <= 15 and text.isdigit():
        return int(text)
    return Number(text)


def _refuse(constant: str) -> NoReturn:
    raise InvalidJson(constant)


def _is_storable_number(text: str) -> bool:
    """Whether every client finds a number here: neither infinite nor nothing in a double, and of bearable length."""
    if len(text) > MAX_NUMBER_CHARS:
        return False
    value = float(text)
    return math.isfinite(value) and (value != 0 or _is_zero(text))


def _is_zero(text: str) -> bool:
    return not text.lower().partition("e")[0].strip("-0.")


def _written(value: object) -> orjson.Fragment:
    """Digits without an exponent, as PostgreSQL writes them: a short exponent must not become a long text later."""
    if not isinstance(value, Number):
        raise TypeError(type(value).__name__)
    if not _is_storable_number(value.text):
        return orjson.Fragment("0")  # only tried for its surroundings, see `read`
    return orjson.Fragment(_digits(value.text))


def _digits(text: str) -> str:
    return "0" if _is_zero(text) else format(Decimal(text), "f")
