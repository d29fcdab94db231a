"""The one table of what may be uploaded: media type -> MIME types, extensions, byte limit, processor.

Everything that asks "is this allowed?", "how large may it be?" or "may a browser show it inline?" asks here.
"""

from dataclasses import dataclass
from enum import StrEnum

MIB = 1024 * 1024
MAX_IMAGE_SIZE = 10 * MIB
MAX_VIDEO_SIZE = 100 * MIB
MAX_AUDIO_SIZE = 50 * MIB
MAX_DOCUMENT_SIZE = 20 * MIB


class MediaType(StrEnum):
    """The four values of the form field `media_type`."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"


class Processor(StrEnum):
    """Which module of `core/processing` takes the file."""

    IMAGE = "image"
    SVG = "svg"
    VIDEO = "video"
    AUDIO = "audio"
    PDF = "pdf"
    DOCX = "docx"
    XLSX = "xlsx"
    DOC = "doc"
    XLS = "xls"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class FileType:
    """One row of the table. `extensions` are lower case without the dot, the usual one first."""

    media_type: MediaType
    mime_type: str
    extensions: tuple[str, ...]
    processor: Processor
    inline: bool = True
    """Whether `/files/` may show it in the browser; everything else is sent as an attachment."""
    stored_as: str | None = None
    """MIME type of the stored file where it differs: browsers do not show HEIC."""

    def stored_extension(self, filename: str) -> str:
        """The extension of a file that is kept as it came: that of `filename` when it stands for this type first.

        So the extension of a stored file tells its type, also to a proxy: `a.mp4` with sound alone becomes `.m4a`.
        """
        extension = extension_of(filename)
        return extension if by_extension(extension)[:1] == (self,) else self.extensions[0]


_OOXML = "application/vnd.openxmlformats-officedocument"

FILE_TYPES: tuple[FileType, ...] = (
    FileType(MediaType.IMAGE, "image/jpeg", ("jpg", "jpeg", "jpe", "jfif"), Processor.IMAGE),
    FileType(MediaType.IMAGE, "image/png", ("png",), Processor.IMAGE),
    FileType(MediaType.IMAGE, "image/gif", ("gif",), Processor.IMAGE),
    FileType(MediaType.IMAGE, "image/webp", ("webp",), Processor.IMAGE),
    FileType(MediaType.IMAGE, "image/avif", ("avif",), Processor.IMAGE),
    FileType(MediaType.IMAGE, "image/heic", ("heic", "heif", "hif"), Processor.IMAGE, stored_as="image/jpeg"),
    FileType(MediaType.IMAGE, "image/svg+xml", ("svg",), Processor.SVG),
    FileType(MediaType.VIDEO, "video/mp4", ("mp4", "m4v"), Processor.VIDEO),
    FileType(MediaType.VIDEO, "video/mpeg", ("mpeg", "mpg", "mpe"), Processor.VIDEO),
    FileType(MediaType.VIDEO, "video/quicktime", ("mov", "qt"), Processor.VIDEO),
    FileType(MediaType.VIDEO, "video/x-msvideo", ("avi",), Processor.VIDEO),
    FileType(MediaType.VIDEO, "video/webm", ("webm",), Processor.VIDEO),
    FileType(MediaType.AUDIO, "audio/mpeg", ("mp3", "mpga"), Processor.AUDIO),
    FileType(MediaType.AUDIO, "audio/wav", ("wav",), Processor.AUDIO),
    FileType(MediaType.AUDIO, "audio/ogg", ("ogg", "oga", "opus"), Processor.AUDIO),
    FileType(MediaType.AUDIO, "audio/aac", ("aac",), Processor.AUDIO),
    FileType(MediaType.AUDIO, "audio/mp4", ("m4a", "m4b", "mp4", "aac"), Processor.AUDIO),
    FileType(MediaType.AUDIO, "audio/webm", ("weba", "webm"), Processor.AUDIO),
    FileType(MediaType.DOCUMENT, "application/pdf", ("pdf",), Processor.PDF),
    FileType(MediaType.DOCUMENT, "application/msword", ("doc",), Processor.DOC, inline=False),
    FileType(MediaType.DOCUMENT, f"{_OOXML}.wordprocessingml.document", ("docx",), Processor.DOCX, inline=False),
    FileType(MediaType.DOCUMENT, "application/vnd.ms-excel", ("xls",), Processor.XLS, inline=False),
    FileType(MediaType.DOCUMENT, f"{_OOXML}.spreadsheetml.sheet", ("xlsx",), Processor.XLSX, inline=False),
    FileType(MediaType.DOCUMENT, "text/plain", ("txt", "text"), Processor.TEXT),
)

_BY_MIME_TYPE = {file_type.mime_type: file_type for file_type in FILE_TYPES}


def by_mime_type(mime_type: str) -> FileType:
    """The row of exactly this MIME type (no parameters). Raises KeyError for a type that the table does not know."""
    return _BY_MIME_TYPE[mime_type]


def is_known(mime_type: str) -> bool:
    """Whether the table has exactly this MIME type."""
    return mime_type in _BY_MIME_TYPE


def by_extension(extension: str) -> tuple[FileType, ...]:
    """Every row that allows this lower-case extension without its dot; empty when nothing does."""
    return tuple(file_type for file_type in FILE_TYPES if extension in file_type.extensions)


def extension_of(filename: str) -> str:
    """The lower-case extension of a client's file name without its dot, '' when it has none."""
    stem, dot, extension = filename.rpartition(".")
    return extension.lower() if dot and stem else ""
