"""Finds out what the tracks of an ISO base media file are by following its boxes; reads headers, never the data.

FFmpeg calls the picture of an AVIF a video stream, so a picture under the brands of a film would pass for one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_MAX_BOXES = 10_000
_MAX_DEPTH = 4
_CONTAINERS = {b"moov": 0, b"trak": 0, b"mdia": 0, b"meta": 4}
"""Boxes that hold others, and how many bytes come before these."""
_SQUEEZED = frozenset({b"cmov"})
"""QuickTime may keep the whole index compressed in one box; FFmpeg reads it, we only know that it is a film."""
FILM_HANDLERS = frozenset({b"vide", b"soun", *_SQUEEZED})


def track_handlers(path: Path) -> frozenset[bytes]:
    """The handler types of all tracks (b'vide', b'soun', b'pict', …) and of items (b'pict' in HEIC and AVIF).

    b'cmov' stands for a compressed index. Empty when there is none of these within the first 10,000 boxes.
    Source: ISO/IEC 14496-12 sections 4.2, 8.2 to 8.4 and 8.11; QuickTime File Format, movie resource compression.
    """
    with path.open("rb") as file:
        return frozenset(_handlers(file, at=0, end=path.stat().st_size, budget=iter(range(_MAX_BOXES)), depth=1))


def _handlers(file: BinaryIO, *, at: int, end: int, budget: Iterator[int], depth: int) -> Iterator[bytes]:
    while at + 8 <= end and next(budget, None) is not None:
        file.seek(at)
        header = file.read(20)
        size, kind, body = int.from_bytes(header[:4]), header[4:8], at + 8
        if size == 1:
            size, body = int.from_bytes(header[8:16]), at + 16
        after = end if size == 0 else at + size
        if after < body:
            return
        if kind == b"hdlr":
            file.seek(body + 8)
            yield file.read(4)
        elif kind in _SQUEEZED:
            yield kind
        elif kind in _CONTAINERS and depth < _MAX_DEPTH:
            begin, stop = body + _CONTAINERS[kind], min(end, after)
            yield from _handlers(file, at=begin, end=stop, budget=budget, depth=depth + 1)
        if kind == b"moov":
            # Readers ignore a second one.
            return
        at = after
