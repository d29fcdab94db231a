"""Owns walking and decoding within limits: a damaged tail ends the walk, a broken packet yields nothing.

Limits count the processor time of this process, so that a busy machine changes how long it takes, not what comes out.
"""

import time
from collections.abc import Iterator

from app.core.processing.av.av_container import (
    AudioFrame,
    AudioStream,
    FFmpegError,
    InputContainer,
    Stream,
    StreamPacket,
    VideoFrame,
    VideoStream,
)

_MAX_PACKETS = 4_000_000
_CLOCK_EVERY_PACKETS = 64


class CpuBudget:
    """So many seconds of processor time from now on; `is_spent` turns true when they are used up."""

    def __init__(self, seconds: float) -> None:
        self._end = time.process_time() + seconds

    @property
    def is_spent(self) -> bool:
        return time.process_time() >= self._end


class PacketWalk:
    """The packets of some streams from the current position on, ending at the file's end, at damage or at a limit."""

    def __init__(
        self,
        container: InputContainer,
        *streams: Stream,
        budget: CpuBudget,
    ) -> None:
        self._container = container
        self._streams = streams
        self._budget = budget
        self.is_complete = False
        """Whether the walk got to the end of what can be read."""

    def __iter__(self) -> Iterator[StreamPacket]:
        """Each packet once, then one empty packet a stream, which flushes its decoder."""
        try:
            for number, packet in enumerate(self._container.demux(*self._streams)):
                if number >= _MAX_PACKETS or (number % _CLOCK_EVERY_PACKETS == 0 and self._budget.is_spent):
                    return
                yield packet
        except (FFmpegError, ValueError):
            # Players stop at the same place: what came before the damage is the file.
            self.is_complete = True
            return
        self.is_complete = True


def video_frames(stream: VideoStream, packet: StreamPacket) -> list[VideoFrame]:
    """The pictures that this packet completes; none when the decoder refuses it."""
    try:
        return stream.decode(packet)
    except (FFmpegError, ValueError, MemoryError):
        return []


def last_video_frames(stream: VideoStream) -> list[VideoFrame]:
    """The pictures that the decoder still held back; it takes no packet any more until the container has moved."""
    try:
        return stream.decode(None)
    except (FFmpegError, ValueError, MemoryError):
        return []


def audio_frames(stream: AudioStream, packet: StreamPacket) -> list[AudioFrame]:
    """The pieces of sound in this packet; none when the decoder refuses it."""
    try:
        return stream.decode(packet)
    except (FFmpegError, ValueError, MemoryError):
        return []
