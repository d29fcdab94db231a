"""Walks the records of an Excel 97-2003 workbook stream without interpreting cells. Pure functions over bytes.

It exists because the library that reads the cells lays every sheet out as a full rectangle in memory before anyone can
ask how large that is.
"""

import struct
from dataclasses import dataclass

from app.core.errors import UnreadableFile
from app.core.text_safety import clean_text

_BOF, _EOF, _FILE_PASS, _BOUND_SHEET = 0x0809, 0x000A, 0x002F, 0x0085
# Records that begin with the row and the column of a cell (or of the first of several in the row).
_CELLS = frozenset((0x0006, 0x0203, 0x0204, 0x0205, 0x027E, 0x00BD, 0x00FD, 0x00D6, 0x0206, 0x0406))
_BIFF8 = 0x0600
_HEADER = struct.Struct("<HH")
_CELL = struct.Struct("<HH")
_MAX_NAME_CHARS = 100
_MAX_SHEETS = 4_000

_DAMAGED = "The file is damaged: its workbook records cannot be read."


@dataclass(frozen=True, slots=True)
class Workbook:
    """What the records say: sheet names in order, whether they are encrypted, cells of all sheets' rectangles."""

    sheet_names: tuple[str, ...]
    is_encrypted: bool
    rectangle_cells: int


def read_workbook(stream: bytes) -> Workbook:
    """Walk the records of a Workbook (BIFF8) or Book (BIFF5) stream.

    Raises UnreadableFile when it does not begin as one, a record runs over the end or no sheet is announced.
    Names are empty when the workbook is encrypted: they are part of what is hidden.
    Source: [MS-XLS] sections 2.1.4, 2.4.21, 2.4.28 and 2.4.117.
    """
    is_biff8 = _is_biff8(stream)
    names: list[str] = []
    is_encrypted, cells = False, 0
    last_row = last_column = -1
    at, end = 0, len(stream)
    while at + _HEADER.size <= end:
        kind, length = _HEADER.unpack_from(stream, at)
        at += _HEADER.size
        if kind == 0:
            # No record of this age: writers pad the stream to a full sector with zeros.
            break
        if at + length > end:
            raise UnreadableFile(_DAMAGED)
        if kind in _CELLS and length >= 4:
            row, column = _CELL.unpack_from(stream, at)
            # MULRK names its last column at its end.
            column = struct.unpack_from("<H", stream, at + length - 2)[0] if kind == 0x00BD and length >= 6 else column
            last_row, last_column = max(last_row, row), max(last_column, column)
        elif kind == _EOF:
            cells += (last_row + 1) * (last_column + 1)
            last_row = last_column = -1
        elif kind == _FILE_PASS:
            is_encrypted = True
        elif kind == _BOUND_SHEET and len(names) < _MAX_SHEETS:
            names.append(_sheet_name(stream[at : at + length], is_biff8=is_biff8))
        at += length
    if not names:
        raise UnreadableFile(_DAMAGED)
    return Workbook(() if is_encrypted else tuple(names), is_encrypted, cells + (last_row + 1) * (last_column + 1))


def _is_biff8(stream: bytes) -> bool:
    if len(stream) < 8:
        raise UnreadableFile(_DAMAGED)
    kind, version = struct.unpack_from("<H2xH", stream)
    if kind != _BOF:
        raise UnreadableFile(_DAMAGED)
    return bool(version == _BIFF8)


def _sheet_name(record: bytes, *, is_biff8: bool) -> str:
    if len(record) < 8:
        return ""
    length = record[6]
    if not is_biff8:
        name = record[7 : 7 + length].decode("cp1252", errors="replace")
    elif record[7] & 1:
        name = record[8 : 8 + 2 * length].decode("utf-16-le", errors="replace")
    else:
        name = record[8 : 8 + length].decode("latin-1")
    return clean_text(name, max_chars=_MAX_NAME_CHARS)
