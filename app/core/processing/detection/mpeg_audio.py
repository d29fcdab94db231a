"""Finds MPEG audio (MP1, MP2, MP3) and ADTS AAC, which have no signature, by following frame after frame.

Reads the file itself because a cover picture in front of the first frame may fill megabytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_WINDOW_BYTES = 64 * 1024
_FRAMES_AT_START = 3
_FRAMES_AFTER_JUNK = 5
_MAX_TAGS = 4

# kbit/s by (is MPEG 1, layer); index 0 is "free format", which nobody writes and which hides the frame length.
_BIT_RATES = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def recognise(path: Path) -> str | None:
    """'audio/mpeg' or 'audio/aac' when the file, after its ID3 tags and zero padding, is a row of such frames.

    Three frames in a row must agree in version, layer and rate; fewer only when the file ends with the last of them.
    Source: ISO/IEC 11172-3 section 2.4.1.3 and 13818-7 section 6.2; ID3 version 2.4 section 3.1.
    """
    with path.open("rb") as file:
        file.seek(_after_tags(file))
        window = file.read(_WINDOW_BYTES).lstrip(b"\x00")
        reaches_end = not file.read(1)
    for mime_type, frame_of in (("audio/mpeg", _mpeg_frame), ("audio/aac", _adts_frame)):
        if _is_row(window, 0, reaches_end=reaches_end, frames=_FRAMES_AT_START, frame_of=frame_of):
            return mime_type
    return None


def recognise_after_junk(path: Path) -> bool:
    """Whether five agreeing MPEG audio frames follow each other somewhere in the first 64 KiB after the tags.

    Recordings cut out of a radio stream begin inside a frame. This is weak evidence: ask another voice as well.
    """
    with path.open("rb") as file:
        file.seek(_after_tags(file))
        window = file.read(_WINDOW_BYTES)
    at = window.find(b"\xff")
    while at >= 0:
        if _is_row(window, at, reaches_end=False, frames=_FRAMES_AFTER_JUNK, frame_of=_mpeg_frame):
            return True
        at = window.find(b"\xff", at + 1)
    return False


def has_tag(head: bytes) -> bool:
    """Whether the file begins with an ID3 tag of version 2."""
    return head[:3] == b"ID3" and len(head) >= 10 and head[3] < 0xFF and max(head[6:10]) < 0x80


def _after_tags(file: BinaryIO) -> int:
    at = 0
    for _ in range(_MAX_TAGS):
        file.seek(at)
        header = file.read(10)
        if not has_tag(header):
            break
        size = header[6] << 21 | header[7] << 14 | header[8] << 7 | header[9]
        at += 10 + size + (10 if header[5] & 0x10 else 0)
    return at


@dataclass(frozen=True, slots=True)
class _Frame:
    """One frame header: how long the frame is and what its neighbours must share with it."""

    kind: tuple[int, ...]
    size_bytes: int


def _is_row(
    window: bytes, at: int, *, reaches_end: bool, frames: int, frame_of: Callable[[bytes], _Frame | None]
) -> bool:
    kind: tuple[int, ...] | None = None
    for _ in range(frames):
        frame = frame_of(window[at : at + 7])
        if frame is None or (kind is not None and frame.kind != kind):
            # ID3v1, Lyrics3 and APE tags follow the last frame of a very short file.
            is_end = at == len(window) or window[at : at + 3] in (b"TAG", b"LYR", b"APE")
            return kind is not None and reaches_end and is_end
        kind = frame.kind
        at += frame.size_bytes
    return True


def _mpeg_frame(header: bytes) -> _Frame | None:
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bit_rate_index, rate_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or bit_rate_index in (0, 15) or rate_index == 3:
        return None
    bit_rate = _BIT_RATES[(version == 3, layer)][bit_rate_index] * 1000
    sample_rate = _SAMPLE_RATES[version][rate_index]
    if layer == 1:
        size_bytes = (12 * bit_rate // sample_rate + padding) * 4
    else:
        samples = 72 if layer == 3 and version != 3 else 144
        size_bytes = samples * bit_rate // sample_rate + padding
    return _Frame((version, layer, rate_index), size_bytes)


def _adts_frame(header: bytes) -> _Frame | None:
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    rate_index = header[2] >> 2 & 0xF
    size_bytes = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    if rate_index > 12 or size_bytes < 7:
        return None
    return _Frame((header[1], header[2] >> 6, rate_index), size_bytes)
