"""Claims about the front door: the founding document's names are there, and every kind finds its processor."""

from pathlib import Path

import pytest

from app.core import file_processing
from app.core.errors import FileTypeMismatch
from app.core.media_types import FILE_TYPES, MediaType
from tests.fixtures import document_files as documents
from tests.fixtures.compound_files import make_doc, make_xls
from tests.fixtures.sniff_files import film, picture

UPLOADS = {
    "photo.png": (picture("PNG"), MediaType.IMAGE, "image/png"),
    "drawing.svg": (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>',
        MediaType.IMAGE,
        "image/svg+xml",
    ),
    "film.mp4": (film("mp4", video="mpeg4", audio="aac"), MediaType.VIDEO, "video/mp4"),
    "song.mp3": (film("mp3", audio="libmp3lame"), MediaType.AUDIO, "audio/mpeg"),
    "report.pdf": (documents.make_pdf(), MediaType.DOCUMENT, "application/pdf"),
    "report.docx": (documents.make_docx(), MediaType.DOCUMENT, documents.DOCX_MAIN.removesuffix(".main+xml")),
    "table.xlsx": (documents.make_xlsx(), MediaType.DOCUMENT, documents.XLSX_MAIN.removesuffix(".main+xml")),
    "old.doc": (make_doc(), MediaType.DOCUMENT, "application/msword"),
    "old.xls": (make_xls(), MediaType.DOCUMENT, "application/vnd.ms-excel"),
    "notes.txt": (b"Hello", MediaType.DOCUMENT, "text/plain"),
}


@pytest.mark.parametrize("filename", UPLOADS)
def test_every_kind_is_processed(filename: str, tmp_path: Path) -> None:
    data, media_type, mime_type = UPLOADS[filename]
    job = documents.make_job(tmp_path, data, filename, media_type)
    result = file_processing.process_file(job)
    assert result.mime_type == mime_type
    assert result.extension == filename.rpartition(".")[2]
    for rendition in (result.thumbnail, result.poster):
        assert rendition is None or Path(rendition.path).is_relative_to(job.output_dir)


def test_every_row_of_the_type_table_has_a_processor() -> None:
    assert {row.processor for row in FILE_TYPES} <= set(file_processing._PROCESSORS)


def test_nothing_is_processed_before_it_is_validated(tmp_path: Path) -> None:
    job = documents.make_job(tmp_path, picture("PNG"), "a.gif", MediaType.IMAGE)
    with pytest.raises(FileTypeMismatch):
        file_processing.process_file(job)
    assert not list(Path(job.output_dir).iterdir())


def test_the_limits_of_the_founding_document_are_exported() -> None:
    limits = file_processing.MAX_IMAGE_SIZE, file_processing.MAX_VIDEO_SIZE
    assert limits == (10 * 1024 * 1024, 100 * 1024 * 1024)
    assert file_processing.MAX_AUDIO_SIZE == 50 * 1024 * 1024
    assert file_processing.MAX_DOCUMENT_SIZE == 20 * 1024 * 1024
