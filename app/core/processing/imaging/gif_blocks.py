"""Owns the blocks of a GIF file: finding its frames, and writing frames into a file of our own. No library.

Source: GIF89a specification, appendix B; the looping block is Netscape's.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from app.core.errors import FileTooComplex, UnreadableFile

_IMAGE, _EXTENSION, _END = 0x2C, 0x21, 0x3B
_CONTROL, _PLAIN_TEXT, _APPLICATION = 0xF9, 0x01, 0xFF
_LOOPING: Final = (b"\x0bNETSCAPE2.0", b"\x0bANIMEXTS1.0")
_MAX_BLOCK_BYTES: Final = 255
_MAX_BLOCKS: Final = 250_000
"""Twice as many as the most frames that any setting allows; 9 MB have room for three million."""
_BEGIN_OR_END: Final = re.compile(rb"[\x21\x2c\x3b]")


@dataclass(frozen=True, slots=True)
class GifFrame:
    """A frame as the file has it.

    palette: its own, None for that of the file.  code_bits, codes: the compressed indexes, in blocks as stored.
    disposal: 2 clears its place afterwards, 3 brings back what was there.  transparent: an index, if any.
    """

    left: int
    top: int
    width: int
    height: int
    palette: bytes | None
    is_interlaced: bool
    code_bits: int
    codes: bytes
    delay_cs: int = 0
    disposal: int = 0
    transparent: int | None = None


@dataclass(frozen=True, slots=True)
class GifFile:
    """size: of the canvas, at least that of the first frame.  loop: 0 for ever, None when it plays once."""

    size: tuple[int, int]
    palette: bytes | None
    loop: int | None
    frames: tuple[GifFrame, ...]


def canvas(data: bytes) -> tuple[int, int]:
    """Width and height that the header states; 0 x 0 when there is none."""
    return struct.unpack_from("<HH", data, 6) if len(data) >= 13 else (0, 0)


def read(data: bytes) -> GifFile:
    """The frames of a file that was checked to have some, with whatever else decides what is shown.

    Raises UnreadableFile when the head of a frame is cut off; a missing end is none of the picture.
    """
    found = tuple(frames(data))
    width, height = canvas(data)
    size = max(width, found[0].left + found[0].width), max(height, found[0].top + found[0].height)
    return GifFile(size, data[13 : 13 + _table_bytes(data[10])] or None, _loop(data), found)


def frames(data: bytes) -> Iterator[GifFrame]:
    """The frames one by one, with nothing decoded."""
    control = (0, 0, None)
    for start, stop in _blocks(data):
        if data[start] == _IMAGE:
            yield _frame(data, start, stop, control)
            control = (0, 0, None)
        elif data[start + 1 : start + 3] == bytes((_CONTROL, 4)) and start + 7 <= len(data):
            flags, delay, transparent = struct.unpack_from("<BHB", data, start + 3)
            control = (delay, flags >> 2 & 7, transparent if flags & 1 else None)
        elif data[start + 1] == _PLAIN_TEXT:
            control = (0, 0, None)


def written(gif: GifFile, new: Sequence[GifFrame]) -> bytes:
    """A file with these frames, and of `gif` only its size, palette and loop."""
    bits = _table_bits(gif.palette or b"")
    parts = [b"GIF89a", struct.pack("<HHBBB", *gif.size, 0x70 | (0x80 | bits - 1 if gif.palette else 0), 0, 0)]
    parts.append(_table(gif.palette))
    if gif.loop is not None and len(new) > 1:
        parts.append(bytes((_EXTENSION, _APPLICATION)) + _LOOPING[0] + struct.pack("<BBHB", 3, 1, gif.loop, 0))
    for frame in new:
        flags = frame.disposal << 2 | (frame.transparent is not None)
        if flags or frame.delay_cs:
            control = struct.pack("<BBHB", 4, flags, frame.delay_cs, frame.transparent or 0)
            parts.append(bytes((_EXTENSION, _CONTROL)) + control + b"\0")
        flags = 0x40 * frame.is_interlaced | (0x80 | _table_bits(frame.palette) - 1 if frame.palette else 0)
        parts.append(struct.pack("<BHHHHB", _IMAGE, frame.left, frame.top, frame.width, frame.height, flags))
        parts += [_table(frame.palette), bytes((frame.code_bits,)), frame.codes]
    return b"".join([*parts, bytes((_END,))])


def unblocked(codes: bytes) -> bytes:
    """The compressed data without the lengths of their blocks."""
    parts, position = [], 0
    while position < len(codes) and codes[position]:
        parts.append(codes[position + 1 : position + 1 + codes[position]])
        position += 1 + codes[position]
    return b"".join(parts)


def blocked(codes: bytes) -> bytes:
    """Compressed data in blocks as long as they may be, and the empty one that ends them."""
    blocks = (codes[start : start + _MAX_BLOCK_BYTES] for start in range(0, len(codes), _MAX_BLOCK_BYTES))
    return b"".join(bytes((len(block),)) + block for block in blocks) + b"\0"


def _blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """First byte and end of each image and extension, up to the end of the file or its mark.

    Raises UnreadableFile when the head of an image is cut off, FileTooComplex over 250,000 blocks.
    """
    if len(data) < 13:
        return
    position = 13 + _table_bytes(data[10])
    count = 0
    while position < len(data) and data[position] != _END:
        start, count = position, count + 1
        if count > _MAX_BLOCKS:
            raise FileTooComplex("The GIF file has too many blocks.")
        if data[start] == _IMAGE:
            if start + 11 > len(data):
                raise UnreadableFile("The image is damaged or incomplete.")
            position = _after_sub_blocks(data, start + 11 + _table_bytes(data[start + 9]))
            yield start, position
        elif data[start] == _EXTENSION and start + 2 < len(data):
            position = _after_sub_blocks(data, start + 2)
            yield start, position
        else:
            following = _BEGIN_OR_END.search(data, position + 1)
            position = following.start() if following else len(data)


def _frame(data: bytes, start: int, stop: int, control: tuple[int, int, int | None]) -> GifFrame:
    left, top, width, height, flags = struct.unpack_from("<HHHHB", data, start + 1)
    codes = start + 10 + _table_bytes(flags)
    delay, disposal, transparent = control
    return GifFrame(
        left=left,
        top=top,
        width=width,
        height=height,
        palette=data[start + 10 : codes] or None,
        is_interlaced=bool(flags & 0x40),
        code_bits=data[codes] if codes < len(data) else 0,
        codes=data[codes + 1 : stop],
        delay_cs=delay,
        disposal=disposal,
        transparent=transparent,
    )


def _loop(data: bytes) -> int | None:
    for start, stop in _blocks(data):
        is_looping = data[start : start + 2] == bytes((_EXTENSION, _APPLICATION))
        if is_looping and data.startswith(_LOOPING, start + 2) and data[start + 14 : start + 16] == b"\3\1":
            return int.from_bytes(data[start + 16 : start + 18], "little") if stop >= start + 18 else None
    return None


def _table_bytes(flags: int) -> int:
    return 6 << (flags & 7) if flags & 0x80 else 0


def _table_bits(palette: bytes) -> int:
    return max(1, (len(palette) // 3 - 1).bit_length())


def _table(palette: bytes | None) -> bytes:
    return palette.ljust(3 << _table_bits(palette), b"\0") if palette else b""


def _after_sub_blocks(data: bytes, position: int) -> int:
    while position < len(data) and data[position]:
        position += data[position] + 1
    return position + 1
