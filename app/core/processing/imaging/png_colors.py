"""Owns what a PNG file says of its colours beside an ICC profile: cICP, sRGB, gAMA, cHRM. Standard library only."""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from app.core.processing.imaging import color_matrices
from app.core.processing.imaging.cicp import (
    BT709,
    CAMERA_TRANSFERS,
    PRIMARIES,
    SRGB,
    TRANSFERS,
    HdrTransfer,
    Primaries,
    Transfer,
)

_LENGTHS: Final = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"cLLI": 8}
_MIN_GAMMA, _MAX_GAMMA = 0.1, 10.0
_USUAL_GAMMA, _GAMMA_TOLERANCE = 2.2, 0.05
"""A gamma so close to that of ordinary screens, alone, means ordinary colours: libpng's threshold since 1.0."""
_BT1886: Final = Transfer("gamma", 2.4)


@dataclass(frozen=True, slots=True)
class PngColors:
    """The colour chunks of a PNG file that have the right length and check sum, by name; the first of each counts.

    exif: the eXIf chunk, wherever it stands.
    """

    chunks: dict[bytes, bytes]
    exif: bytes | None

    @property
    def code_points(self) -> tuple[Primaries, Transfer | HdrTransfer] | None:
        """Of cICP, which goes before everything else, an ICC profile too; None for values without a meaning here.

        Those with a matrix or of limited range are passed over, as Chromium does.
        """
        chunk = self.chunks.get(b"cICP")
        if chunk is None or chunk[2] != 0 or chunk[3] != 1 or chunk[0] not in PRIMARIES:
            return None
        transfer = _BT1886 if chunk[1] in CAMERA_TRANSFERS else TRANSFERS.get(chunk[1])
        return None if transfer is None else (PRIMARIES[chunk[0]], transfer)

    @property
    def is_srgb(self) -> bool:
        """Whether the sRGB chunk is there, beside which gAMA and cHRM are for readers that do not know it."""
        return b"sRGB" in self.chunks

    @property
    def gamma(self) -> tuple[Primaries, Transfer] | None:
        """Of gAMA and cHRM; None without gAMA and for values that no screen has.

        cHRM alone says nothing, since no curve goes with it: browsers pass over it as well.
        """
        if b"gAMA" not in self.chunks:
            return None
        [stored] = struct.unpack(">I", self.chunks[b"gAMA"])
        gamma = 100_000 / stored if stored else 0.0
        if not _MIN_GAMMA <= gamma <= _MAX_GAMMA:
            return None
        if b"cHRM" not in self.chunks:
            is_usual = abs(_USUAL_GAMMA / gamma - 1) <= _GAMMA_TOLERANCE
            return BT709, SRGB if is_usual else _curve(gamma)
        primaries = _primaries(self.chunks[b"cHRM"])
        return None if primaries is None else (primaries, _curve(gamma))

    @property
    def peak_nits(self) -> float | None:
        """The light of the brightest pixel in cd/m², of cLLI."""
        if b"cLLI" not in self.chunks:
            return None
        most, _average = struct.unpack(">II", self.chunks[b"cLLI"])
        return most / 10_000 or None


def read(data: bytes, *, is_header_complete: bool) -> PngColors:
    """Walk the chunks of a PNG file up to its pixels, or to its end when something may follow them.

    Source: PNG (third edition) sections 5.3, 11.3.2 and 4.3, which orders them: cICP, iCCP, sRGB, gAMA with cHRM.
    """
    found: dict[bytes, bytes] = {}
    exif: bytes | None = None
    position, is_before_pixels = 8, True
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if name == b"IDAT":
            if is_header_complete:
                break
            is_before_pixels = False
        elif name == b"eXIf" and exif is None:
            exif = data[position + 8 : end]
        elif is_before_pixels and _LENGTHS.get(name) == length and _is_sound(data, position, end):
            found.setdefault(name, data[position + 8 : end])
        position = end + 4
    return PngColors(found, exif)


def _is_sound(data: bytes, start: int, end: int) -> bool:
    return data[end : end + 4] == struct.pack(">I", zlib.crc32(data[start + 4 : end]))


def _curve(gamma: float) -> Transfer:
    return Transfer("linear", 1.0) if abs(gamma - 1) < 0.001 else Transfer("gamma", gamma)


def _primaries(chunk: bytes) -> Primaries | None:
    values = [value / 100_000 for value in struct.unpack(">8i", chunk)]
    white, red, green, blue = zip(values[::2], values[1::2], strict=True)
    primaries = Primaries(white, red, green, blue)
    if any(not -1 <= value <= 2 for value in values) or white[1] <= 0:
        return None
    try:
        color_matrices.between(primaries, BT709)
    except ValueError:
        return None
    return primaries
