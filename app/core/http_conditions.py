"""What a request demands of the state that it meets: conditional requests as arithmetic. Knows no framework.

Source: RFC 9110 sections 8.8 (validators) and 13 (conditional requests).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Final

from app.core.errors import PreconditionFailed

# Possessive, or 60,000 blanks before a letter would be shared out between the two runs in every way there is.
# Empty elements, which are allowed, go in one step.
_ELEMENT = re.compile(rb'[ \t]*+((?:W/)?"[\x21\x23-\x7e\x80-\xff]*+")?+[ \t]*+(?:,[ \t,]*+|\Z)')
_NAMES: Final = frozenset({b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"})


@dataclass(frozen=True, slots=True)
class Conditions:
    """The four headers of a request, by lower-case name. Evaluated after everything that could refuse the request."""

    headers: Mapping[bytes, bytes]

    def __bool__(self) -> bool:
        return bool(self.headers)

    @property
    def needs_date(self) -> bool:
        """Whether the last modification decides."""
        headers = self.headers
        return (b"if-unmodified-since" in headers and b"if-match" not in headers) or (
            b"if-modified-since" in headers and b"if-none-match" not in headers
        )

    def require_for_change(self, etag: str, last_modified: datetime) -> None:
        """Raises PreconditionFailed when what is about to be changed is not what the client thinks it is."""
        self._require(etag, last_modified)
        if (known := self.headers.get(b"if-none-match")) is not None and _matches(known, etag, is_strong=False):
            raise PreconditionFailed

    def is_not_modified(self, etag: str, last_modified: datetime | None, *, by_date: bool = True) -> bool:
        """Whether the client's copy is still good: 304. Raises PreconditionFailed.

        last_modified: None when nobody knows; then no date decides anything (sections 13.1.3 and 13.1.4).
        by_date: whether a date may say that a copy is good; its whole seconds hide a second change.
        """
        self._require(etag, last_modified)
        if (known := self.headers.get(b"if-none-match")) is not None:
            return _matches(known, etag, is_strong=False)
        since = parse_http_date(self.headers.get(b"if-modified-since"))
        return (
            by_date
            and since is not None
            and last_modified is not None
            and last_modified.replace(microsecond=0) <= since
        )

    def _require(self, etag: str, last_modified: datetime | None) -> None:
        # The order is that of section 13.2.2.
        if (wanted := self.headers.get(b"if-match")) is not None:
            if not _matches(wanted, etag, is_strong=True):
                raise PreconditionFailed
            return
        since = parse_http_date(self.headers.get(b"if-unmodified-since"))
        if since is not None and last_modified is not None and last_modified.replace(microsecond=0) > since:
            raise PreconditionFailed


NO_CONDITIONS: Final = Conditions(MappingProxyType({}))


def conditions_of(headers: Iterable[tuple[bytes, bytes]]) -> Conditions:
    """The conditions among the header fields of a request, whose names are in lower case."""
    found: dict[bytes, bytes] | None = None
    for name, value in headers:
        if name in _NAMES:
            found = found or {}
            # Several lines of a list are one list (section 5.3); two dates are no date.
            found[name] = value if name not in found else found[name] + b"," + value
    return NO_CONDITIONS if found is None else Conditions(found)


def parse_http_date(header: bytes | str | None) -> datetime | None:
    """The moment that a header names, to the second, or None when it names none."""
    text = header.decode("latin-1") if isinstance(header, bytes) else header
    if text is None or text.count(":") != 2:  # the parser would take the first of two dates
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _matches(header: bytes, etag: str, *, is_strong: bool) -> bool:
    """Whether `header` is `*` or a list that has `etag`, which is a strong one. What is no list has nothing."""
    if header.strip() == b"*":
        return True
    tag, position, is_found = etag.encode("latin-1"), 0, False
    if tag not in header:
        return False  # thousands of others need not be read one by one
    while position < len(header):
        element = _ELEMENT.match(header, position)
        if element is None:
            return False
        given = element[1]
        if given is not None:
            is_found = is_found or (given if is_strong else given.removeprefix(b"W/")) == tag
        position = element.end()
    return is_found
