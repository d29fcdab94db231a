"""Counts the bytes of one request that are not its content and says when there are too many. Knows no server.

An HTTP parser collects a header line of any length and skips a chunk extension of any length, so both are counted from
outside.
"""

from dataclasses import dataclass
from typing import Final

from app.core.http_answers import HEADER_TOO_LARGE, MALFORMED_REQUEST, URI_TOO_LONG, Refusal

MAX_HEADER_BYTES: Final = 64 * 1024
MAX_HEADER_FIELDS: Final = 100
MAX_TARGET_BYTES: Final = 8 * 1024
# A one-byte chunk takes six bytes on the wire, so clients that write byte by byte stay well inside.
_CHUNK_OVERHEAD_BYTES: Final = 64 * 1024
_CHUNK_OVERHEAD_PER_BYTE: Final = 8
_MAX_LENGTH_DIGITS: Final = 18


@dataclass(slots=True)
class RequestMeter:
    """One per request. Every method returns the refusal that is due, or None.

    declared_bytes: the Content-Length, 0 without one.
    """

    header_bytes: int = 0
    header_fields: int = 0
    host_fields: int = 0
    has_body: bool = False
    is_chunked: bool = False
    declared_bytes: int = 0
    raw_head_bytes: int = 0
    body_wire_bytes: int = 0
    body_bytes: int = 0

    def target(self, length: int) -> Refusal | None:
        """The request target has `length` bytes so far."""
        return URI_TOO_LONG if length > MAX_TARGET_BYTES else None

    def header(self, name: bytes, value: bytes) -> Refusal | None:
        """One more complete header or trailer field."""
        self.header_fields += 1
        self.header_bytes += len(name) + len(value) + len(b": \r\n")
        if self.header_fields > MAX_HEADER_FIELDS or self.header_bytes > MAX_HEADER_BYTES:
            return HEADER_TOO_LARGE
        # A folded value (obs-fold) or a stray control is read differently by different servers (RFC 9112 section 5.2).
        if any(control in value for control in (b"\r", b"\n", b"\0")):
            return MALFORMED_REQUEST
        match name.lower():
            case b"host":
                self.host_fields += 1
            case b"content-length":
                self.has_body = self.has_body or value.strip() != b"0"
                # The parser refuses all but one number, and that beside chunks, before the head is over.
                self.declared_bytes = int(value) if value.isdigit() and len(value) <= _MAX_LENGTH_DIGITS else 0
            case b"transfer-encoding":
                self.has_body = self.is_chunked = True
                # We decode nothing but chunked; passing on a compressed body as if it were plain would be a lie.
                return None if value.strip().lower() == b"chunked" else MALFORMED_REQUEST
        return None

    def head_complete(self, http_version: str, *, is_upgrade: bool) -> Refusal | None:
        """The head has ended; is it one that every server reads in the same way?

        Source: RFC 9112 section 3.2 (one Host in HTTP/1.1), section 6.1 (no Transfer-Encoding before it). The body of
        an Upgrade request is refused because the parser hands it to the other protocol and the rest would be lost.
        """
        if http_version == "1.1":
            is_plain = self.host_fields == 1
        else:
            is_plain = http_version == "1.0" and self.host_fields <= 1 and not self.is_chunked
        return None if is_plain and not (is_upgrade and self.has_body) else MALFORMED_REQUEST

    def unfinished_head(self, length: int) -> Refusal | None:
        """`length` more bytes came and the head still goes on; they may all belong to one endless line."""
        self.raw_head_bytes += length
        return HEADER_TOO_LARGE if self.raw_head_bytes > MAX_HEADER_BYTES + MAX_TARGET_BYTES else None

    def body_on_the_wire(self, length: int) -> Refusal | None:
        """`length` more bytes came while the body was read; chunk sizes, extensions and trailers are among them."""
        self.body_wire_bytes += length
        overhead = self.body_wire_bytes - self.body_bytes
        allowed = _CHUNK_OVERHEAD_BYTES + _CHUNK_OVERHEAD_PER_BYTE * self.body_bytes
        return MALFORMED_REQUEST if overhead > allowed else None
