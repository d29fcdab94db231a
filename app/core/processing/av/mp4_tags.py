"""Reads the values of an MP4's text tags that may come several times; FFmpeg keeps one of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_NAMES = {b"\xa9ART": "artist", b"aART": "album_artist", b"\xa9gen": "genre"}
_PATH = (b"moov", b"udta", b"meta", b"ilst")
_UTF_16 = 2
_MAX_BOXES = 10_000
_MAX_VALUES = 64
_MAX_VALUE_BYTES = 4_096


def mp4_values(path: Path) -> dict[str, list[str]]:
    """Artist, album_artist and genre with all their values, whether several boxes hold them or several data of one.

    Source: QuickTime File Format, metadata item list; ISO/IEC 14496-12 section 4.2.
    """
    found: dict[str, list[str]] = {}
    with path.open("rb") as file:
        budget = iter(range(_MAX_BOXES))
        for name, value in _values(file, at=0, end=path.stat().st_size, depth=0, budget=budget):
            if len(found.setdefault(name, [])) < _MAX_VALUES:
                found[name].append(value)
    return found


def _values(file: BinaryIO, *, at: int, end: int, depth: int, budget: Iterator[int]) -> Iterator[tuple[str, str]]:
    for kind, body, after in _boxes(file, at=at, end=end, budget=budget):
        if depth == len(_PATH):
            if kind in _NAMES:
                for value in _data_of(file, at=body, end=after, budget=budget):
                    yield _NAMES[kind], value
        elif kind == _PATH[depth]:
            # QuickTime's `meta` has no version in front of its boxes.
            skip = 4 if kind == b"meta" and _at(file, body + 4, 4) != b"hdlr" else 0
            yield from _values(file, at=body + skip, end=after, depth=depth + 1, budget=budget)


def _data_of(file: BinaryIO, *, at: int, end: int, budget: Iterator[int]) -> Iterator[str]:
    for kind, body, after in _boxes(file, at=at, end=end, budget=budget):
        if kind == b"data" and after >= body + 8:
            head = _at(file, body, 8)
            text = _at(file, body + 8, min(_MAX_VALUE_BYTES, after - body - 8))
            yield text.decode("utf-16-be" if int.from_bytes(head[1:4]) == _UTF_16 else "utf-8", "surrogateescape")


def _boxes(file: BinaryIO, *, at: int, end: int, budget: Iterator[int]) -> Iterator[tuple[bytes, int, int]]:
    while at + 8 <= end and next(budget, None) is not None:
        header = _at(file, at, 16)
        size, body = int.from_bytes(header[:4]), at + 8
        if size == 1:
            size, body = int.from_bytes(header[8:16]), at + 16
        after = end if size == 0 else min(end, at + size)
        if after < body:
            return
        yield header[4:8], body, after
        at = after


def _at(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)
