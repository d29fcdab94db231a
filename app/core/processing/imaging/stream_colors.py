"""Owns the colours that the coded picture itself states, where the boxes of an AVIF or HEIC file do not. By PyAV."""

import io
from typing import Final

import av
from av import FFmpegError

from app.core.processing.imaging.heif_colors import HeifColors

MAX_PIXELS: Final = 25_000_000
"""FFmpeg may decode the picture to learn what it is; larger ones, of which hardly any lacks the box, are not asked."""


def read(data: bytes, *, size: tuple[int, int]) -> HeifColors | None:
    """The code points of AV1's sequence header or HEVC's parameter sets; None when FFmpeg cannot read the file.

    size: of the picture, as its header says.
    """
    if size[0] * size[1] > MAX_PIXELS:
        return None
    try:
        with av.open(io.BytesIO(data), format="mov", options={"max_pixels": str(MAX_PIXELS)}) as container:
            stream = next(iter(container.streams.video), None)
            context = None if stream is None else stream.codec_context
            return None if context is None else HeifColors(int(context.color_primaries), int(context.color_trc), None)
    except (FFmpegError, ValueError, LookupError):
        return None
