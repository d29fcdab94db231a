"""Owns the writing of ICC profiles for pictures that state their colours in another way: every browser reads them.

Source: ICC.1:2022 (version 4.4), three-component matrix-based and monochrome display profiles.
"""

import struct
from typing import Final

from app.core.processing.imaging import color_matrices, color_profiles
from app.core.processing.imaging.cicp import PRIMARIES_NAMES, SRGB, Primaries, Transfer

_HEADER_BYTES: Final = 128
_NOTICE: Final = "No copyright, use freely"


def of(primaries: Primaries, transfer: Transfer, *, mode: str) -> color_profiles.ColorProfile | None:
    """A profile of about 500 bytes for pictures of `mode` L or RGB; None for primaries that cannot be written."""
    name = PRIMARIES_NAMES.get(primaries, "custom")
    if transfer != SRGB:
        name += f" {transfer.name}" + (f" {transfer.gamma:.4g}" if transfer.name == "gamma" else "")
    curve = _curve(transfer)
    try:
        chad = color_matrices.adaptation(primaries.white)
        tags = {
            b"desc": _text(name),
            b"cprt": _text(_NOTICE),
            b"wtpt": _xyz(color_matrices.D50),
            b"chad": b"sf32" + bytes(4) + b"".join(_fixed(value * primaries.white[1]) for row in chad for value in row),
        }
        if mode == "L":
            tags[b"kTRC"] = curve
        else:
            columns = zip(*color_matrices.to_d50(primaries), strict=True)
            tags |= {b"rgb"[n : n + 1] + b"XYZ": _xyz(column) for n, column in enumerate(columns)}
            tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
        return color_profiles.read(_profile(tags, space=b"GRAY" if mode == "L" else b"RGB "))
    except (ValueError, struct.error):
        return None


def _profile(tags: dict[bytes, bytes], *, space: bytes) -> bytes:
    directory, body = struct.pack(">I", len(tags)), b""
    start = _HEADER_BYTES + len(directory) + 12 * len(tags)
    places: dict[bytes, int] = {}
    for name, data in tags.items():
        if data not in places:
            places[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        directory += struct.pack(">4sII", name, places[data], len(data))
    header = struct.pack(">I4xI4s4s4s", start + len(body), 0x04400000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += b"".join(_fixed(value) for value in color_matrices.D50)
    return header.ljust(_HEADER_BYTES, b"\0") + directory + body


def _curve(transfer: Transfer) -> bytes:
    if (transfer.a, transfer.b, transfer.d) == (1.0, 0.0, 0.0):
        return b"para" + bytes(8) + _fixed(transfer.gamma)
    values = (transfer.gamma, transfer.a, transfer.b, transfer.c, transfer.d)
    return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + b"".join(map(_fixed, values))


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">4xII2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded


def _xyz(vector: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, vector))


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))
