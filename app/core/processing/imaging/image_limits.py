"""Owns the limits of a picture, told from its header before anything is decoded. Imports no image library."""

import struct

from app.core.errors import FileTooComplex, UnreadableFile
from app.core.processing.contract import ProcessingOptions
from app.core.processing.imaging import gif_blocks

_MAX_PNG_CHUNKS = 50_000
_MAX_PNG_PROFILES = 16
_ISO_SIZE, _ISO_HEADER_BYTES = b"\0\0\0\x14ispe\0\0\0\0", 1024 * 1024


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
    (width, height), frames = gif_blocks.canvas(data), 0
    for frame in gif_blocks.frames(data):
        width, height = max(width, frame.left + frame.width), max(height, frame.top + frame.height)
        frames += 1
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


def check_iso(data: bytes, *, options: ProcessingOptions) -> None:
    """Check the sizes in an AVIF or HEIC file that could not be opened: decoders call what is too large damaged.

    For other files they say nothing, since a coded size may be larger than the picture.

    Raises FileTooComplex.  Source: ISO/IEC 23008-12 section 6.5.3, ImageSpatialExtentsProperty.
    """
    position = data.find(_ISO_SIZE, 0, _ISO_HEADER_BYTES)
    while position >= 0 and position + 20 <= len(data):
        width, height = struct.unpack_from(">II", data, position + 12)
        if width > 0 and height > 0:
            check(width_px=width, height_px=height, frames=1, options=options)
        position = data.find(_ISO_SIZE, position + 16, _ISO_HEADER_BYTES)
