"""Reads the words and numbers out of checked workbooks; the only importer of python-calamine.

Callers check the structure and the size of the sheets first: calamine lays out each sheet as a full rectangle.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import python_calamine

from app.core.errors import UnreadableFile
from app.core.text_safety import clean_text

MAX_RECTANGLE_CELLS = 4_000_000
"""Cells of the rectangles around all used cells that may be laid out: about 130 MB."""

_DAMAGED = "The file is damaged: its workbook cannot be read."


def read_text(path: Path, *, sheet_names: Iterable[str] | None = None, max_chars: int) -> str:
    """The cells of the sheets as text, a row a line, columns parted by tabs, empty rows left out.

    sheet_names: only these, as `calamine` spells them; None for all.  Stops at `max_chars`.
    Raises UnreadableFile when the library gives up.
    """
    lines: list[str] = []
    room = max_chars
    try:
        for line in _lines(path, sheet_names):
            lines.append(line[:room])
            room -= len(line) + 1
            if room <= 0:
                break
    except (python_calamine.CalamineError, OSError, ValueError) as exc:
        raise UnreadableFile(_DAMAGED) from exc
    except BaseException as exc:
        # A Rust panic arrives as pyo3's PanicException, which is no Exception and has no importable name.
        if type(exc).__name__ != "PanicException":
            raise
        raise UnreadableFile(_DAMAGED) from exc
    return clean_text("\n".join(lines), max_chars=max_chars)


def _lines(path: Path, sheet_names: Iterable[str] | None) -> Iterator[str]:
    # Not from_path, which chooses the format by the extension: a staged file has none.
    with path.open("rb") as file, python_calamine.CalamineWorkbook.from_filelike(file) as workbook:
        wanted = None if sheet_names is None else set(sheet_names)
        for sheet in workbook.sheets_metadata:
            if sheet.typ != python_calamine.SheetTypeEnum.WorkSheet:
                continue
            if wanted is not None and sheet.name not in wanted:
                continue
            yield sheet.name
            for row in workbook.get_sheet_by_name(sheet.name).iter_rows():
                if any(cell != "" for cell in row):
                    yield "\t".join(_shown(cell) for cell in row).rstrip("\t")


def _shown(cell: object) -> str:
    # Spreadsheets know only one kind of number; 3.0 is what the user typed as 3.
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
