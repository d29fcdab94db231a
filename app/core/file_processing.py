"""The front door to everything that is done with an uploaded file: `validate_file`, then `process_file`.

Runs inside a sandboxed worker process. A decoder's own exception passes through and becomes a `Fault` there; only an
`InvalidUpload` is the client's doing. Imports no library of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from app.core.filenames import with_extension
from app.core.media_types import (
    MAX_AUDIO_SIZE,
    MAX_DOCUMENT_SIZE,
    MAX_IMAGE_SIZE,
    MAX_VIDEO_SIZE,
    FileType,
    Processor,
    extension_of,
)
from app.core.processing.av import audio, video
from app.core.processing.contract import Job, ProcessedFile
from app.core.processing.detection import sniff
from app.core.processing.documents import legacy_office, office, pdf, text
from app.core.processing.drawings import svg
from app.core.processing.imaging import images
from app.core.processing.imaging.images import create_thumbnail, extract_metadata, process_image

__all__ = [
    "MAX_AUDIO_SIZE",
    "MAX_DOCUMENT_SIZE",
    "MAX_IMAGE_SIZE",
    "MAX_VIDEO_SIZE",
    "create_thumbnail",
    "extract_metadata",
    "process_file",
    "process_image",
    "validate_file",
]

_PROCESSORS: Mapping[Processor, Callable[[Job, FileType], ProcessedFile]] = {
    Processor.IMAGE: images.process,
    Processor.SVG: svg.process,
    Processor.VIDEO: video.process,
    Processor.AUDIO: audio.process,
    Processor.PDF: pdf.process,
    Processor.DOCX: office.process,
    Processor.XLSX: office.process,
    Processor.DOC: legacy_office.process,
    Processor.XLS: legacy_office.process,
    Processor.TEXT: text.process,
}


def validate_file(job: Job) -> FileType:
    """The row of the type table that content, extension and declared media_type agree on.

    Raises EmptyFile, UnsupportedFileType, FileTypeMismatch, UnreadableFile or FileTooComplex; see `sniff.identify`.
    """
    return sniff.identify(job)


def process_file(job: Job) -> ProcessedFile:
    """Validate the staged file and make of it what its type calls for, with every output inside `job.output_dir`.

    Raises InvalidUpload for whatever the file is to blame for.
    """
    file_type = validate_file(job)
    if not extension_of(job.filename):
        job = replace(job, filename=with_extension(job.filename, file_type.extensions))
    return _PROCESSORS[file_type.processor](job, file_type)
