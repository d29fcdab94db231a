"""Opens the ZIP files that Office documents are, distrusting everything they say; the only reader of them.

Nothing is extracted to disk and no path inside an archive is ever used as one. Knows nothing of Office.
"""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from app.core.errors import FileTooComplex, UnreadableFile

_CHUNK_BYTES = 64 * 1024
_CENTRAL_ENTRY = b"PK\x01\x02"
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_MAX_NAME_CHARS = 512
# Deflate cannot do better than 1032:1. Sheets of repeated cells reach 100:1, runs of nothing but one byte exceed 400.
_MAX_RATIO = 400
_RATIO_COUNTS_FROM_BYTES = 4 * 1024 * 1024
_ENCRYPTED_FLAGS = 0x0001 | 0x0040 | 0x2000
_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED

_DAMAGED = "The file is damaged: its ZIP structure cannot be read."
_TOO_LARGE = "The file unpacks to more than {} bytes."
_LYING = "The file is damaged: a member of it is not as large as it says."


class Archive:
    """An opened, checked ZIP. Member names are looked up without regard to case, as OPC does."""

    def __init__(self, file: BinaryIO, members: dict[str, "_Member"], *, max_unpacked_bytes: int) -> None:
        self._file = file
        self._members = members
        self._max_unpacked_bytes = max_unpacked_bytes

    @property
    def names(self) -> tuple[str, ...]:
        """The members' names as written, in the order of the directory, without folders."""
        return tuple(member.name for member in self._members.values() if not member.name.endswith("/"))

    def size_bytes(self, name: str) -> int | None:
        """The declared unpacked size of a member, None when there is none of this name."""
        member = self._members.get(name.lower())
        return member.size_bytes if member is not None else None

    def read(self, name: str, *, max_bytes: int) -> bytes:
        """A member's bytes. KeyError when there is none, FileTooComplex over `max_bytes`, UnreadableFile if it lies."""
        member = self._members[name.lower()]
        if member.size_bytes > max_bytes:
            raise FileTooComplex(_TOO_LARGE.format(max_bytes))
        return b"".join(self._unpack(member))

    def chunks(self, name: str) -> Iterator[bytes]:
        """A member's bytes in pieces. KeyError when there is none of this name, UnreadableFile when it lies."""
        return self._unpack(self._members[name.lower()])

    def verify(self) -> None:
        """Unpack every member once and keep nothing: true sizes and checksums, within the limit for the whole file.

        Raises UnreadableFile for a member that is damaged or lies about its size, FileTooComplex over the limit.
        """
        unpacked = 0
        for member in self._members.values():
            for chunk in self._unpack(member):
                unpacked += len(chunk)
                if unpacked > self._max_unpacked_bytes:
                    raise FileTooComplex(_TOO_LARGE.format(self._max_unpacked_bytes))

    def _unpack(self, member: "_Member") -> Iterator[bytes]:
        """Ours instead of zipfile's, which stops at the declared size and so never notices that more would follow."""
        produced = checksum = 0
        # An empty member may be called deflated without having a single deflated byte.
        is_deflated = member.method == _DEFLATED and member.packed_bytes > 0
        for chunk in self._inflated(member) if is_deflated else self._packed(member):
            produced += len(chunk)
            if produced > member.size_bytes:
                raise UnreadableFile(_LYING)
            checksum = zlib.crc32(chunk, checksum)
            yield chunk
        if produced != member.size_bytes or checksum != member.checksum:
            raise UnreadableFile(_LYING)

    def _packed(self, member: "_Member") -> Iterator[bytes]:
        at, left = member.data_at, member.packed_bytes
        while left:
            # The position is set each time because two members may be read in turns.
            self._file.seek(at)
            chunk = self._file.read(min(left, _CHUNK_BYTES))
            if not chunk:
                raise UnreadableFile(_DAMAGED)
            at, left = at + len(chunk), left - len(chunk)
            yield chunk

    def _inflated(self, member: "_Member") -> Iterator[bytes]:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for packed in self._packed(member):
                piece = packed
                while piece and not inflater.eof:
                    yield inflater.decompress(piece, _CHUNK_BYTES)
                    piece = inflater.unconsumed_tail
            yield inflater.flush()
        except zlib.error as exc:
            raise UnreadableFile(_DAMAGED) from exc
        if not inflater.eof or inflater.unused_data:
            raise UnreadableFile(_LYING)


class _Member:
    """What the directory says about one member, after it was checked against the local header."""

    __slots__ = ("checksum", "data_at", "method", "name", "packed_bytes", "size_bytes")

    def __init__(self, info: zipfile.ZipInfo, data_at: int) -> None:
        self.name = info.filename
        self.method = info.compress_type
        self.packed_bytes = info.compress_size
        self.size_bytes = info.file_size
        self.checksum = info.CRC
        self.data_at = data_at


