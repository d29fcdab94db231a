"""Owns what FFmpeg does in Pillow's place: reducing ordinary JPEG photographs as the planes they are stored in.

A JPEG holds brightness and two colours of a quarter of its size. libjpeg makes RGB of them before anything else and the
encoder undoes it; reducing the planes saves both, and half of the arithmetic (decision 0013). FFmpeg stops at the first
fault it sees; the function then returns None, and Pillow alone judges whether a file can be read.
"""

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

from av import CodecContext, FFmpegError, VideoFrame
from av.codec.context import ThreadType
from av.error import InvalidDataError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Interpolation, VideoReformatter
from PIL import Image

Size: TypeAlias = tuple[int, int]

MAX_WHOLE_PIXELS: Final = 25_000_000
"""The planes are held whole, with up to three bytes a pixel, nine for a progressive file while it is decoded; larger
pictures are read line by line by libvips."""
_PLANES: Final = {
    "L": {"gray": (1, 1)},
    "RGB": {"yuvj420p": (2, 2), "yuvj422p": (2, 1), "yuvj440p": (1, 2), "yuvj444p": (1, 1), "yuvj411p": (4, 1)},
}
"""By Pillow's mode, what FFmpeg calls the planes: how many pixels share one colour, across and down."""
_DECODER_OPTIONS: Final = {"err_detect": "crccheck+bitstream+buffer+explode"}
_BLOCK_PIXELS: Final = 32
"""Across and down: the most that a JPEG's blocks reach over an edge, with four pixels to a colour."""
_KERNEL: Final = Interpolation.LANCZOS | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
"""Without the flags swscale rounds so that a plain grey becomes three of 255 lighter (libswscale 9.5)."""


def reduced(data: bytes, *, mode: str, size: Size, sizes: Sequence[Size]) -> list[Image.Image] | None:
    """The JPEG photograph in `data` at each of `sizes`, in its own mode, L or RGB; decoded once.

    mode, size: what its header says, checked.  sizes: the first is made from the file, the others from the first.
    None for a picture that is too large, that FFmpeg finds damaged, or that is stored otherwise than photographs are.
    """
    if mode not in _PLANES or size[0] * size[1] > MAX_WHOLE_PIXELS:
        return None
    try:
        frame = _decoded(data, size)
        if frame is None or (frame.width, frame.height) != size or not _is_usable(frame, mode):
            return None
        first = _scaled(frame, sizes[0], "gray" if mode == "L" else "yuvj444p")
        del frame  # with the whole picture, before more copies are made
        return [_of_planes(first), *(_of_pixels(first, other, mode) for other in sizes[1:])]
    except (FFmpegError, ValueError):
        return None


def is_whole(data: bytes, *, size: Size) -> bool | None:
    """Whether the pixel data of a JPEG last to its end; the last block may lack a few bits.

    size: what its header says, checked.  None when FFmpeg cannot tell: it does not read all kinds of JPEG.
    """
    try:
        return True if _decoded(data, size) is not None else None
    except InvalidDataError:
        return False
    except (FFmpegError, ValueError, MemoryError):
        return None


def _decoded(data: bytes, size: Size) -> VideoFrame | None:
    context = CodecContext.create("mjpeg", "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count, context.thread_type = 1, ThreadType.NONE
    # A second header in the file could ask for another size, and with it for any amount of memory.
    most_pixels = math.prod(-(-side // _BLOCK_PIXELS) * _BLOCK_PIXELS for side in size)
    context.options = {**_DECODER_OPTIONS, "max_pixels": str(most_pixels)}
    frames = context.decode(Packet(data))
    return frames[0] if len(frames) == 1 and not frames[0].is_corrupt else None


def _is_usable(frame: VideoFrame, mode: str) -> bool:
    shared = _PLANES[mode].get(frame.format.name)
    # swscale stretches colours that reach over the edge by half a pixel.
    return shared is not None and frame.width % shared[0] == 0 and frame.height % shared[1] == 0


def _scaled(frame: VideoFrame, size: Size, pixels: str) -> VideoFrame:
    # Threads of its own cost swscale as much again as the work.
    return VideoReformatter().reformat(frame, *size, format=pixels, interpolation=_KERNEL, threads=1)


def _of_planes(frame: VideoFrame) -> Image.Image:
    """L or YCbCr, with the very values of the planes: the encoder wants no others."""
    size = (frame.width, frame.height)
    bands = [Image.frombytes("L", size, bytes(plane), "raw", "L", plane.line_size, 1) for plane in frame.planes]
    return Image.merge("YCbCr", bands) if len(bands) == 3 else bands[0]


def _of_pixels(frame: VideoFrame, size: Size, mode: str) -> Image.Image:
    # In two steps, since on the way to RGB swscale scales three times as slowly.
    small = _scaled(_scaled(frame, size, frame.format.name), size, "gray" if mode == "L" else "rgb24")
    [plane] = small.planes
    return Image.frombytes(mode, size, bytes(plane), "raw", mode, plane.line_size, 1)
