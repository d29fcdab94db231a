"""Owns how long a file plays: what its header claims when credible, what its packets add up to when not."""

import math

from app.core.processing.av.av_container import (
    InputContainer,
    StreamPacket,
    audio_streams,
    open_container,
    video_streams,
)
from app.core.processing.av.av_packets import CpuBudget, PacketWalk

_MICROSECONDS = 1_000_000
_MAX_SECONDS = 2**31 - 1
_SLOWEST_BYTES_PER_S = 100
_FASTEST_BYTES_PER_S = 200_000_000
_WALK_CPU_S = 2.0


class PlayedSpan:
    """Adds up packets: from the first presentation time to the end of the last one, or their lengths without times."""

    def __init__(self) -> None:
        self._start_s, self._end_s = math.inf, -math.inf
        self.lengths_s = 0.0
        self.size_bytes = 0
        # Asking a packet for its time base makes a Fraction, which would be half of the cost of a walk.
        self._tick_s: dict[int, float] = {}

    def add(self, packet: StreamPacket) -> None:
        """Count one packet; an empty one (it flushes a decoder) and one without a usable time base count nothing."""
        tick_s = self._tick_s.get(packet.stream_index)
        if tick_s is None:
            tick_s = self._tick_s[packet.stream_index] = max(0.0, float(packet.time_base or 0))
        self.size_bytes += packet.size
        if not packet.size or not tick_s:
            return
        length_s = max(packet.duration or 0, 0) * tick_s
        self.lengths_s += length_s
        if packet.pts is not None:
            begin_s = packet.pts * tick_s
            self._start_s = min(self._start_s, begin_s)
            self._end_s = max(self._end_s, begin_s + length_s)

    @property
    def seconds(self) -> float | None:
        """None when no packet said anything, or something no row can hold."""
        return credible_seconds(self._end_s - self._start_s) or credible_seconds(self.lengths_s)


def credible_seconds(seconds: float | None) -> float | None:
    """`seconds` when they are positive and their whole number fits into 31 bits, else None."""
    return seconds if seconds is not None and 0 < seconds <= _MAX_SECONDS else None


def header_seconds(container: InputContainer) -> float | None:
    """What the header says, or FFmpeg's estimate in its place; None when absent, negative or out of range."""
    claimed = container.duration
    return None if claimed is None else credible_seconds(claimed / _MICROSECONDS)


def duration_of(path: str, *, demuxer: str, container: InputContainer) -> float | None:
    """Exact seconds that the file opened as `container` plays.

    The header is believed when it can be true for a file of that size. A missing one (recordings of a browser), an
    elementary stream (FFmpeg only guesses from the bit rate) or a wild one is settled by walking the packets, at most
    two seconds of processor time; a walk that was cut short or found nothing leaves what the header said.
    """
    claimed = header_seconds(container)
    is_bare = demuxer == "mpegvideo"
    if claimed is not None and not is_bare and _can_be_true(claimed, size_bytes=container.size):
        return claimed
    with open_container(path, demuxer=demuxer) as walked:
        streams = (*video_streams(walked), *audio_streams(walked))
        span, packets = PlayedSpan(), PacketWalk(walked, *streams, budget=CpuBudget(_WALK_CPU_S))
        for packet in packets:
            span.add(packet)
        # Without a container the times are made up from the lengths, and reordered frames leave gaps in them.
        walked_s = credible_seconds(span.lengths_s) if is_bare else span.seconds
        return (walked_s if packets.is_complete else None) or claimed


def _can_be_true(seconds: float, *, size_bytes: int) -> bool:
    return _SLOWEST_BYTES_PER_S <= size_bytes / seconds <= _FASTEST_BYTES_PER_S
