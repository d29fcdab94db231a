"""Reads the head of an EBML file (Matroska, WebM) element by element. Pure functions over bytes."""

from collections.abc import Iterator

SIGNATURE = b"\x1a\x45\xdf\xa3"
_DOC_TYPE = b"\x42\x82"
_SEGMENT = b"\x18\x53\x80\x67"
_MAX_ELEMENTS = 64


def doc_type(head: bytes) -> bytes | None:
    """The DocType of a file that begins with `head` (b'webm', b'matroska'), None when there is none.

    IDs and sizes may be written in any length that their first byte announces, the elements come in any order, and the
    header may be of unknown size, which the segment then ends.
    Source: RFC 8794 sections 4 to 6 and 11.2; RFC 9559 section 5.1.
    """
    if not head.startswith(SIGNATURE):
        return None
    size, body = _number(head, 4)
    end = len(head) if size is None else min(len(head), body + size)
    return next((data.rstrip(b"\x00") for name, data in _elements(head, body, end) if name == _DOC_TYPE), None)


def _elements(head: bytes, at: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    for _ in range(_MAX_ELEMENTS):
        if at >= end:
            return
        name_bytes = 9 - head[at].bit_length()
        name = head[at : at + name_bytes]
        if name == _SEGMENT or name_bytes > 4:
            return
        size, body = _number(head, at + name_bytes)
        if size is None:
            return
        yield name, head[body : min(end, body + size)]
        at = body + size


def _number(head: bytes, at: int) -> tuple[int | None, int]:
    """A variable-size number and where it ends; None for 'unknown' (all bits set) and for what is no number."""
    first = head[at] if at < len(head) else 0
    length = 9 - first.bit_length()
    raw = head[at : at + length]
    if length > 8 or len(raw) < length:
        return None, len(head)
    value, unknown = int.from_bytes(raw) - (1 << 7 * length), (1 << 7 * length) - 1
    return (None if value == unknown else value), at + length
