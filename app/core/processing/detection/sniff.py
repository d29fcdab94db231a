"""Decides what an upload really is: content, extension and declared media_type must agree.

Structure speaks first (signatures, then the inside of containers), libmagic is one voice among them. The Content-Type
that the client sent is never asked.
"""

import zlib
from pathlib import Path

from app.core.errors import EmptyFile, FileTypeMismatch, InvalidUpload, UnreadableFile, UnsupportedFileType
from app.core.media_types import (
    MAX_DOCUMENT_SIZE,
    FileType,
    MediaType,
    by_extension,
    by_mime_type,
    extension_of,
)
from app.core.processing.av.av_container import StreamFacts, probe_streams
from app.core.processing.contract import Job, ProcessingOptions
from app.core.processing.detection import iso_media, libmagic, mpeg_audio, signatures, xml_root
from app.core.processing.detection.iso_boxes import FILM_HANDLERS, track_handlers
from app.core.processing.detection.signatures import GZIP, MATROSKA, OLE, ZIP, Content
from app.core.processing.documents import charset, ooxml
from app.core.processing.documents.ole import open_compound

_DOCX = by_mime_type("application/vnd.openxmlformats-officedocument.wordprocessingml.document")
_XLSX = by_mime_type("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
_WORD = Content("a Word document", (_DOCX.mime_type,))
_EXCEL = Content("an Excel workbook", (_XLSX.mime_type,))
# What is locked inside cannot be told: the name decides between the two.
_LOCKED = Content("an Office document locked with a password", (_DOCX.mime_type, _XLSX.mime_type))
_OLD_WORD = Content("a Word 97-2003 document", ("application/msword",))
_OLD_EXCEL = Content("an Excel 97-2003 workbook", ("application/vnd.ms-excel",))
_MPEG_AUDIO = Content("an MPEG audio file", ("audio/mpeg",))
_AAC = Content("an AAC audio file", ("audio/aac",))
_SVG = Content("an SVG image", ("image/svg+xml",))
_UNKNOWN = Content("in no format that this service knows")

_DEMUXER_OF_MATROSKA = "matroska"
# What WebM may hold, and what nobody can name.
_WEBM_CODECS = frozenset({"vp8", "vp9", "av1", "opus", "vorbis", "unknown"})
_CODEC_NAMES = {
    **{"h264": "H.264", "hevc": "HEVC", "vp8": "VP8", "vp9": "VP9", "av1": "AV1", "mpeg4": "MPEG-4"},
    **{"opus": "Opus", "vorbis": "Vorbis", "aac": "AAC", "mp3": "MP3", "flac": "FLAC", "unknown": "an unknown codec"},
}

_MAIN_PARTS = (
    (ooxml.DOCX, _WORD),
    (ooxml.XLSX, _EXCEL),
    ("application/vnd.ms-word.document.macro", Content("a Word document with macros")),
    ("application/vnd.ms-word.template.macro", Content("a Word template with macros")),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.template", Content("a Word template")),
    ("application/vnd.ms-excel.sheet.binary", Content("a binary Excel workbook")),
    ("application/vnd.ms-excel.", Content("an Excel workbook with macros")),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.template", Content("an Excel template")),
    ("application/vnd.openxmlformats-officedocument.presentationml", Content("a PowerPoint presentation")),
    ("application/vnd.ms-powerpoint", Content("a PowerPoint presentation")),
)
_ZIP_KINDS = (
    ("META-INF/MANIFEST.MF", "a Java archive"),
    ("AndroidManifest.xml", "an Android package"),
    ("META-INF/container.xml", "an EPUB book"),
    ("mimetype", "an OpenDocument file"),
)
_OLE_KINDS = (
    ("worddocument", _OLD_WORD),
    ("workbook", _OLD_EXCEL),
    ("book", _OLD_EXCEL),
    ("encryptedpackage", _LOCKED),
    ("powerpoint document", Content("a PowerPoint 97-2003 presentation")),
    ("visiodocument", Content("a Visio drawing")),
    ("__properties_version1.0", Content("an Outlook message")),
)


def identify(job: Job) -> FileType:
    """The row of the type table that the file's content, its extension and its declared media_type all name.

    Where the content allows several rows (an MP4 may be sound only) the declaration chooses and the streams must
    agree. A name without an extension leaves it to the other two: browsers call what has no name `blob`.
    Raises EmptyFile; UnsupportedFileType for formats and extensions outside the table; FileTypeMismatch with one
    sentence on what disagrees; UnreadableFile or FileTooComplex when the container that decides cannot be opened.
    """
    path = Path(job.source)
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise EmptyFile
    extension = extension_of(job.filename)
    content = _content_of(path, size_bytes, extension, job.options)
    file_type = _agreed(content, extension, job)
    if file_type.mime_type == "image/heic" and not job.options.accept_heic:
        raise UnsupportedFileType("The content is a HEIC image, which this service does not accept.")
    if content.demuxer is not None:
        _check_streams(path, content, file_type)
    return file_type


def _content_of(path: Path, size_bytes: int, extension: str, options: ProcessingOptions) -> Content:
    with path.open("rb") as file:
        head = file.read(signatures.HEAD_BYTES)
    found = signatures.recognise(head, size_bytes=size_bytes)
    if found is not None:
        return _looked_into(found, head, path, extension, options)
    if extension in {"svg", ""} and xml_root.is_svg(head):
        return _SVG
    late_pdf = signatures.late_pdf(head) if extension == "pdf" and mpeg_audio.recognise(path) is None else None
    return late_pdf or _without_signature(path, head, size_bytes)


def _without_signature(path: Path, head: bytes, size_bytes: int) -> Content:
    frames = mpeg_audio.recognise(path)
    if frames is not None:
        return _MPEG_AUDIO if frames == "audio/mpeg" else _AAC
    if mpeg_audio.has_tag(head):
        return _MPEG_AUDIO if mpeg_audio.recognise_after_junk(path) else Content("an ID3 tag without MPEG audio")
    if size_bytes <= MAX_DOCUMENT_SIZE and charset.decode(path.read_bytes()) is not None:
        return Content(libmagic.text_label(head), ("text/plain",))
    foreign = libmagic.foreign_label(head)
    if foreign is not None:
        return Content(foreign)
    return _MPEG_AUDIO if mpeg_audio.recognise_after_junk(path) else _UNKNOWN


def _looked_into(found: Content, head: bytes, path: Path, extension: str, options: ProcessingOptions) -> Content:
    """Containers whose first bytes do not tell what they hold."""
    if found is ZIP:
        return _inside_zip(path, extension, options)
    if found is OLE:
        return _inside_compound(path, extension)
    if found is MATROSKA:
        return _inside_matroska(path)
    if found == GZIP:
        return _inside_gzip(head)
    return _inside_iso_media(path, found) if found.demuxer == "mov" else found


def _inside_iso_media(path: Path, found: Content) -> Content:
    handlers = track_handlers(path)
    if handlers & FILM_HANDLERS:
        return found
    if b"pict" in handlers:
        return Content("a picture under the brand of a film")
    # Without tracks a film of a known kind is damaged, which is for its reader to say.
    return Content(iso_media.UNKNOWN) if found.label == iso_media.UNKNOWN else found


def _inside_matroska(path: Path) -> Content:
    """Browsers record H.264 into Matroska and call it WebM, so the sentence says what makes the difference."""
    try:
        facts = probe_streams(str(path), demuxer=_DEMUXER_OF_MATROSKA)
    except InvalidUpload:
        return MATROSKA
    return Content(_matroska_label(facts))


def _matroska_label(facts: StreamFacts) -> str:
    codecs = [_CODEC_NAMES.get(name, name) for name in dict.fromkeys(facts.video_codecs + facts.audio_codecs)]
    return f"a Matroska file with {' and '.join(codecs[:4])}, not WebM (VP8, VP9 or AV1 with Opus or Vorbis)"


def _inside_gzip(head: bytes) -> Content:
    """Never taken, but named: browsers and servers unpack a file on the way, so people do not know that they have one.

    Only the beginning is unpacked, to no more than `HEAD_BYTES`.
    """
    try:
        inner = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, signatures.HEAD_BYTES)
    except zlib.error:
        return GZIP
    found = signatures.recognise(inner, size_bytes=2**63)
    if found is None and xml_root.is_svg(inner):
        return Content("an SVG image compressed with gzip (SVGZ)")
    return Content(f"{found.label} compressed with gzip") if found is not None and found.mime_types else GZIP


