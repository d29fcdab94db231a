"""Owns how a decoded frame becomes a Pillow image of a wanted size, in colour to show it or in grey to judge it."""

from PIL import Image

from app.core.processing.av.av_container import ColorRange, Interpolation, VideoFrame


def in_color(frame: VideoFrame, size: tuple[int, int]) -> Image.Image:
    """The whole frame scaled to `size` (width, height), mode RGB; raises FFmpegError or ValueError."""
    # FFmpeg scales to four bytes a pixel in half of the time that it takes to three and rounds better, but when it only
    # converts, it leaves the last pixels of a row black (measured 2026-11, libswscale 9.5).
    pixels, raw_mode = ("rgb24", "RGB") if size == (frame.width, frame.height) else ("rgb0", "RGBX")
    return _rendered(frame, size, mode="RGB", pixels=pixels, raw_mode=raw_mode, interpolation=Interpolation.BICUBIC)


def in_grey(frame: VideoFrame, size: tuple[int, int]) -> Image.Image:
    """The brightness of the whole frame scaled to `size`, mode L, 0 to 255; raises FFmpegError or ValueError."""
    return _rendered(frame, size, mode="L", pixels="gray", raw_mode="L", interpolation=Interpolation.AREA)


def _rendered(
    frame: VideoFrame, size: tuple[int, int], *, mode: str, pixels: str, raw_mode: str, interpolation: Interpolation
) -> Image.Image:
    scaled = frame.reformat(
        width=size[0],
        height=size[1],
        format=pixels,
        interpolation=interpolation,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    plane = scaled.planes[0]
    return Image.frombytes(mode, size, bytes(plane), "raw", raw_mode, plane.line_size, 1)
