"""Owns what an AVIF or HEIC file says of its colours beside an ICC profile: `nclx` and `clli`. No library."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_MAX_BOXES: Final = 2_000
_MAX_ASSOCIATIONS: Final = 20_000
_FULL_BOX_BYTES: Final = 4
_SAMPLE_ENTRY: Final = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_SAMPLE_ENTRY_BYTES: Final = 78
"""Of a visual sample entry, before its boxes."""


@dataclass(frozen=True, slots=True)
class HeifColors:
    """Code points of ITU-T H.273, and the light of the brightest pixel in cd/m², None when the file does not say."""

    primaries: int
    transfer: int
    peak_nits: float | None


def read(data: bytes) -> HeifColors | None:
    """The colours of the picture that is shown: of the primary item, or of the first track where there is none.

    None when no `nclx` box speaks of it, and for a file whose boxes cannot be followed.
    Source: ISO/IEC 14496-12 sections 8.11 and 12.1.5, ISO/IEC 23008-12 section 6.5.
    """
    view = memoryview(data)
    try:
        properties = _of_primary_item(view)
        properties = properties if properties is not None else _of_first_track(view)
        return _colors(properties or [])
    except (struct.error, IndexError):
        return None


def _colors(properties: list[tuple[bytes, memoryview]]) -> HeifColors | None:
    nclx = next((body for name, body in properties if name == b"colr" and bytes(body[:4]) == b"nclx"), None)
    if nclx is None:
        return None
    primaries, transfer = struct.unpack_from(">HH", nclx, 4)
    light = next((body for name, body in properties if name == b"clli"), None)
    peak_nits = struct.unpack_from(">H", light)[0] if light is not None else 0
    return HeifColors(primaries, transfer, peak_nits or None)


def _of_primary_item(view: memoryview) -> list[tuple[bytes, memoryview]] | None:
    meta = _first(view, b"meta")
    if meta is None:
        return None
    meta = meta[_FULL_BOX_BYTES:]
    primary, described = _first(meta, b"pitm"), _first(meta, b"iprp")
    if primary is None or described is None:
        return None
    item = struct.unpack_from(">I" if primary[0] else ">H", primary, _FULL_BOX_BYTES)[0]
    everything = list(_boxes(_first(described, b"ipco") or memoryview(b"")))
    mine = [
        everything[number - 1]
        for name, body in _boxes(described)
        if name == b"ipma"
        for number in _associations(body, item)
        if 0 < number <= len(everything)
    ]
    if any(name == b"colr" for name, _ in mine):
        return mine
    # A picture of tiles may leave its colours to them, and then they all have the same.
    tiles = [box for box in everything if box[0] == b"colr"]
    return [*mine, tiles[0]] if len({bytes(body) for _, body in tiles}) == 1 else mine


def _associations(body: memoryview, item: int) -> Iterator[int]:
    version, wide = body[0], body[3] & 1
    count = struct.unpack_from(">I", body, _FULL_BOX_BYTES)[0]
    position = _FULL_BOX_BYTES + 4
    for _ in range(min(count, _MAX_ASSOCIATIONS)):
        owner = struct.unpack_from(">I" if version else ">H", body, position)[0]
        position += 4 if version else 2
        numbers = body[position]
        position += 1
        if owner == item:
            for _ in range(numbers):
                yield struct.unpack_from(">H", body, position)[0] & 0x7FFF if wide else body[position] & 0x7F
                position += 2 if wide else 1
            return
        position += numbers * (2 if wide else 1)


def _of_first_track(view: memoryview) -> list[tuple[bytes, memoryview]] | None:
    box: memoryview | None = view
    for name in _SAMPLE_ENTRY:
        box = None if box is None else _first(box, name)
    if box is None:
        return None
    entry = next(_boxes(box[_FULL_BOX_BYTES + 4 :]), None)
    return None if entry is None else list(_boxes(entry[1][_SAMPLE_ENTRY_BYTES:]))


def _first(view: memoryview, name: bytes) -> memoryview | None:
    return next((body for found, body in _boxes(view) if found == name), None)


def _boxes(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Name and body of each box that lies in `view` whole."""
    position = 0
    for _ in range(_MAX_BOXES):
        if position + 8 > len(view):
            return
        size, name = struct.unpack_from(">I4s", view, position)
        start = position + 8
        if size == 1 and start + 8 <= len(view):
            size = struct.unpack_from(">Q", view, start)[0]
            start += 8
        end = position + size if size else len(view)
        if end < start or end > len(view):
            return
        yield name, view[start:end]
        position = end
