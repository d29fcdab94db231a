"""Owns the chunks of a PNG file: leaving out what is damaged or needed by nobody, so that every decoder sees the same.

A wrong checksum in a text says nothing about the pixels, and neither does a missing end. Decoders disagree about both;
so they are given a file in which only the chunks are left that say something of the picture. No library.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from app.core.errors import UnreadableFile

Key: TypeAlias = int | tuple[int, int, int]

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOR, _PALETTE = 0, 2, 3
_PIXELS: Final = frozenset({b"IHDR", b"PLTE", b"IDAT"})
"""Damage to these is damage to the picture; to a frame of an animation, to the animation."""
_LEAST_BYTES: Final = {
    b"gAMA": 4,
    b"cHRM": 32,
    b"sRGB": 1,
    b"cICP": 4,
    b"mDCV": 24,
    b"cLLI": 8,
    b"iCCP": 3,
    b"eXIf": 8,
}
"""What may change how the pixels are shown, and how long it is at least."""
_LEAST_KEY_BYTES: Final = {_GREY: 2, _COLOR: 6, _PALETTE: 1}
"""Of tRNS, by the kind of picture; others have an alpha channel."""
_ANIMATION: Final = {b"acTL": 8, b"fcTL": 26, b"fdAT": 4}
_TEXTS: Final = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_ORIENTATION_TEXTS: Final = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0", b"Raw profile type APP1\0")
"""Texts in which programs write EXIF; the others nobody reads."""
_MAY_REPEAT: Final = _TEXTS | {b"IDAT", b"acTL", b"fcTL", b"fdAT"}
_MAY_FOLLOW_PIXELS: Final = _TEXTS | {b"eXIf", b"IDAT", b"fcTL", b"fdAT"}
_END: Final = b"\0\0\0\0IEND\xae\x42\x60\x82"


@dataclass(frozen=True, slots=True)
class PngFile:
    """data: the file as decoders get it.  is_header_complete: nothing behind the pixels speaks of them.

    transparent_key: of a grey or coloured picture, the one value that is see-through, in `bits` a sample.
    """

    data: bytes
    is_header_complete: bool
    bits: int = 8
    transparent_key: Key | None = None

    @property
    def key_of_eight_bits(self) -> Key | None:
        """The key as the pixels have it when they are spread over 0-255, or cut to their high byte."""
        key = self.transparent_key
        if key is None or (self.bits == 16 and isinstance(key, int)):
            return key  # Pillow keeps greys of 16 bits
        if isinstance(key, int):
            return key * 255 // ((1 << self.bits) - 1)
        red, green, blue = (value >> 8 if self.bits == 16 else value for value in key)
        return red, green, blue


@dataclass(frozen=True, slots=True)
class _Chunk:
    """payload: cut off where the file is.  is_sound: its checksum fits.
    is_cut: the file ends before it does.
    """

    name: bytes
    payload: memoryview
    is_sound: bool
    is_cut: bool


def read(data: bytes) -> PngFile:
    """Leave out damaged chunks that a picture can do without, an animation with broken numbers, and put an end behind.

    Raises UnreadableFile when pixels, palette or header have a wrong checksum. What is no PNG comes back as it is, and
    pixels that were cut off too: decoders judge those.
    Source: PNG (third edition) sections 5.3-5.6, 11.2-11.3, 13.1; what is left out is what libpng ignores.
    """
    chunks = list(_chunks(data))
    if not chunks or chunks[0].name != b"IHDR" or len(chunks[0].payload) != 13:
        return PngFile(data, is_header_complete=False)
    if any(chunk.name in _PIXELS and not chunk.is_sound and not chunk.is_cut for chunk in chunks):
        raise UnreadableFile("The image is damaged or incomplete.")
    bits, color = chunks[0].payload[8], chunks[0].payload[9]
    kept = _needed(chunks, least_key_bytes=_LEAST_KEY_BYTES.get(color))
    if not _is_animation_sound(kept, chunks):
        kept = [chunk for chunk in kept if chunk.name not in _ANIMATION]
    pixels = [index for index, chunk in enumerate(kept) if chunk.name == b"IDAT"]
    behind = {chunk.name for chunk in kept[pixels[-1] :]} if pixels else {b""}
    is_as_it_was = len(kept) == len(chunks) - 1 and chunks[-1].name == b"IEND" and chunks[-1].is_sound
    return PngFile(
        data=data if is_as_it_was else _written(kept),
        is_header_complete=behind == {b"IDAT"},
        bits=bits,
        transparent_key=_key(kept, bits=bits, color=color),
    )


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """The chunks up to the end or to where the file makes no sense any more; the last may be cut off."""
    view, position = memoryview(data), len(_SIGNATURE)
    while position + 8 <= len(data) and data.startswith(_SIGNATURE):
        length, name = struct.unpack_from(">I4s", data, position)
        if not name.isalpha() or not name.isascii():
            return
        payload, stop = view[position + 8 : position + 8 + length], position + 12 + length
        sound = stop <= len(data) and zlib.crc32(payload, zlib.crc32(name)) == int.from_bytes(data[stop - 4 : stop])
        yield _Chunk(name, payload, is_sound=sound, is_cut=stop > len(data))
        if name == b"IEND":
            return
        position = stop


def _needed(chunks: Sequence[_Chunk], *, least_key_bytes: int | None) -> list[_Chunk]:
    kept: list[_Chunk] = []
    names: set[bytes] = set()
    for chunk in chunks:
        name = chunk.name
        if name == b"tRNS":
            is_usable = least_key_bytes is not None and len(chunk.payload) >= least_key_bytes
        else:
            is_usable = name in _ANIMATION or _is_usable(chunk)
        is_first = name not in names or name in _MAY_REPEAT
        is_in_place = b"IDAT" not in names or name in _MAY_FOLLOW_PIXELS
        is_sound = chunk.is_sound or (chunk.is_cut and name == b"fdAT")  # its decoder refuses what is cut
        if (name in _PIXELS or (is_sound and is_usable)) and is_first and is_in_place:
            kept.append(chunk)
            names.add(name)
    return kept


def _is_usable(chunk: _Chunk) -> bool:
    if chunk.name in _TEXTS:
        return bytes(chunk.payload[:32]).startswith(_ORIENTATION_TEXTS)
    if chunk.name == b"iCCP":
        _, found, rest = bytes(chunk.payload).partition(b"\0")
        return bool(found) and rest[:1] == b"\0"
    return chunk.name in _LEAST_BYTES and len(chunk.payload) >= _LEAST_BYTES[chunk.name]


def _is_animation_sound(kept: Sequence[_Chunk], chunks: Sequence[_Chunk]) -> bool:
    """Whether the numbers of an APNG agree with one another; True when there is no animation.

    Raises UnreadableFile when frames are missing and the end of the file is as well.
    Source: PNG (third edition) section 11.3.6.
    """
    animation = [chunk for chunk in kept if chunk.name in _ANIMATION or chunk.name == b"IDAT"]
    names = [chunk.name for chunk in animation]
    if not set(names) & set(_ANIMATION):
        return True
    if names[0] != b"acTL" or names.count(b"acTL") != 1 or b"IDAT" not in names:
        return False
    if any(len(chunk.payload) < _ANIMATION.get(chunk.name, 0) for chunk in animation):
        return False
    numbers = [int.from_bytes(chunk.payload[:4]) for chunk in animation if chunk.name in (b"fcTL", b"fdAT")]
    if numbers != list(range(len(numbers))):
        return False
    width, height = struct.unpack_from(">II", kept[0].payload)
    if not all(_is_region(chunk.payload, width, height) for chunk in animation if chunk.name == b"fcTL"):
        return False
    claimed = int.from_bytes(animation[0].payload[:4])
    if names.count(b"fcTL") < claimed and chunks[-1].name != b"IEND":
        raise UnreadableFile("The image is damaged or incomplete.")
    return names.count(b"fcTL") == claimed and _is_in_order(animation, width, height)


def _is_region(control: memoryview, width: int, height: int) -> bool:
    """Whether a frame lies within the picture and is laid on in a known way."""
    across, down, left, top = struct.unpack_from(">IIII", control, 4)
    fits = across > 0 and down > 0 and left + across <= width and top + down <= height
    return fits and control[24] <= 2 and control[25] <= 1


def _is_in_order(animation: Sequence[_Chunk], width: int, height: int) -> bool:
    """Whether pixels follow each control chunk, and the one in front of the default picture means all of it."""
    last = animation[0]
    for chunk in animation[1:]:
        after = (last.name, chunk.name)
        if after in ((b"fcTL", b"fcTL"), (b"IDAT", b"fdAT"), (b"acTL", b"fdAT"), (b"fdAT", b"IDAT")):
            return False
        if after == (b"fcTL", b"IDAT") and last.payload[4:12] != struct.pack(">II", width, height):
            return False
        last = chunk
    return last.name != b"fcTL"


def _key(kept: Sequence[_Chunk], *, bits: int, color: int) -> Key | None:
    # Of the two bytes of each sample only the bits count that a sample has.
    payload = next((bytes(chunk.payload) for chunk in kept if chunk.name == b"tRNS"), b"")
    mask = (1 << bits) - 1
    if color == _GREY and len(payload) >= 2:
        return int.from_bytes(payload[:2]) & mask
    if color == _COLOR and len(payload) >= 6:
        red, green, blue = struct.unpack_from(">HHH", payload)
        return red & mask, green & mask, blue & mask
    return None


def _written(kept: Sequence[_Chunk]) -> bytes:
    parts: list[bytes | memoryview] = [_SIGNATURE]
    for chunk in kept:
        parts += [struct.pack(">I4s", len(chunk.payload), chunk.name), chunk.payload]
        parts.append(struct.pack(">I", zlib.crc32(chunk.payload, zlib.crc32(chunk.name))))
    return b"".join([*parts, _END])
