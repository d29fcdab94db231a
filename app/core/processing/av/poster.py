"""Owns which frame stands for a video, and how it becomes an upright picture with square pixels.

A keyframe near a tenth of the duration is looked at first, then some further away; a later one wins only when it is
clearly better: not black, not white, with contrast and with edges (a cross-fade or motion blur has few). Everything is
bounded: pixels a frame, frames, and processor time; whatever cannot be decoded leaves a video without poster.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from PIL import Image, ImageFilter, ImageStat

from app.core.processing.av import hdr
from app.core.processing.av.av_container import (
    MAX_FRAME_PIXELS,
    ColorRange,
    FFmpegError,
    InputContainer,
    Interpolation,
    VideoFrame,
    VideoStream,
    can_decode,
    display_matrix,
    frame_size,
    prepare_decoder,
)
from app.core.processing.av.av_packets import CpuBudget, PacketWalk, video_frames

_PLACES = (0.10, 0.15, 0.06, 0.22, 0.35, 0.5, 0.7)
_MICROSECONDS = 1_000_000
_CPU_S = 0.6
_CPU_PER_PLACE_S = 0.12
_MAX_FRAMES_PER_PLACE = 60
_SEARCH_CPU_S = 0.8
_SEARCH_EVERY_FRAMES = 8
_SEARCH_MAX_FRAMES = 1_500
_CLEARLY_BETTER = 1.25
_GOOD, _DULL = 0.6, 0.15
_LOOKS_AT_LEAST = 3
_SCORING_WIDTH = 160
_WIDEST_PIXEL = 10
_WIDEST_FRAME = 2**31 - 1


@dataclass(slots=True)
class _Choice:
    """The best frame so far: an earlier one stays unless a later one is clearly better."""

    frame: VideoFrame | None = None
    score: float = -1.0
    seen: int = 0

    def consider(self, frame: VideoFrame) -> None:
        score = _score(frame)
        self.seen += 1
        if self.frame is None or score > max(self.score, 0.001) * _CLEARLY_BETTER:
            self.frame, self.score = frame, score


def best_frame(container: InputContainer, stream: VideoStream, *, duration_s: float | None) -> VideoFrame | None:
    """The frame to show, undisturbed as decoded; None when the codec is not ours, too large or never yields one.

    duration_s: of the file; None looks at the beginning only.  Moves the position of `container`.
    """
    width, height = frame_size(stream) or (0, 0)
    if not can_decode(stream) or not 0 < width * height <= MAX_FRAME_PIXELS:
        return None
    prepare_decoder(stream)
    choice, budget = _Choice(), CpuBudget(_CPU_S)
    start_s = (container.start_time or 0) / _MICROSECONDS
    for place in _PLACES if duration_s else (0.0,):
        frame = _frame_at(container, stream, start_s + place * (duration_s or 0.0))
        if frame is not None:
            choice.consider(frame)
        if budget.is_spent or (choice.seen >= _LOOKS_AT_LEAST and choice.score >= _GOOD):
            break
    if choice.score < _DULL:
        _search_from_start(container, stream, choice)
    return choice.frame


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
        image = _render(frame, size)
    except (FFmpegError, ValueError):
        return None
    if hdr.is_hdr(frame.color_trc):
        image = hdr.to_sdr(image, transfer=frame.color_trc)
    return image if turn is None else image.transpose(turn)


def _render(frame: VideoFrame, size: tuple[int, int], *, gray: bool = False) -> Image.Image:
    """The whole frame scaled to `size`, as RGB or as grey; raises FFmpegError or ValueError."""
    scaled = frame.reformat(
        width=size[0],
        height=size[1],
        format="gray" if gray else "rgb24",
        interpolation=Interpolation.AREA if gray else Interpolation.BICUBIC,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    mode, plane = "L" if gray else "RGB", scaled.planes[0]
    return Image.frombytes(mode, size, bytes(plane), "raw", mode, plane.line_size, 1)


def _frame_at(container: InputContainer, stream: VideoStream, at_s: float) -> VideoFrame | None:
    """The first sound frame at or after `at_s`, or the last one before the limits were reached."""
    try:
        container.seek(int(at_s * _MICROSECONDS))
    except (FFmpegError, OverflowError):
        # A stream without an index cannot seek: the next frame from wherever we are does as well.
        return next(_frames(container, stream, CpuBudget(_CPU_PER_PLACE_S)), None)
    last = None
    for number, frame in enumerate(_frames(container, stream, CpuBudget(_CPU_PER_PLACE_S))):
        last = frame
        if number >= _MAX_FRAMES_PER_PLACE or frame.time is None or frame.time >= at_s:
            break
    return last


def _search_from_start(container: InputContainer, stream: VideoStream, choice: _Choice) -> None:
    try:
        container.seek(container.start_time or 0)
    except (FFmpegError, OverflowError):
        return
    for number, frame in enumerate(_frames(container, stream, CpuBudget(_SEARCH_CPU_S))):
        if number % _SEARCH_EVERY_FRAMES == 0:
            choice.consider(frame)
        if choice.score >= _GOOD or number >= _SEARCH_MAX_FRAMES:
            return


def _frames(container: InputContainer, stream: VideoStream, budget: CpuBudget) -> Iterator[VideoFrame]:
    for packet in PacketWalk(container, stream, budget=budget):
        for frame in video_frames(stream, packet):
            if not frame.is_corrupt and 0 < frame.width * frame.height <= MAX_FRAME_PIXELS:
                yield frame
        if budget.is_spent:
            return


def _score(frame: VideoFrame) -> float:
    """0 for black, white or unreadable, up to about 1: brightness x (contrast and sharpness)."""
    width = max(3, min(_SCORING_WIDTH, frame.width))
    height = max(3, min(_SCORING_WIDTH, round(frame.height * width / frame.width)))
    try:
        gray = _render(frame, (width, height), gray=True)
    except (FFmpegError, ValueError):
        return 0.0
    light = ImageStat.Stat(gray)
    edges = ImageStat.Stat(gray.filter(ImageFilter.FIND_EDGES).crop((1, 1, gray.width - 1, gray.height - 1)))
    mean, contrast, sharpness = light.mean[0], min(1.0, light.stddev[0] / 60), min(1.0, edges.stddev[0] / 50)
    brightness = max(0.0, min(1.0, (mean - 12) / 40, (250 - mean) / 30))
    return brightness * (0.1 + 0.5 * contrast + 0.4 * sharpness)
