"""Range requests as arithmetic: headers and facts in, decisions out. Knows no framework and no file.

Source: RFC 9110 section 14 (range requests).
"""

import itertools
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from app.core.errors import RangeNotSatisfiable
from app.core.http_conditions import parse_http_date

MAX_RANGES = 16
"""More ranges than this, or ranges that overlap, are answered with the whole file (RFC 9110 section 14.2 allows it)."""

_MAX_HEADER_CHARS = 1024
_MAX_DIGITS = 18
_RANGE = re.compile(r"(\d*)-(\d*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`length` bytes from `start`; never empty, never beyond the file."""

    start: int
    length: int

    def content_range(self, size_bytes: int) -> str:
        """The value of Content-Range for this part of a file."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size_bytes}"


@lru_cache(maxsize=4096)
def http_date(moment: datetime) -> str:
    """`moment` in the form of RFC 9110 section 5.6.7, whole seconds."""
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)


def wanted_ranges(
    *, range_header: str | None, if_range: str | None, etag: str, last_modified: datetime, size_bytes: int
) -> list[ByteRange] | None:
    """The parts to send, or None for the whole file.

    A header that is not a valid byte range, or one whose If-Range no longer holds, is ignored, as the RFC says.
    Raises RangeNotSatisfiable when the header is valid and no range of it lies inside the file.
    """
    if range_header is None or len(range_header) > _MAX_HEADER_CHARS:
        return None
    if if_range is not None and not _if_range_holds(if_range, etag, last_modified):
        return None
    specs = _parse(range_header)
    if specs is None:
        return None
    ranges = [part for part in (_resolve(first, last, size_bytes) for first, last in specs) if part is not None]
    if not ranges:
        raise RangeNotSatisfiable(size_bytes=size_bytes)
    return None if _overlap(ranges) else ranges


def _parse(range_header: str) -> list[tuple[str, str]] | None:
    """The (first, last) digits of each range, or None when the header is not `bytes=` with 1 to 16 valid ranges."""
    unit, separator, specification = range_header.partition("=")
    parts = [part.strip() for part in specification.split(",") if part.strip()]
    if not separator or unit.strip().lower() != "bytes" or not 0 < len(parts) <= MAX_RANGES:
        return None
    specs: list[tuple[str, str]] = []
    for part in parts:
        match = _RANGE.fullmatch(part)
        if match is None:
            return None
        first, last = match.groups()
        is_backwards = first and last and int(last[:_MAX_DIGITS]) < int(first[:_MAX_DIGITS])
        if not (first or last) or max(len(first), len(last)) > _MAX_DIGITS or is_backwards:
            return None
        specs.append((first, last))
    return specs


def _resolve(first: str, last: str, size_bytes: int) -> ByteRange | None:
    if not first:
        length = min(int(last), size_bytes)
        return ByteRange(size_bytes - length, length) if length else None
    start = int(first)
    if start >= size_bytes:
        return None
    end = min(int(last), size_bytes - 1) if last else size_bytes - 1
    return ByteRange(start, end - start + 1)


def _overlap(ranges: list[ByteRange]) -> bool:
    ordered = sorted(ranges, key=lambda part: part.start)
    return any(left.start + left.length > right.start for left, right in itertools.pairwise(ordered))


def _if_range_holds(if_range: str, etag: str, last_modified: datetime) -> bool:
    validator = if_range.strip()
    if validator.startswith(('"', "W/")):
        return validator == etag and not validator.startswith("W/")
    return parse_http_date(validator) == last_modified.replace(microsecond=0)
