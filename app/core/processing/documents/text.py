"""Processes plain text: finds the encoding, counts lines, keeps the words. Stored byte for byte."""

from pathlib import Path

from app.core.errors import UnreadableFile
from app.core.media_types import FileType, extension_of
from app.core.processing.contract import Job, ProcessedFile
from app.core.processing.documents import charset
from app.core.text_safety import clean_text


def process(job: Job, file_type: FileType) -> ProcessedFile:
    """properties: `charset` as HTTP names it (`us-ascii`, `utf-8`, `utf-16`, `windows-1252`, …) and `lines`.

    Anything but ASCII, UTF-8 or a byte order mark is a good guess. UnreadableFile when the bytes are not text.
    """
    decoded = charset.decode(Path(job.source).read_bytes())
    if decoded is None:
        raise UnreadableFile("The file is not plain text.")
    lines = decoded.value.count("\n") + (not decoded.value.endswith("\n"))
    return ProcessedFile(
        mime_type=file_type.mime_type,
        extension=extension_of(job.filename),
        properties={"charset": decoded.charset, "lines": lines},
        text=clean_text(decoded.value, max_chars=job.options.max_text_chars) or None,
    )
