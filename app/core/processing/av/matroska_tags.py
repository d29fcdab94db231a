"""Reads the values of a Matroska file's text tags that may come several times; FFmpeg keeps one of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_NAMES = {b"ARTIST": "artist", b"ALBUM_ARTIST": "album_artist", b"GENRE": "genre"}
_SEGMENT, _TAGS, _TAG, _SIMPLE = b"\x18\x53\x80\x67", b"\x12\x54\xc3\x67", b"\x73\x73", b"\x67\xc8"
_TAG_NAME, _TAG_STRING = b"\x45\xa3", b"\x44\x87"
_MAX_ELEMENTS = 50_000
"""Of the whole file, however deep."""
_MAX_TAGS_BYTES = 1024 * 1024
_MAX_VALUES = 64


def matroska_values(path: Path) -> list[dict[str, list[str]]]:
    """Artist, album_artist and genre with all their values, one mapping for each thing that the file describes.

    A file whose clusters are of unknown size (a live recording) is read up to the first of them.
    Source: RFC 8794 section 6; RFC 9559 section 5.1.8.
    """
    with path.open("rb") as file:
        size_bytes = path.stat().st_size
        budget = iter(range(_MAX_ELEMENTS))
        for name, body, after in _children(file, at=0, end=size_bytes, budget=budget):
            if name == _SEGMENT:
                return list(_tags(file, at=body, end=after, budget=budget))
    return []


def _tags(file: BinaryIO, *, at: int, end: int, budget: Iterator[int]) -> Iterator[dict[str, list[str]]]:
    for name, body, after in _children(file, at=at, end=end, budget=budget):
        if name == _TAGS and after - body <= _MAX_TAGS_BYTES:
            for tag, tag_body, tag_after in _children(file, at=body, end=after, budget=budget):
                if tag == _TAG:
                    yield _simple_tags(file, at=tag_body, end=tag_after, budget=budget)


def _simple_tags(file: BinaryIO, *, at: int, end: int, budget: Iterator[int]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, body, after in _children(file, at=at, end=end, budget=budget):
        if name != _SIMPLE:
            continue
        inside = _children(file, at=body, end=after, budget=budget)
        parts = {part: _at(file, begin, stop - begin) for part, begin, stop in inside}
        key = _NAMES.get(parts.get(_TAG_NAME, b"").rstrip(b"\x00").upper())
        if key is not None and len(found.setdefault(key, [])) < _MAX_VALUES:
            found[key].append(parts.get(_TAG_STRING, b"").rstrip(b"\x00").decode("utf-8", "surrogateescape"))
    return found


def _children(file: BinaryIO, *, at: int, end: int, budget: Iterator[int]) -> Iterator[tuple[bytes, int, int]]:
    """Each element's ID, where its data begins and where it ends; one of unknown size is the last."""
    for _ in budget:
        head = _at(file, at, 12)
        if at >= end or len(head) < 2:
            return
        name_bytes = 9 - head[0].bit_length()
        size_bytes = 9 - head[name_bytes].bit_length() if name_bytes <= 4 and len(head) > name_bytes else 9
        raw = head[name_bytes : name_bytes + size_bytes]
        if size_bytes > 8 or len(raw) < size_bytes:
            return
        body = at + name_bytes + size_bytes
        size = int.from_bytes(raw) & (1 << 7 * size_bytes) - 1
        after = end if size == (1 << 7 * size_bytes) - 1 else min(end, body + size)
        yield head[:name_bytes], body, after
        at = after


def _at(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)
