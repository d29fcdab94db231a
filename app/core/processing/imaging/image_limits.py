"""Owns the limits of a picture, told from its header before anything is decoded. Imports no image library."""

import struct
from collections.abc import Iterator

from app.core.errors import FileTooComplex, UnreadableFile
from app.core.processing.contract import ProcessingOptions

_MAX_PNG_CHUNKS = 50_000
_MAX_PNG_PROFILES = 16
_GIF_IMAGE, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, 0x3B


def check(*, width_px: int, height_px: int, frames: int, options: ProcessingOptions) -> None:
    """Raise FileTooComplex when width x height x frames or the number of frames exceeds its limit, UnreadableFile when
    a side is zero."""
    if width_px < 1 or height_px < 1 or frames < 1:
        raise UnreadableFile("The image has no pixels.")
    if frames > options.max_image_frames:
        raise FileTooComplex(f"The image has more than {options.max_image_frames} frames.")
    if width_px * height_px * frames > options.max_image_pixels:
        raise FileTooComplex(
            f"The image of {width_px} x {height_px} pixels and {frames} frames exceeds the limit of "
            f"{options.max_image_pixels} pixels."
        )


def check_gif(data: bytes, *, options: ProcessingOptions) -> None:
    """Check a GIF by its blocks, stopping at the first frame too many: Pillow would have to seek through all of them.

    The canvas is as large as the largest frame, whatever the header says, because decoders enlarge it.
    Raises FileTooComplex, UnreadableFile.  Source: GIF89a specification, appendix B.
    """
    width, height, frames = 0, 0, 0
    for right, bottom in _gif_frames(data):
        width, height, frames = max(width, right), max(height, bottom), frames + 1
        check(width_px=width, height_px=height, frames=frames, options=options)
    if frames == 0:
        raise UnreadableFile("The GIF file contains no picture.")


def check_png(data: bytes) -> None:
    """Refuse a PNG whose chunks are the attack: too many to read, or colour profiles that unpack a thousandfold each.

    Raises FileTooComplex.  Source: PNG (third edition) section 5.3, chunk layout; 11.3.2.3, at most one profile.
    """
    position, chunks, profiles = 8, 0, 0
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        chunks += 1
        profiles += name == b"iCCP"
        if chunks > _MAX_PNG_CHUNKS or profiles > _MAX_PNG_PROFILES:
            raise FileTooComplex("The PNG file has too many chunks.")
        position += length + 12


def _gif_frames(data: bytes) -> Iterator[tuple[int, int]]:
    """Right and bottom edge of each frame, at least those of the canvas; ends quietly where the file is cut off."""
    if len(data) < 13:
        return
    canvas_width, canvas_height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _color_table_bytes(flags)
    while position < len(data):
        kind = data[position]
        if kind == _GIF_IMAGE and position + 11 <= len(data):
            left, top, width, height, flags = struct.unpack_from("<HHHHB", data, position + 1)
            yield max(canvas_width, left + width), max(canvas_height, top + height)
            position = _after_sub_blocks(data, position + 11 + _color_table_bytes(flags))
        elif kind == _GIF_EXTENSION:
            position = _after_sub_blocks(data, position + 2)
        elif kind == _GIF_END:
            return
        else:
            position += 1


def _color_table_bytes(flags: int) -> int:
    return 6 << (flags & 7) if flags & 0x80 else 0


def _after_sub_blocks(data: bytes, position: int) -> int:
    while position < len(data) and data[position]:
        position += data[position] + 1
    return position + 1
