"""Processes DOCX and XLSX: proves the structure, reads properties, sheet names and text. Stored byte for byte.

One that is locked with a password is a compound file around the encrypted package.
"""

import functools
import re
from collections.abc import Mapping
from pathlib import Path

from app.core.errors import FileTooComplex, UnreadableFile
from app.core.media_types import MAX_DOCUMENT_SIZE, FileType, Processor, extension_of
from app.core.processing.contract import Job, JsonObject, JsonValue, ProcessedFile
from app.core.processing.documents import ole, ooxml, safe_xml, spreadsheets
from app.core.processing.documents.archive import Archive
from app.core.processing.documents.word_text import WordText
from app.core.text_safety import clean_text

_MAIN_PART_BYTES = 64 * 1024 * 1024
_WORKBOOK_BYTES = 8 * 1024 * 1024
# Sheets that are measured and then read for their text, all together; a workbook beyond it goes without the rest.
_SHEETS_BYTES = 24 * 1024 * 1024
_SHARED_STRINGS_BYTES = 64 * 1024 * 1024
_MAX_SHEETS_NAMED = 500
_MAX_NAME_CHARS = 100
_CELL_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})")
_NO_SUCH_DOCUMENT = "The file is damaged: its main part is not what the package says."


def process(job: Job, file_type: FileType) -> ProcessedFile:
    """Check the whole package and read what it says about itself.

    properties: `title`, `author`, `subject`, `pages`, `words`, `characters` as saved by the writer; for workbooks
    `sheet_count` and `sheets` (at most 500 names); nothing but `encrypted: true` for a file that wants a password.
    text: None when there is none or the parts are too large.
    Raises UnreadableFile, and FileTooComplex over the limits of `job.options`.
    """
    path = Path(job.source)
    if ole.is_compound(path):
        _check_locked(path)
        extension = extension_of(job.filename)
        return ProcessedFile(mime_type=file_type.mime_type, extension=extension, properties={"encrypted": True})
    with ooxml.open_package(path, job.options) as package:
        main = ooxml.main_part(package)
        if main is None:
            raise UnreadableFile(_NO_SUCH_DOCUMENT)
        if (package.size_bytes(main.name) or 0) > _MAIN_PART_BYTES:
            raise FileTooComplex(f"The main part of the document is larger than {_MAIN_PART_BYTES} bytes.")
        package.verify()
        properties = ooxml.document_properties(package)
        if file_type.processor is Processor.DOCX:
            text = _words(package, main.name, max_chars=job.options.max_text_chars)
        else:
            sheets = _sheets(package, main.name)
            properties |= _named(sheets)
            text = _cells(path, package, sheets, max_chars=job.options.max_text_chars)
    return ProcessedFile(
        mime_type=file_type.mime_type, extension=extension_of(job.filename), properties=properties, text=text or None
    )


def _check_locked(path: Path) -> None:
    """Source: [MS-OFFCRYPTO] sections 2.3.1 and 2.3.4 (the package), 2.2.4 (rights management) and 2.1.1."""
    with ole.open_compound(path) as compound:
        package = compound.read("EncryptedPackage", max_bytes=MAX_DOCUMENT_SIZE)
        # A password is described in EncryptionInfo, a licence server's key in the data spaces.
        is_explained = not {"encryptioninfo", "\x06dataspaces"}.isdisjoint(compound.root_names())
    # Eight bytes say how long the package is, then come blocks of a cipher.
    if package is None or not is_explained or not 0 < int.from_bytes(package[:8], "little") <= len(package) - 8:
        raise UnreadableFile("The file is damaged: the locked document inside it is missing or cut off.")


# -- words ----------------------------------------------------------------------------------------------------------


def _words(package: Archive, main: str, *, max_chars: int) -> str:
    """Headers, body, footers; proves on the way that the main part is a document to its last element."""
    links = ooxml.relationships(package, main)
    words = WordText(max_chars=max_chars)
    for kind in ("header", "document", "footer"):
        if kind == "document":
            if words.read(package.chunks(main)) != "document":
                raise UnreadableFile(_NO_SUCH_DOCUMENT)
            continue
        for name in sorted({link.target for link in links if link.type == kind}):
            if package.size_bytes(name) is not None:
                words.read(package.chunks(name))
    return clean_text(words.text, max_chars=max_chars)


# -- sheets ---------------------------------------------------------------------------------------------------------


def _sheets(package: Archive, main: str) -> tuple[tuple[str, str], ...]:
    """Name and member of every sheet, in the workbook's order; '' for a member that is missing."""
    if (package.size_bytes(main) or 0) > _WORKBOOK_BYTES:
        raise FileTooComplex(f"The workbook's own part is larger than {_WORKBOOK_BYTES} bytes.")
    targets = {link.id: link.target for link in ooxml.relationships(package, main)}
    root = safe_xml.parse(package.read(main, max_bytes=_WORKBOOK_BYTES))
    if root.tag.rpartition("}")[2] != "workbook":
        raise UnreadableFile(_NO_SUCH_DOCUMENT)
    found = []
    for element in root.iter():
        if element.tag.rpartition("}")[2] == "sheet":
            identifier = next((value for key, value in element.items() if key.endswith("}id")), "")
            target = targets.get(identifier, "")
            found.append((element.get("name", ""), target if package.size_bytes(target) is not None else ""))
    if not any(member for _, member in found):
        raise UnreadableFile("The file is damaged: the workbook has no sheet.")
    return tuple(found)


def _named(sheets: tuple[tuple[str, str], ...]) -> JsonObject:
    names: list[JsonValue] = [clean_text(name, max_chars=_MAX_NAME_CHARS) for name, _ in sheets[:_MAX_SHEETS_NAMED]]
    return {"sheet_count": len(sheets), "sheets": names}


def _cells(path: Path, package: Archive, sheets: tuple[tuple[str, str], ...], *, max_chars: int) -> str:
    shared = sum(package.size_bytes(name) or 0 for name in package.names if "sharedstrings" in name.lower())
    if shared > _SHARED_STRINGS_BYTES:
        return ""
    room = _SHEETS_BYTES
    wanted: list[str] = []
    for name, member in sheets:
        size_bytes = package.size_bytes(member)
        if size_bytes is None or size_bytes > room:
            continue
        room -= size_bytes
        if _rectangle_cells(package, member) <= spreadsheets.MAX_RECTANGLE_CELLS:
            wanted.append(name)
    return spreadsheets.read_text(path, sheet_names=wanted, max_chars=max_chars)


def _rectangle_cells(package: Archive, member: str) -> int:
    """How many cells the rectangle around all cells has; two in opposite corners make 17 thousand million."""
    last_row = last_column = column = row = 0

    def on_start(element: str, attributes: Mapping[str, str]) -> bool:
        nonlocal last_row, last_column, column, row
        if element == "row":
            given = attributes.get("r", "")
            row, column = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else row + 1, 0
        elif element == "c":
            reference = _CELL_REFERENCE.fullmatch(attributes.get("r", ""))
            column = _column_number(reference[1]) if reference else column + 1
            last_row = max(last_row, int(reference[2]) if reference else row)
            last_column = max(last_column, column)
        return True

    safe_xml.scan(package.chunks(member), on_start)
    return last_row * last_column


@functools.lru_cache(maxsize=1024)
def _column_number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