def _inside_zip(path: Path, extension: str, options: ProcessingOptions) -> Content:
    try:
        with ooxml.open_package(path, options) as package:
            main = ooxml.main_part(package)
            if main is None:
                kinds = (label for name, label in _ZIP_KINDS if package.size_bytes(name) is not None)
                return Content(next(kinds, ZIP.label))
    except InvalidUpload:
        # What is wrong inside matters to those who said that it is an Office document; to others it is a ZIP.
        if extension in _DOCX.extensions + _XLSX.extensions:
            raise
        return ZIP
    return next((content for start, content in _MAIN_PARTS if main.content_type.startswith(start)), ZIP)


def _inside_compound(path: Path, extension: str) -> Content:
    try:
        with open_compound(path) as compound:
            names = compound.root_names()
    except UnreadableFile:
        if extension in ("doc", "xls", "docx", "xlsx"):
            raise
        return OLE
    return next((content for name, content in _OLE_KINDS if name in names), OLE)


def _agreed(content: Content, extension: str, job: Job) -> FileType:
    rows = tuple(by_mime_type(mime_type) for mime_type in content.mime_types)
    media_type = MediaType(job.media_type)
    for row in rows:
        if (extension in row.extensions or not extension) and row.media_type == media_type:
            return row
    if content is _UNKNOWN:
        raise UnsupportedFileType(f"The content is {content.label}.")
    if not rows:
        raise UnsupportedFileType(f"The content is {content.label}, which is not supported.")
    if not extension:
        raise FileTypeMismatch(f"The content is {content.label}, but media_type says '{media_type.value}'.")
    if not by_extension(extension):
        raise UnsupportedFileType(f"Files {_ending(extension)} are not supported; the content is {content.label}.")
    raise FileTypeMismatch(_disagreement(content, rows, extension, media_type))


