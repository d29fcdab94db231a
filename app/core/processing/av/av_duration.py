"""Owns how long a file plays: what its header claims when credible, what its packets add up to when not."""

import math
from dataclasses import dataclass

from app.core.processing.av.av_container import (
    AudioStream,
    FFmpegError,
    InputContainer,
    StreamPacket,
    audio_streams,
    codec_name,
    open_container,
    video_streams,
)
from app.core.processing.av.av_packets import CpuBudget, PacketWalk

_MICROSECONDS = 1_000_000
_MAX_SECONDS = 2**31 - 1
_SLOWEST_BYTES_PER_S = 100
_FASTEST_BYTES_PER_S = 200_000_000
_WALK_CPU_S = 2.0
_TAIL_CPU_S = 0.2
_HEADER_TOLERANCE_S = 0.1
# FFmpeg computes the duration of these from the index of all samples, not from what a header claims.
_INDEXED = frozenset({"mov"})
_WITH_HEADER = frozenset({"matroska", "avi"})
# Broadcast forms have no header; joining two of their files with `cat` makes a third.
_WITHOUT_HEADER = frozenset({"mpegvideo", "mpeg", "mpegts"})
_BACK_S, _AHEAD_S = 1.0, 10.0
"""Frames are stored up to a second out of order; broadcast clocks jump by more than ten at a seam (FFmpeg's limit)."""


# A packet of sound lasts no longer than its codec lets it, whatever the container says (FFmpeg computes the length of
# an Ogg file's last packet from two positions, and one that ends before it begins lasts for days).
_LONGEST_S = {"opus": 0.12, "vorbis": 1.024, "mp3": 0.144, "mp2": 0.144, "aac": 0.512, "ac3": 0.048, "eac3": 0.048}
_LONGEST_OF_ANY_SOUND_S = 8.192
"""FLAC: 65,535 samples at 8 kHz."""


@dataclass(slots=True)
class _Clock:
    """What one stream's packets count in, and where it is. Asking each packet for its time base costs half a walk."""

    tick_s: float
    longest_s: float
    now_s: float | None = None
    part: int = 0


class PlayedSpan:
    """Adds up packets: from the first presentation time to the end of the last one, or their lengths without times."""

    def __init__(self, *, may_restart: bool = False) -> None:
        """may_restart: a jump of the clock is the seam between two recordings, and each counts by itself."""
        self._may_restart = may_restart
        self._parts: list[tuple[float, float]] = []
        self._clocks: dict[int, _Clock] = {}
        self.lengths_s = 0.0
        self.size_bytes = 0

    def add(self, packet: StreamPacket) -> None:
        """Count one packet; an empty one (it flushes a decoder) and one without a usable time base count nothing."""
        clock = self._clocks.get(packet.stream_index)
        if clock is None:
            tick_s = max(0.0, float(packet.time_base or 0))
            clock = self._clocks[packet.stream_index] = _Clock(tick_s, _longest_packet_s(packet))
        self.size_bytes += packet.size
        if not packet.size or not clock.tick_s:
            return
        length_s = min(max(packet.duration or 0, 0) * clock.tick_s, clock.longest_s)
        self.lengths_s += length_s
        if packet.pts is not None:
            self._extend(clock, packet.pts * clock.tick_s, length_s)

    def _extend(self, clock: _Clock, begin_s: float, length_s: float) -> None:
        if self._may_restart and clock.now_s is not None and not -_BACK_S <= begin_s - clock.now_s <= _AHEAD_S:
            clock.part += 1
        clock.now_s = begin_s
        while clock.part >= len(self._parts):
            self._parts.append((math.inf, -math.inf))
        start_s, end_s = self._parts[clock.part]
        self._parts[clock.part] = (min(start_s, begin_s), max(end_s, begin_s + length_s))

    @property
    def end_s(self) -> float:
        """When the last packet ends, by the clock of the file; minus infinity before any."""
        return self._parts[-1][1] if self._parts else -math.inf

    @property
    def seconds(self) -> float | None:
        """None when no packet said anything, or something no row can hold."""
        spanned_s = sum(end_s - start_s for start_s, end_s in self._parts if end_s > start_s)
        return credible_seconds(spanned_s) or credible_seconds(self.lengths_s)


def _longest_packet_s(packet: StreamPacket) -> float:
    stream = packet.stream
    if not isinstance(stream, AudioStream):
        return math.inf
    return _LONGEST_S.get(codec_name(stream), _LONGEST_OF_ANY_SOUND_S)


def credible_seconds(seconds: float | None) -> float | None:
    """`seconds` when they are positive and their whole number fits into 31 bits, else None."""
    return seconds if seconds is not None and 0 < seconds <= _MAX_SECONDS else None


def header_seconds(container: InputContainer) -> float | None:
    """What the header says, or FFmpeg's estimate in its place; None when absent, negative or out of range."""
    claimed = container.duration
    return None if claimed is None else credible_seconds(claimed / _MICROSECONDS)


def duration_of(path: str, *, demuxer: str, container: InputContainer) -> float | None:
    """Exact seconds that the file opened as `container` plays.

    The header is believed when it can be true for a file of that size and the last packets agree. A missing one
    (recordings of a browser), a broadcast form (FFmpeg only guesses) or a wild one is settled by walking the packets,
    at most two seconds of processor time (a millisecond a megabyte); a walk that was cut short or found nothing leaves
    what the header said.
    """
    claimed = header_seconds(container)
    can_be_true = claimed is not None and _can_be_true(claimed, size_bytes=container.size)
    if demuxer in _INDEXED and can_be_true:
        return claimed
    if demuxer in _WITH_HEADER and can_be_true and _tail_agrees(path, demuxer=demuxer, claimed_s=claimed or 0.0):
        return claimed
    with open_container(path, demuxer=demuxer) as walked:
        streams = (*video_streams(walked), *audio_streams(walked))
        span = PlayedSpan(may_restart=demuxer in _WITHOUT_HEADER)
        packets = PacketWalk(walked, *streams, budget=CpuBudget(_WALK_CPU_S))
        for packet in packets:
            span.add(packet)
        # Without a container the times are made up from the lengths, and reordered frames leave gaps in them.
        walked_s = credible_seconds(span.lengths_s) if demuxer == "mpegvideo" else span.seconds
        return (walked_s if packets.is_complete else None) or claimed


def _tail_agrees(path: str, *, demuxer: str, claimed_s: float) -> bool:
    """Whether the packets from the last keyframe before `claimed_s` on end there."""
    with open_container(path, demuxer=demuxer) as container:
        try:
            container.seek(round(claimed_s * _MICROSECONDS))
        except FFmpegError:
            return False
        span = PlayedSpan()
        packets = PacketWalk(
            container, *video_streams(container), *audio_streams(container), budget=CpuBudget(_TAIL_CPU_S)
        )
        for packet in packets:
            span.add(packet)
        return packets.is_complete and abs(span.end_s - claimed_s) <= _HEADER_TOLERANCE_S


def _can_be_true(seconds: float, *, size_bytes: int) -> bool:
    return _SLOWEST_BYTES_PER_S <= size_bytes / seconds <= _FASTEST_BYTES_PER_S
