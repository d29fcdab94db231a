"""Owns one judgement: whether the pixels of a JPEG that was decoded were all in the file.

libjpeg, by which Pillow decodes, fills what is missing with grey and says nothing as long as there is an end marker. So
the marker is not asked: FFmpeg is, whose decoder stops where the data do.
"""

from typing import Final

from PIL import Image

from app.core.errors import UnreadableFile
from app.core.processing.imaging import ffmpeg_codec, vips_codec
from app.core.processing.imaging.jpeg_segments import JpegSegments

_BLOCK_PIXELS: Final = 8
_ROW_PIXELS: Final = 16
"""Height of a row of blocks with four pixels to a colour; the last row is no proof, since decoders judge its end
differently."""
_TAIL_BYTES: Final = 120
_MAX_PERIOD_BYTES: Final = 40


def check(data: bytes, segments: JpegSegments, decoded: Image.Image, *, size: tuple[int, int]) -> None:
    """Raise UnreadableFile when a part of the picture is missing.

    data: the file, with an end marker.  decoded: by Pillow, perhaps at a fraction of `size`.
    To decode a second time would cost as much as the first, so this is done only where the file gives cause: without
    an end marker, with scans missing, or when the last blocks have one colour, as those have that libjpeg invents, and
    the data do not say so.
    """
    had_end = segments.end is None
    if had_end and segments.is_refined and not _may_be_invented(segments, decoded, size):
        return
    is_whole = ffmpeg_codec.is_whole(data, size=size)
    if is_whole is None:
        is_whole = had_end or vips_codec.is_faultless_jpeg(data, size=size)
    if not is_whole:
        raise UnreadableFile("The image is damaged or incomplete.")


def _may_be_invented(segments: JpegSegments, decoded: Image.Image, size: tuple[int, int]) -> bool:
    return _ends_in_one_color(decoded, size) and not any(_repeats_itself(part) for part in segments.needed[-1:])


def _ends_in_one_color(decoded: Image.Image, size: tuple[int, int]) -> bool:
    """Whether the last block of the last row but one is of one colour along a line."""
    scale = max(1, round(size[0] / decoded.width))
    row = decoded.height - 1 - _ROW_PIXELS // scale
    if row < 0:
        return False
    block = max(1, _BLOCK_PIXELS // scale)
    left = (decoded.width - 1) // block * block
    extrema = decoded.crop((left, row, decoded.width, row + 1)).getextrema()
    bands = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(low == high for low, high in bands)


def _repeats_itself(scan: memoryview) -> bool:
    """Whether the data end in the same few bits again and again, as they do for a plain surface."""
    tail = bytes(scan[-_TAIL_BYTES:-2])  # the last byte is filled up
    return any(tail[period:] == tail[:-period] for period in range(1, _MAX_PERIOD_BYTES))
