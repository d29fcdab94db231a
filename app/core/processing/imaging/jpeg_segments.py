"""Owns the inside of a JPEG file: counting scans, and writing the pixels again without anything else. No library.

The pixels of a JPEG that is already as small and as compressed as we store it are kept, because encoding them again
would cost quality for nothing. Only what a decoder needs is copied: tables, frame header, scans. Application segments,
comments, further pictures and whatever follows the end marker stay behind.
"""

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.core.errors import FileTooComplex, UnreadableFile, UnsupportedFileType

MAX_SCANS = 100
_MAX_SEGMENTS = 20_000
_SOI, _EOI, _SOS, _APP0, _APP2, _APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE2, 0xEE
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_NEEDED = _FRAMES | {0xC4, 0xDB, 0xDD, _SOS}
"""Baseline, extended and progressive Huffman frames, Huffman tables, quantisation tables, restart interval, scans."""
_IGNORED = frozenset({*range(0xE0, 0xF0), 0xFE})
_ORDINARY = _NEEDED | _IGNORED
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_OTHER_PROCESSES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})
"""Frames of lossless, hierarchical and JPEG-LS files."""
_COEFFICIENTS = 64
_MAX_ZEROS_KEPT = 8
"""Of the padding behind the last scan, whose own last bytes may be zero."""
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

    is_plain: only markers that every browser decodes, in an order that makes sense, and one frame: of two, one decoder
    may take the size of the first and another that of the second.
    is_refined: the scans together tell every coefficient to its last bit, if each is whole.
    end: where an end marker is missing, the offset behind the last scan; None when it is there.
    """

    needed: tuple[memoryview, ...]
    is_plain: bool
    is_refined: bool
    has_jfif: bool
    adobe_transform: int | None
    end: int | None


def parse(data: bytes) -> JpegSegments:
    """Walk the segments of a JPEG file up to its end marker, without decoding.

    Where that is missing, whatever follows the last scan (nothing, padding, anything) is not part of the picture.
    Raises UnreadableFile when it is no JPEG or ends before all its scans have begun; UnsupportedFileType for 12 bits a
    sample and for lossless files; FileTooComplex over 100 scans or 20,000 segments: each scan is a pass over the whole
    picture, and 10 MiB have room for a million of them.
    Source: ITU-T T.81 annex B.
    """
    if data[:2] != b"\xff\xd8":
        raise UnreadableFile("The JPEG file is damaged.")
    needed: list[tuple[int, int]] = []
    frames: list[bytes] = []
    scans: list[bytes] = []
    is_plain, has_jfif, transform = True, False, None
    end: int | None = len(data)
    for number, segment in enumerate(_segments(data)):
        if segment.marker == _EOI:
            is_plain, end = is_plain and segment.follows_directly, None
            break
        if scans and segment.marker not in _ORDINARY:
            break
        payload = segment.payload
        _refuse_other_processes(segment.marker, payload)
        if segment.marker in _NEEDED:
            needed.append((segment.start, segment.stop))
        if segment.marker in _FRAMES:
            frames.append(payload)
        elif segment.marker == _SOS:
            scans.append(payload)
        elif segment.marker == _APP0 and payload.startswith(b"JFIF\0"):
            has_jfif = True
        elif segment.marker == _APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:
            transform = payload[11]
        is_plain = is_plain and segment.follows_directly and segment.marker in _ORDINARY
        if len(scans) > MAX_SCANS or number >= _MAX_SEGMENTS:
            raise FileTooComplex("The JPEG file has too many scans or segments.")
    is_refined = len(frames) == 1 and _is_refined(frames[0], scans)
    if end is not None:
        if not is_refined:
            raise UnreadableFile("The image is damaged or incomplete.")
        end = _end_of_last_scan(data, needed)
        needed = [(start, min(stop, end)) for start, stop in needed if start < end]
    is_plain = is_plain and bool(scans) and len(frames) == 1
    view = memoryview(data)
    return JpegSegments(
        tuple(view[start:stop] for start, stop in needed), is_plain, is_refined, has_jfif, transform, end
    )


def with_end(data: bytes, segments: JpegSegments) -> bytes:
    """The file as decoders want it: with an end marker behind the last scan where it has none."""
    return data if segments.end is None else data[: segments.end] + bytes((0xFF, _EOI))


def clean_copy(segments: JpegSegments, *, icc_profile: bytes | None) -> bytes | None:
    """The file with these pixels and this colour profile and nothing else, or None when it must be encoded again.

    That is so for a file that is not plain, for one without an end marker, where nobody can tell which bytes are the
    picture's, and for one whose pixel data spell an archive, a PDF or markup: bytes after the last block of a scan are
    invisible to a decoder but not to a program that looks for its own signature.
    """
    if not segments.is_plain or segments.end is not None:
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
    return None if spells_foreign(copy) else copy


def spells_foreign(data: bytes) -> bool:
    """Whether the signature of an archive, a PDF or markup is somewhere in the file."""
    lowered = data.lower()
    return any(pattern.search(lowered) for pattern in _FOREIGN)


@dataclass(frozen=True, slots=True)
class _Segment:
    """payload: without the data of a scan.  follows_directly: only filling bytes between it and the one before."""

    marker: int
    payload: bytes
    start: int
    stop: int
    follows_directly: bool


def _segments(data: bytes) -> Iterator[_Segment]:
    """The segments that have a length, a scan with its data, and the end marker; in file order."""
    position, standalone = 2, 0
    while (found := _NEXT_MARKER.search(data, position)) is not None:
        follows_directly = data[position : found.start()].strip(b"\xff") == b""
        marker, position = data[found.start() + 1], found.end()
        if marker in _STANDALONE:
            standalone += 1
            if standalone > _MAX_SEGMENTS:
                raise FileTooComplex("The JPEG file has too many scans or segments.")
            continue
        payload = b""
        if marker != _EOI:
            stop = position + int.from_bytes(data[position : position + 2])
            payload, position = data[position + 2 : stop], stop
        if marker == _SOS:
            following = _NEXT_MARKER.search(data, position)
            position = following.start() if following else len(data)
        yield _Segment(marker, payload, found.start(), position, follows_directly)


def _refuse_other_processes(marker: int, payload: bytes) -> None:
    if marker in _OTHER_PROCESSES:
        raise UnsupportedFileType("The JPEG file is lossless or hierarchical, which is not supported.")
    if marker in _FRAMES and payload[:1] not in (b"", b"\x08"):
        raise UnsupportedFileType(f"The JPEG file has {payload[0]} bits a sample; only 8 are supported.")


def _is_refined(frame: bytes, scans: Sequence[bytes]) -> bool:
    """Whether the scans bring each coefficient of each component down to its last bit.

    Source: ITU-T T.81 B.2.3 (Ss, Se and Al of a scan) and G.1.1 (spectral selection, successive approximation).
    """
    missing = {component: set(range(_COEFFICIENTS)) for component in frame[6::3]}
    for scan in scans:
        count = scan[0] if scan else 0
        first, last, approximation = scan[1 + 2 * count : 4 + 2 * count] if len(scan) >= 4 + 2 * count else (1, 0, 1)
        if approximation & 0x0F == 0:
            for component in scan[1 : 1 + 2 * count : 2]:
                missing.get(component, set()).difference_update(range(first, last + 1))
    return bool(missing) and not any(missing.values())


def _end_of_last_scan(data: bytes, needed: Sequence[tuple[int, int]]) -> int:
    start, stop = next(place for place in reversed(needed) if data[place[0] + 1] == _SOS)
    used = data[start:stop].rstrip(b"\xff")
    padding = len(used) - len(used.rstrip(b"\0"))
    return start + len(used) - max(0, padding - _MAX_ZEROS_KEPT)


def _icc_segments(profile: bytes) -> list[bytes]:
    chunks = [profile[start : start + _ICC_CHUNK_BYTES] for start in range(0, len(profile), _ICC_CHUNK_BYTES)]
    return [
        _segment(_APP2, b"ICC_PROFILE\0" + bytes((number, len(chunks))) + chunk)
        for number, chunk in enumerate(chunks, start=1)
    ]


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload
