"""Owns how the frame that stands for a video becomes an upright picture with square pixels."""

from fractions import Fraction

from PIL import Image

from app.core.processing.av import frame_pixels, hdr
from app.core.processing.av.av_container import FFmpegError, VideoFrame, display_matrix

_WIDEST_PIXEL = 10
_WIDEST_FRAME = 2**31 - 1


def turned(frame: VideoFrame) -> Image.Transpose | None:
    """How the display matrix of the frame wants it turned or mirrored; None for not at all.

    Source: ISO/IEC 14496-12 section 6.2.2: a point (x, y) is shown at (ax + cy, bx + dy), y downwards.
    """
    matrix = display_matrix(frame)
    if matrix is None:
        return None
    a, b, _, c, d = matrix[:5]
    upright = abs(a) + abs(d) >= abs(b) + abs(c)
    return _TURNS[(True, a < 0, d < 0) if upright else (False, b < 0, c < 0)]


_TURNS = {
    (True, False, False): None,
    (True, True, True): Image.Transpose.ROTATE_180,
    (True, True, False): Image.Transpose.FLIP_LEFT_RIGHT,
    (True, False, True): Image.Transpose.FLIP_TOP_BOTTOM,
    (False, False, True): Image.Transpose.ROTATE_270,
    (False, True, False): Image.Transpose.ROTATE_90,
    (False, False, False): Image.Transpose.TRANSPOSE,
    (False, True, True): Image.Transpose.TRANSVERSE,
}
SIDEWAYS = frozenset(
    {Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270, Image.Transpose.TRANSPOSE, Image.Transpose.TRANSVERSE}
)
"""The turns that exchange width and height."""


def shown_size(width: int, height: int, *, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """Width and height with square pixels, before turning: the width is stretched, as players do.

    pixel_aspect: width of a pixel over its height; absent, zero or beyond 10:1 counts as square.
    """
    if not pixel_aspect or not Fraction(1, _WIDEST_PIXEL) <= pixel_aspect <= _WIDEST_PIXEL:
        return width, height
    return min(_WIDEST_FRAME, max(1, round(width * pixel_aspect))), height


def picture(frame: VideoFrame, *, pixel_aspect: Fraction | None, box: tuple[int, int]) -> Image.Image | None:
    """The frame as RGB, upright, with square pixels, scaled down to about `box` (width, height); None when it fails."""
    width, height = shown_size(frame.width, frame.height, pixel_aspect=pixel_aspect)
    turn = turned(frame)
    room = box[::-1] if turn in SIDEWAYS else box
    scale = min(1.0, room[0] / width, room[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    try:
        image = frame_pixels.in_color(frame, size)
    except (FFmpegError, ValueError):
        return None
    if hdr.is_hdr(frame.color_trc):
        image = hdr.to_sdr(image, transfer=frame.color_trc)
    return image if turn is None else image.transpose(turn)
