"""Owns which frame stands for a video: a keyframe near a tenth of its length, when that one shows something.

A keyframe is decoded alone, nothing before it in the file is needed. One that is neither black nor white, has contrast
and is crisp settles it; otherwise keyframes further away are looked at, and a later one wins when it is clearly better.
Only where all keyframes are dull or out of focus are the frames between them decoded, from the beginning on.
Everything is bounded: pixels a frame, frames, packets, and processor time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.core.processing.av.av_container import (
    MAX_FRAME_PIXELS,
    FFmpegError,
    InputContainer,
    PictureType,
    VideoFrame,
    VideoStream,
    can_decode,
    frame_size,
    prepare_decoder,
    skip_unreferenced_frames,
)
from app.core.processing.av.av_packets import CpuBudget, PacketWalk, last_video_frames, video_frames
from app.core.processing.av.frame_score import DULL, GOOD, NOTHING_SEEN, look_at

_PLACES = (0.10, 0.15, 0.06, 0.22, 0.35, 0.5, 0.7, 0.85, 0.95, 0.02, 0.28, 0.42, 0.6, 0.78)
_MICROSECONDS = 1_000_000
_CPU_S = 0.6
_CPU_PER_PLACE_S = 0.12
_MAX_PACKETS_PER_PLACE = 600
_CLEARLY_BETTER = 1.25
_LOOKS_FOR_GOOD, _LOOKS_FOR_ANY = 3, 7
_WHOLE_PICTURES = (PictureType.I, PictureType.NONE)


@dataclass(frozen=True, slots=True)
class _Search:
    """How far frames between keyframes are decoded."""

    max_frames: int
    cpu_s: float


_SEARCH_FOR_ANYTHING = _Search(max_frames=1_500, cpu_s=0.8)
_SEARCH_FOR_BETTER = _Search(max_frames=60, cpu_s=0.25)
_SEARCH_EVERY_FRAMES = 6


class _Choice:
    """The best frame so far: an earlier one stays unless a later one is clearly better."""

    def __init__(self) -> None:
        self.frame: VideoFrame | None = None
        self.best = NOTHING_SEEN
        self._looks = 0

    def consider(self, frame: VideoFrame) -> None:
        look = look_at(frame)
        self._looks += 1
        margin = 1.0 if look.is_convincing and not self.best.is_convincing else _CLEARLY_BETTER
        if self.frame is None or look.score > max(self.best.score, 0.001) * margin:
            self.frame, self.best = frame, look

    @property
    def is_dull(self) -> bool:
        return self.best.score < DULL

    @property
    def is_settled(self) -> bool:
        """Whether another look is not worth its time: the better the best one is, the fewer looks are enough."""
        return (
            self.best.is_convincing
            or (self._looks >= _LOOKS_FOR_GOOD and self.best.score >= GOOD)
            or (self._looks >= _LOOKS_FOR_ANY and not self.is_dull)
        )


def best_frame(container: InputContainer, stream: VideoStream, *, duration_s: float | None) -> VideoFrame | None:
    """The frame to show, undisturbed as decoded; None when the codec is not ours, too large or never yields one.

    duration_s: of the file; None looks at the beginning only.  Moves the position of `container`.
    """
    width, height = frame_size(stream) or (0, 0)
    if not can_decode(stream) or not 0 < width * height <= MAX_FRAME_PIXELS:
        return None
    prepare_decoder(stream)
    choice = _Choice()
    _look_at_keyframes(container, stream, choice, duration_s=duration_s)
    if not (choice.is_settled or choice.best.is_without_fault):
        search = _SEARCH_FOR_ANYTHING if choice.is_dull else _SEARCH_FOR_BETTER
        _look_between_keyframes(container, stream, choice, search)
    return choice.frame


def _look_at_keyframes(
    container: InputContainer, stream: VideoStream, choice: _Choice, *, duration_s: float | None
) -> None:
    start_s = (container.start_time or 0) / _MICROSECONDS
    budget, seen = CpuBudget(_CPU_S), set[tuple[int | None, int | None]]()
    for place in _PLACES if duration_s else (0.0,):
        _go_to(container, stream, start_s + place * (duration_s or 0.0))
        frame = _keyframe(container, stream, seen)
        if frame is not None:
            choice.consider(frame)
        if choice.is_settled or budget.is_spent:
            return


def _look_between_keyframes(container: InputContainer, stream: VideoStream, choice: _Choice, search: _Search) -> None:
    _go_to(container, stream, (container.start_time or 0) / _MICROSECONDS)
    if choice.frame is not None:
        # Amid damage a frame that no other builds upon may be the only sound one.
        skip_unreferenced_frames(stream)
    for number, frame in enumerate(_frames(container, stream, CpuBudget(search.cpu_s))):
        if number % _SEARCH_EVERY_FRAMES == 0:
            choice.consider(frame)
        is_good = choice.best.score >= GOOD and number >= _LOOKS_FOR_GOOD * _SEARCH_EVERY_FRAMES
        if choice.best.is_convincing or is_good or number >= search.max_frames:
            return


def _go_to(container: InputContainer, stream: VideoStream, at_s: float) -> None:
    """To the keyframe before `at_s`; a stream without an index cannot seek, and is read on from wherever it is."""
    try:
        container.seek(int(at_s * _MICROSECONDS))
    except (FFmpegError, OverflowError):
        stream.codec_context.flush_buffers()


def _keyframe(
    container: InputContainer, stream: VideoStream, seen: set[tuple[int | None, int | None]]
) -> VideoFrame | None:
    """The next keyframe; None when it is damaged, too far away, or one of `seen`, to which it is added."""
    for number, packet in enumerate(PacketWalk(container, stream, budget=CpuBudget(_CPU_PER_PLACE_S))):
        if packet.is_keyframe and packet.size:
            place = (packet.pts, packet.pos)
            if place in seen:
                return None
            seen.add(place)
            frames = (*video_frames(stream, packet), *last_video_frames(stream))
            # Where a file marks none as such, all packets claim to be keyframes; a difference to another shows nothing.
            return next((frame for frame in frames if _is_sound(frame) and frame.pict_type in _WHOLE_PICTURES), None)
        if number >= _MAX_PACKETS_PER_PLACE:
            break
    return None


def _frames(container: InputContainer, stream: VideoStream, budget: CpuBudget) -> Iterator[VideoFrame]:
    for packet in PacketWalk(container, stream, budget=budget):
        yield from filter(_is_sound, video_frames(stream, packet))
        if budget.is_spent:
            return


def _is_sound(frame: VideoFrame) -> bool:
    return not frame.is_corrupt and 0 < frame.width * frame.height <= MAX_FRAME_PIXELS