@contextmanager
def open_archive(path: Path, *, max_unpacked_bytes: int, max_members: int) -> Iterator[Archive]:
    """Open a ZIP after checking its directory: counts, declared sizes, ratios, names, kinds of members, overlaps.

    Raises FileTooComplex for too many members, too large a declared sum or a member squeezed more than 400:1;
    UnreadableFile for encrypted, linked, twice named, overlapping or path-climbing members and for a broken structure.
    Source: APPNOTE 6.3.10 sections 4.3 and 4.4; ECMA-376 part 2 annex B (what a ZIP of a package may hold).
    """
    with path.open("rb") as file:
        # zipfile builds an object for every entry of the directory before anyone can ask how many there are.
        # A file inside the file brings entries of its own, hence the margin; the exact count is taken below.
        if _count(file, _CENTRAL_ENTRY) > 4 * max_members:
            raise FileTooComplex(f"The file holds more than {max_members} members.")
        infos, directory_at = _directory(file)
        _check_amounts(infos, max_unpacked_bytes=max_unpacked_bytes, max_members=max_members)
        for info in infos:
            # Writers on Windows part folders with backslashes (APPNOTE 4.4.17 demands slashes). From here on a name
            # is what Office reads in it, so that a climbing one is found out and two spellings of one name collide.
            info.filename = info.filename.replace("\\", "/")
            _check_kind(info)
            _check_name(info)
        yield Archive(file, _located(file, infos, directory_at), max_unpacked_bytes=max_unpacked_bytes)


def _count(file: BinaryIO, needle: bytes) -> int:
    found, tail = 0, b""
    while chunk := file.read(1024 * 1024):
        found += (tail + chunk).count(needle)
        tail = chunk[-(len(needle) - 1) :]
    return found


def _directory(file: BinaryIO) -> tuple[list[zipfile.ZipInfo], int]:
    try:
        directory = zipfile.ZipFile(file)
        return directory.infolist(), directory.start_dir
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OverflowError, EOFError) as exc:
        raise UnreadableFile(_DAMAGED) from exc


def _check_amounts(infos: list[zipfile.ZipInfo], *, max_unpacked_bytes: int, max_members: int) -> None:
    if len(infos) > max_members:
        raise FileTooComplex(f"The file holds more than {max_members} members.")
    if sum(info.file_size for info in infos) > max_unpacked_bytes:
        raise FileTooComplex(_TOO_LARGE.format(max_unpacked_bytes))
    for info in infos:
        if info.file_size > _RATIO_COUNTS_FROM_BYTES and info.file_size > _MAX_RATIO * info.compress_size:
            raise FileTooComplex(f"The file holds a member that is packed more than {_MAX_RATIO}:1.")


def _check_kind(info: zipfile.ZipInfo) -> None:
    if info.flag_bits & _ENCRYPTED_FLAGS:
        raise UnreadableFile("The file holds an encrypted member.")
    if info.compress_type not in (_STORED, _DEFLATED):
        raise UnreadableFile("The file holds a member packed in a way that Office documents do not use.")
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UnreadableFile("The file holds a link or another special member.")


def _check_name(info: zipfile.ZipInfo) -> None:
    # zipfile cuts a name at NUL; what is left must be the whole name.
    name = info.orig_filename.replace("\\", "/")
    folders = name.removesuffix("/").split("/")
    is_bad = (
        name != info.filename
        or not 0 < len(name) <= _MAX_NAME_CHARS
        or name[1:2] == ":"
        or any(folder in ("", ".", "..") for folder in folders)
        or not name.isprintable()
    )
    if is_bad:
        raise UnreadableFile("The file holds a member whose name is not a plain relative path.")


def _located(file: BinaryIO, infos: list[zipfile.ZipInfo], directory_at: int) -> dict[str, _Member]:
    """The members by lower-case name, each with the place of its data; no two may share a name or a byte."""
    members: dict[str, _Member] = {}
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end or info.filename.lower() in members:
            raise UnreadableFile("The file holds overlapping or twice named members.")
        member = _Member(info, _data_at(file, info))
        end = member.data_at + member.packed_bytes
        members[info.filename.lower()] = member
    if end > directory_at:
        raise UnreadableFile(_DAMAGED)
    return {info.filename.lower(): members[info.filename.lower()] for info in infos}


def _data_at(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size:
        raise UnreadableFile(_DAMAGED)
    signature, _, flags, method, _, _, _, packed, size, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    name = file.read(name_bytes)
    if signature != b"PK\x03\x04" or flags & _ENCRYPTED_FLAGS or method != info.compress_type:
        raise UnreadableFile(_DAMAGED)
    # Bit 3: the sizes follow the data. All ones: they are in the ZIP64 field.
    if (
        not flags & 0x0008
        and 0xFFFFFFFF not in (packed, size)
        and (packed, size) != (info.compress_size, info.file_size)
    ):
        raise UnreadableFile(_LYING)
    if name.decode("utf-8" if info.flag_bits & 0x800 else "cp437", errors="replace") != info.orig_filename:
        raise UnreadableFile("The file is damaged: a member has two names.")
    return int(info.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes)
