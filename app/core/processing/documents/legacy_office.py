"""Processes Word and Excel 97-2003 files: proves the structure, reads properties and text. Stored byte for byte.

The only importer of legacy-doc.
"""

import struct
from pathlib import Path

import legacy_doc

from app.core.errors import UnreadableFile
from app.core.media_types import MAX_DOCUMENT_SIZE, FileType, Processor, extension_of
from app.core.processing.contract import Job, JsonObject, JsonValue, ProcessedFile
from app.core.processing.documents import biff, spreadsheets
from app.core.processing.documents.ole import CompoundFile, open_compound
from app.core.text_safety import clean_text

_WORD_97, _WORD_6 = 0xA5EC, 0xA5DC
_FIRST_FIB_OF_WORD_97 = 0x00C1
_ENCRYPTED, _TABLE_IS_1 = 0x0100, 0x0200
_SHORTEST_FIB_BYTES = 0x44
_MAX_SHEETS_NAMED = 500

_NO_WORD = "The file is damaged: its Word stream cannot be read."
_NO_EXCEL = "The file is damaged: its workbook stream cannot be read."


def process(job: Job, file_type: FileType) -> ProcessedFile:
    """Check the streams that make the document and read what it says about itself.

    properties: `title`, `author`, `subject`, `pages`, `words`, `characters` as saved; `sheet_count` and `sheets` of a
    workbook; `encrypted: true` for a file locked with a password, which is accepted without text.
    Raises UnreadableFile when a stream is missing, cut off or not what its name says.
    """
    path = Path(job.source)
    with open_compound(path) as compound:
        properties = compound.summary()
        if file_type.processor is Processor.DOC:
            text = _word(path, compound, properties, max_chars=job.options.max_text_chars)
        else:
            text = _excel(path, compound, properties, max_chars=job.options.max_text_chars)
    return ProcessedFile(
        mime_type=file_type.mime_type, extension=extension_of(job.filename), properties=properties, text=text or None
    )


def _word(path: Path, compound: CompoundFile, properties: JsonObject, *, max_chars: int) -> str:
    """Source: [MS-DOC] sections 2.5.1 and 2.5.2 (FibBase)."""
    stream = compound.read("WordDocument", max_bytes=MAX_DOCUMENT_SIZE)
    if stream is None or len(stream) < _SHORTEST_FIB_BYTES:
        raise UnreadableFile(_NO_WORD)
    magic, version = struct.unpack_from("<HH", stream)
    (flags,) = struct.unpack_from("<H", stream, 0x0A)
    if magic not in (_WORD_97, _WORD_6):
        raise UnreadableFile(_NO_WORD)
    is_word_97 = magic == _WORD_97 and version >= _FIRST_FIB_OF_WORD_97
    table = "1Table" if flags & _TABLE_IS_1 else "0Table"
    if is_word_97 and compound.read(table, max_bytes=MAX_DOCUMENT_SIZE) is None:
        raise UnreadableFile(_NO_WORD)
    if flags & _ENCRYPTED:
        properties["encrypted"] = True
        return ""
    # Word 6 and 95 keep their text in another way; such files are rare enough to go without.
    return _words(path, max_chars=max_chars) if is_word_97 else ""


def _words(path: Path, *, max_chars: int) -> str:
    # Four bytes of UTF-8 for every character; the library refuses a longer text where we only want its beginning.
    limits = legacy_doc.ExtractionOptions(max_file_bytes=MAX_DOCUMENT_SIZE, max_text_bytes=4 * MAX_DOCUMENT_SIZE)
    try:
        found = legacy_doc.extract_text(path.read_bytes(), options=limits)
    except (legacy_doc.LegacyDocError, struct.error, ValueError, IndexError, OverflowError):
        # Also raised for a document without a single word. The structure was checked before; only the text is missing.
        return ""
    return clean_text(str(found.text), max_chars=max_chars)


def _excel(path: Path, compound: CompoundFile, properties: JsonObject, *, max_chars: int) -> str:
    stream = compound.read("Workbook", max_bytes=MAX_DOCUMENT_SIZE) or compound.read(
        "Book", max_bytes=MAX_DOCUMENT_SIZE
    )
    if stream is None:
        raise UnreadableFile(_NO_EXCEL)
    workbook = biff.read_workbook(stream)
    if workbook.is_encrypted:
        properties["encrypted"] = True
        return ""
    names: list[JsonValue] = list(workbook.sheet_names[:_MAX_SHEETS_NAMED])
    properties |= {"sheet_count": len(workbook.sheet_names), "sheets": names}
    if workbook.rectangle_cells > spreadsheets.MAX_RECTANGLE_CELLS:
        return ""
    return spreadsheets.read_text(path, max_chars=max_chars)