def _disagreement(content: Content, rows: tuple[FileType, ...], extension: str, media_type: MediaType) -> str:
    name_agrees = any(extension in row.extensions for row in rows)
    declaration_agrees = any(row.media_type == media_type for row in rows)
    if name_agrees and not declaration_agrees:
        return f"The content is {content.label}, but media_type says '{media_type.value}'."
    if declaration_agrees and not name_agrees:
        return f"The file name ends in .{extension} but the content is {content.label}."
    return (
        f"The file name ends in .{extension} and media_type says '{media_type.value}', "
        f"but the content is {content.label}."
    )


def _ending(extension: str) -> str:
    is_harmless = extension.isascii() and extension.isalnum() and len(extension) <= 16
    return f"ending in .{extension}" if is_harmless else "with this extension"


def _check_streams(path: Path, content: Content, file_type: FileType) -> None:
    facts = probe_streams(str(path), demuxer=content.demuxer or "")
    if content.demuxer == _DEMUXER_OF_MATROSKA and not _WEBM_CODECS.issuperset(facts.video_codecs + facts.audio_codecs):
        raise UnsupportedFileType(f"The content is {_matroska_label(facts)}, which is not supported.")
    if file_type.media_type is MediaType.VIDEO and not facts.has_video:
        raise FileTypeMismatch(f"The content is {content.label} that contains no video, but media_type says 'video'.")
    if file_type.media_type is MediaType.AUDIO and facts.has_video:
        raise FileTypeMismatch(f"The content is {content.label} that contains video, but media_type says 'audio'.")
