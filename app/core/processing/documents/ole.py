"""Opens OLE2 compound files (.doc, .xls, locked .docx and .xlsx); the only importer of olefile.

Knows the container and its summary properties, nothing of Word or Excel.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import olefile

from app.core.errors import UnreadableFile
from app.core.processing.contract import JsonObject
from app.core.text_safety import clean_text

_DAMAGED = "The file is damaged: its compound structure cannot be read."
_SUMMARY = "\x05SummaryInformation"
_MAX_SUMMARY_BYTES = 1024 * 1024
_MAX_PROPERTIES = 256
_MAX_FACT_CHARS = 500

_CODE_PAGE = 1
_TEXT_FACTS = {2: "title", 3: "subject", 4: "author"}
_COUNT_FACTS = {14: "pages", 15: "words", 16: "characters"}
_VT_I2, _VT_I4, _VT_LPSTR, _VT_LPWSTR = 2, 3, 30, 31

# What a hostile sector chain or directory makes olefile raise besides its own OSError.
_VENDOR_ERRORS = (
    OSError,
    struct.error,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)


class CompoundFile:
    """An opened compound file; streams are named as in its root folder, without regard to case."""

    def __init__(self, vendor: olefile.OleFileIO) -> None:
        self._vendor = vendor

    def root_names(self) -> frozenset[str]:
        """Lower-case names of the streams and folders of the root. UnreadableFile when the directory is broken."""
        try:
            entries = self._vendor.listdir(streams=True, storages=True)
        except _VENDOR_ERRORS as exc:
            raise UnreadableFile(_DAMAGED) from exc
        return frozenset(str(entry[0]).lower() for entry in entries if entry)

    def read(self, name: str, *, max_bytes: int) -> bytes | None:
        """A whole stream of the root, None when there is none of this name or it is longer than `max_bytes`.

        Raises UnreadableFile when sectors of it are missing.
        """
        try:
            if not self._vendor.exists(name):
                return None
            size_bytes = int(self._vendor.get_size(name))
            if size_bytes > max_bytes:
                return None
            data = bytes(self._vendor.openstream(name).read())
        except _VENDOR_ERRORS as exc:
            raise UnreadableFile(_DAMAGED) from exc
        if len(data) != size_bytes:
            raise UnreadableFile(_DAMAGED)
        return data

    def summary(self) -> JsonObject:
        """Title, author, subject and the counts the document was saved with; broken properties tell nothing.

        Read by hand: olefile's own reader follows a declared count of 4 billion vector items.
        Source: [MS-OLEPS] sections 2.18, 2.20 and 2.21.
        """
        try:
            data = self.read(_SUMMARY, max_bytes=_MAX_SUMMARY_BYTES)
            return _facts(_properties(data)) if data else {}
        except (UnreadableFile, struct.error):
            return {}


def is_compound(path: Path) -> bool:
    """Whether the file begins as a compound file does."""
    with path.open("rb") as file:
        return bool(file.read(len(olefile.MAGIC)) == olefile.MAGIC)


@contextmanager
def open_compound(path: Path) -> Iterator[CompoundFile]:
    """The compound file at `path`, closed on the way out; UnreadableFile when its tables or directory are broken."""
    try:
        vendor = olefile.OleFileIO(str(path), raise_defects=olefile.DEFECT_FATAL)
    except _VENDOR_ERRORS as exc:
        raise UnreadableFile(_DAMAGED) from exc
    try:
        yield CompoundFile(vendor)
    finally:
        vendor.close()


def _properties(data: bytes) -> dict[int, bytes | str | int]:
    section_at = struct.unpack_from("<I", data, 44)[0]
    (count,) = struct.unpack_from("<I", data, section_at + 4)
    found: dict[int, bytes | str | int] = {}
    for index in range(min(count, _MAX_PROPERTIES)):
        number, offset = struct.unpack_from("<II", data, section_at + 8 + 8 * index)
        at = section_at + offset
        (kind,) = struct.unpack_from("<I", data, at)
        if kind == _VT_I2:
            found[number] = struct.unpack_from("<h", data, at + 4)[0]
        elif kind == _VT_I4:
            found[number] = struct.unpack_from("<i", data, at + 4)[0]
        elif kind in (_VT_LPSTR, _VT_LPWSTR):
            (length,) = struct.unpack_from("<I", data, at + 4)
            raw = data[at + 8 : at + 8 + length * (2 if kind == _VT_LPWSTR else 1)]
            found[number] = raw if kind == _VT_LPSTR else raw.decode("utf-16-le", errors="replace")
    return found


def _facts(properties: dict[int, bytes | str | int]) -> JsonObject:
    facts: JsonObject = {}
    code_page = properties.get(_CODE_PAGE, 1252)
    for number, name in _TEXT_FACTS.items():
        value = properties.get(number)
        if isinstance(value, bytes):
            value = _decoded(value, code_page if isinstance(code_page, int) else 1252)
        if isinstance(value, str) and (text := clean_text(value.split("\x00")[0], max_chars=_MAX_FACT_CHARS)):
            facts[name] = text
    for number, name in _COUNT_FACTS.items():
        value = properties.get(number)
        if isinstance(value, int) and value > 0:
            facts[name] = value
    return facts


def _decoded(value: bytes, code_page: int) -> str:
    # Code pages above 32767 are stored in a signed number: 65001, UTF-8, appears as -535.
    number = code_page % 65536
    encoding = {65001: "utf-8", 1200: "utf-16-le", 10000: "mac_roman"}.get(number, f"cp{number}")
    try:
        return value.decode(encoding, errors="replace")
    except LookupError:
        return value.decode("cp1252", errors="replace")
