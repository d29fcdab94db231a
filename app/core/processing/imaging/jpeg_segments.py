"""Owns the inside of a JPEG file: counting scans, and writing the pixels again without anything else. No library.

The pixels of a JPEG that is already as small and as compressed as we store it are kept, because encoding them again
would cost quality for nothing. Only what a decoder needs is copied: tables, frame header, scans. Application segments,
comments, further pictures and whatever follows the end marker stay behind.
"""

import re
import struct
from dataclasses import dataclass

from app.core.errors import FileTooComplex, UnreadableFile

MAX_SCANS = 100
_MAX_SEGMENTS = 20_000
_SOI, _EOI, _SOS, _APP0, _APP2, _APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE2, 0xEE
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_NEEDED = _FRAMES | {0xC4, 0xDB, 0xDD, _SOS}
"""Baseline, extended and progressive Huffman frames, Huffman tables, quantisation tables, restart interval, scans."""
_IGNORED = frozenset({*range(0xE0, 0xF0), 0xFE})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_ICC_CHUNK_BYTES = 65_519
# One pattern for each first letter: so each is looked for by its plain beginning, which is ten times as fast.
_FOREIGN = (
    re.compile(rb"<(?:html|script|svg|body|img|\?xml|\?php|!doctype|iframe)"),
    re.compile(rb"pk(?:\x03\x04|\x05\x06)"),
    re.compile(rb"%pdf"),
)


@dataclass(frozen=True, slots=True)
class JpegSegments:
    """The needed segments in file order, each with its marker and a scan with its data; and what was seen beside them.

    is_plain: only markers that every browser decodes, in an order that makes sense, up to an end marker, and one frame:
    of two, one decoder may take the size of the first and another that of the second.
    """

    needed: tuple[memoryview, ...]
    scan_count: int
    is_plain: bool
    has_jfif: bool
    adobe_transform: int | None


def parse(data: bytes) -> JpegSegments:
    """Walk the segments of a whole JPEG file up to its end marker, without decoding.

    Raises UnreadableFile when it is no JPEG, FileTooComplex over 100 scans or 20,000 segments: each scan is a pass over
    the whole picture, and 10 MiB have room for a million of them.
    Source: ITU-T T.81 annex B.
    """
    if data[:2] != b"\xff\xd8":
        raise UnreadableFile("The JPEG file is damaged.")
    view = memoryview(data)
    needed: list[memoryview] = []
    scans, segments, frames, is_plain, has_jfif, transform = 0, 0, 0, True, False, None
    position = 2
    while True:
        start = _NEXT_MARKER.search(data, position)
        if start is None:
            return JpegSegments(tuple(needed), scans, False, has_jfif, transform)
        is_plain = is_plain and data[position : start.start()].strip(b"\xff") == b""
        marker, position = data[start.start() + 1], start.end()
        if marker == _EOI:
            is_plain = is_plain and scans > 0 and frames == 1
            return JpegSegments(tuple(needed), scans, is_plain, has_jfif, transform)
        if marker in _STANDALONE:
            continue
        end = position + int.from_bytes(data[position : position + 2])
        payload = data[position + 2 : end]
        if marker == _SOS:
            scans += 1
            following = _NEXT_MARKER.search(data, end)
            end = following.start() if following else len(data)
        segments += 1
        if scans > MAX_SCANS or segments > _MAX_SEGMENTS:
            raise FileTooComplex("The JPEG file has too many scans or segments.")
        frames += marker in _FRAMES
        if marker in _NEEDED:
            needed.append(view[start.start() : end])
        elif marker == _APP0 and payload.startswith(b"JFIF\0"):
            has_jfif = True
        elif marker == _APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:
            transform = payload[11]
        is_plain = is_plain and (marker in _NEEDED or marker in _IGNORED)
        position = end


def clean_copy(segments: JpegSegments, *, icc_profile: bytes | None) -> bytes | None:
    """The file with these pixels and this colour profile and nothing else, or None when it must be encoded again.

    That is so for a file that is not plain, and for one whose pixel data spell an archive, a PDF or markup: bytes after
    the last block of a scan are invisible to a decoder but not to a program that looks for its own signature.
    """
    if not segments.is_plain:
        return None
    parts: list[bytes | memoryview] = [bytes((0xFF, _SOI))]
    if segments.adobe_transform is not None:
        # Says whether three components are RGB or YCbCr: colours would change without it.
        parts.append(_segment(_APP14, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, segments.adobe_transform)))
    elif segments.has_jfif:
        parts.append(_segment(_APP0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"))
    parts.extend(_icc_segments(icc_profile or b""))
    parts.extend(segments.needed)
    parts.append(bytes((0xFF, _EOI)))
    copy = b"".join(parts)
    lowered = copy.lower()
    return None if any(pattern.search(lowered) for pattern in _FOREIGN) else copy


def _icc_segments(profile: bytes) -> list[bytes]:
    chunks = [profile[start : start + _ICC_CHUNK_BYTES] for start in range(0, len(profile), _ICC_CHUNK_BYTES)]
    return [
        _segment(_APP2, b"ICC_PROFILE\0" + bytes((number, len(chunks))) + chunk)
        for number, chunk in enumerate(chunks, start=1)
    ]


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload
