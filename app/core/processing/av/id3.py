"""Reads the text frames of an ID3v2 tag: all values of a frame, and bytes where the tag only claims to be Latin-1.

FFmpeg reads the first value of each frame and takes every 8-bit text for Latin-1, which hides both.
"""

import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

Value: TypeAlias = str | bytes

_MAX_TAG_BYTES = 16 * 1024 * 1024
_MAX_TEXT_BYTES = 64 * 1024
_MAX_VALUES = 64
_MAX_FRAMES, _MAX_UNPACKED_BYTES = 10_000, 1024 * 1024
"""Of the whole tag: 16 MiB have room for 200,000 frames that unpack to 64 KiB each."""
_MAX_CHUNKS = 1_000
_NAMES = {
    **{"TIT2": "title", "TPE1": "artist", "TALB": "album", "TPE2": "album_artist", "TCON": "genre", "TRCK": "track"},
    **{"TDRC": "date", "TYER": "date"},
    **{"TT2": "title", "TP1": "artist", "TAL": "album", "TP2": "album_artist", "TCO": "genre", "TRK": "track"},
    "TYE": "date",
}


@dataclass(frozen=True, slots=True)
class Id3Text:
    """What a tag says: name -> all values, bytes where it calls them ISO-8859-1 and they are not ASCII."""

    version: int
    values: dict[str, list[Value]]


def id3_text(path: Path) -> Id3Text | None:
    """Title, artist, album, album_artist, genre, track and date of the file's ID3v2 tag, each with all its values.

    The tag begins the file or is a chunk of a WAV.  Bytes that the tag calls ISO-8859-1 stay bytes, for most of them
    are in the code page of the writer's country.  None without a tag; of a damaged one what comes before the damage.
    Source: ID3 tag version 2.2.0, 2.3.0 and 2.4.0 (structure, native frames).
    """
    with path.open("rb") as file:
        is_wav = file.read(4) in (b"RIFF", b"RF64", b"BW64")
        file.seek(_wav_chunk(file) if is_wav else 0)
        head = file.read(10)
        is_tag = len(head) == 10 and head[:3] == b"ID3" and head[3] in (2, 3, 4) and max(head[6:]) < 0x80
        return Id3Text(head[3], _values_of(file, head)) if is_tag else None


def _wav_chunk(file: BinaryIO) -> int:
    """Where the data of the ID3 chunk begins; the start of the file when there is none."""
    data_bytes = 0
    file.seek(12)
    for _ in range(_MAX_CHUNKS):
        header = file.read(8)
        name, size = header[:4], int.from_bytes(header[4:], "little")
        if len(header) < 8:
            break
        if name.lower() == b"id3 ":
            return file.tell()
        if name == b"ds64":
            data_bytes = int.from_bytes(file.read(16)[8:], "little")
            size -= 16
        if name == b"data" and size == 0xFFFFFFFF:
            size = min(data_bytes, 1 << 40)
        file.seek(max(0, size) + size % 2, 1)
    return 0


def _values_of(file: BinaryIO, head: bytes) -> dict[str, list[Value]]:
    version, flags = head[3], head[5]
    body = file.read(min(_syncsafe(head[6:10]), _MAX_TAG_BYTES))
    if flags & 0x80 and version < 4:
        body = _without_stuffing(body)
    found: dict[str, list[Value]] = {}
    unpacked_bytes = 0
    frames = _frames(body, version=version, at=_after_extended_header(body, version=version, flags=flags))
    for frame in itertools.islice(frames, _MAX_FRAMES):
        name = _NAMES.get(frame.name)
        content = frame.content(version) if name and unpacked_bytes < _MAX_UNPACKED_BYTES else None
        if name is None or not content:
            continue
        unpacked_bytes += len(content)
        found[name] = [*found.get(name, []), *_texts(content)][:_MAX_VALUES]
    return {name: values for name, values in found.items() if values}


def _after_extended_header(body: bytes, *, version: int, flags: int) -> int:
    if not flags & 0x40 or version == 2:
        return 0
    return _syncsafe(body[:4]) if version == 4 else 4 + int.from_bytes(body[:4])


@dataclass(frozen=True, slots=True)
class _Frame:
    name: str
    flags: int
    data: bytes

    def content(self, version: int) -> bytes | None:
        """The frame as it was before it was packed; None when it is encrypted or cannot be unpacked."""
        squeezed, secret, grouped = (0x08, 0x04, 0x40) if version == 4 else (0x80, 0x40, 0x20)
        if self.flags & secret:
            return None
        data = self.data[1:] if self.flags & grouped else self.data
        if version == 4:
            data = data[4:] if self.flags & 0x01 else data
            data = _without_stuffing(data) if self.flags & 0x02 else data
        elif self.flags & squeezed:
            data = data[4:]
        if not self.flags & squeezed:
            return data[:_MAX_TEXT_BYTES]
        try:
            return zlib.decompressobj().decompress(data, _MAX_TEXT_BYTES)
        except zlib.error:
            return None


def _frames(body: bytes, *, version: int, at: int) -> Iterator[_Frame]:
    name_bytes, header_bytes = (3, 6) if version == 2 else (4, 10)
    while at + header_bytes < len(body) and body[at] != 0:
        name = body[at : at + name_bytes].decode("latin-1")
        size = _frame_size(body, at, version=version)
        begin = at + header_bytes
        if size > len(body) - begin:
            return
        yield _Frame(name, body[at + 9] if version > 2 else 0, body[begin : begin + size])
        at = begin + size


def _frame_size(body: bytes, at: int, *, version: int) -> int:
    if version == 2:
        return int.from_bytes(body[at + 3 : at + 6])
    raw = body[at + 4 : at + 8]
    if version == 3:
        return int.from_bytes(raw)
    # Old iTunes wrote plain sizes into version 2.4.
    plain, safe = int.from_bytes(raw), _syncsafe(raw)
    after = at + 10 + safe
    fits = max(raw) < 0x80 and (after >= len(body) or body[after] == 0 or body[after : after + 4].isalnum())
    return safe if fits or at + 10 + plain > len(body) else plain


def _syncsafe(raw: bytes) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(raw, (21, 14, 7, 0), strict=False))


def _without_stuffing(data: bytes) -> bytes:
    return data.replace(b"\xff\x00", b"\xff")


def _texts(content: bytes) -> list[Value]:
    encoding, data = content[0], content[1:]
    found: list[Value]
    if encoding in (1, 2):
        found = list(_utf16(data, is_big=encoding == 2).split("\x00"))
    else:
        found = [_latin_or_utf8(part, is_utf8=encoding == 3) for part in data.split(b"\x00")]
    return [value for value in found if value.strip()]


def _utf16(data: bytes, *, is_big: bool) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        is_big = data[:1] == b"\xfe"
    return data.decode("utf-16-be" if is_big else "utf-16-le", "ignore").replace("\ufeff", "")


def _latin_or_utf8(part: bytes, *, is_utf8: bool) -> Value:
    if part.isascii():
        return part.decode("ascii")
    try:
        return part.decode("utf-8") if is_utf8 else part
    except UnicodeDecodeError:
        return part
