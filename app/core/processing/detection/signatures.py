"""What a file says it is in its first bytes: the allowed formats and the foreign ones people mistake for them.

Pure functions over bytes; opens no file and asks no library. Containers whose directory decides (ZIP, OLE) and
formats without a signature (MPEG audio, SVG, text) are left to `sniff`.
"""

import re
from dataclasses import dataclass

from app.core.media_types import MediaType, by_mime_type
from app.core.processing.detection import ebml, iso_media, ogg_pages

HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """What the bytes are. `label` completes "The content is …"; `mime_types` are the rows of the type table it may be.

    No MIME types: a foreign format.  demuxer: FFmpeg's name of a container whose streams tell video from audio.
    """

    label: str
    mime_types: tuple[str, ...] = ()
    demuxer: str | None = None


ZIP = Content("a ZIP archive")
OLE = Content("a compound file of another program")

_JPEG = Content("a JPEG image", ("image/jpeg",))
_PNG = Content("a PNG image", ("image/png",))
GZIP = Content("a gzip archive")
_GIF = Content("a GIF image", ("image/gif",))
_PDF = Content("a PDF document", ("application/pdf",))
_MPEG_PS = Content("an MPEG video", ("video/mpeg",), "mpeg")
_MPEG_ES = Content("an MPEG video", ("video/mpeg",), "mpegvideo")
_MPEG_TS = Content("an MPEG transport stream", ("video/mpeg",), "mpegts")
MATROSKA = Content("a Matroska file")
_WEBM = Content("a WebM file", ("video/webm", "audio/webm"), "matroska")
_OGG_AUDIO = Content("an Ogg audio file", ("audio/ogg",))
_WAV = Content("a WAV audio file", ("audio/wav",))
# RF64 and its successor BW64 are WAV with sizes of 64 bits (EBU Tech 3306, ITU-R BS.2088).
_RIFF_FORMS = (b"RIFF", b"RF64", b"BW64")
_RIFF = {
    b"AVI ": Content("an AVI video", ("video/x-msvideo",), "avi"),
    b"WAVE": _WAV,
    b"WEBP": Content("a WebP image", ("image/webp",)),
}

# A signature that could also begin an honest text is long enough, or has a control character, to tell them apart.
_ALLOWED = (
    (re.compile(rb"\xff\xd8\xff"), _JPEG),
    (re.compile(rb"\x89PNG\r\n\x1a\n.{4}IHDR", re.DOTALL), _PNG),
    (re.compile(rb"GIF8[79]a"), _GIF),
    # More than white space may come first, see `late_pdf`; a file that begins as something else is that.
    (re.compile(rb"(?:\xef\xbb\xbf)?[\x00\t\n\f\r ]{0,1016}%PDF-\d"), _PDF),
    (re.compile(rb"PK\x03\x04"), ZIP),
    (re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), OLE),
    (re.compile(rb"\x00\x00\x01\xba[\x20-\x2f\x40-\x7f]"), _MPEG_PS),
    (re.compile(rb"\x00\x00\x01\xb3"), _MPEG_ES),
    (re.compile(rb"(?:G.{187}){4}G", re.DOTALL), _MPEG_TS),
    (re.compile(rb"RF64.{4}WAVEds64", re.DOTALL), _RIFF[b"WAVE"]),
)

_FOREIGN = (
    (rb"\x89PNG\r\n\x1a\n.{4}CgBI", "a PNG image in Apple's private form"),
    (rb"II[*+]\x00|MM\x00[*+]", "a TIFF image"),
    (rb"BM.{4}\x00{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00{3}", "a BMP image"),
    (rb"\x00\x00[\x01\x02]\x00[^\x00]\x00", "a Windows icon"),
    (rb"8BPS\x00[\x01\x02]", "a Photoshop document"),
    (rb"%!PS-Adobe|\xc5\xd0\xd3\xc6", "a PostScript document"),
    (rb"SIMPLE  = {20}T", "a FITS image"),
    (rb"\x00\x00\x00\x0cjP  \r\n|\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (rb"\xff\x0a|\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (rb"DDS \x7c\x00\x00\x00", "a DirectDraw surface"),
    (rb"v/1\x01", "an OpenEXR image"),
    (rb"icns\x00", "an Apple icon"),
    (rb"gimp xcf ", "a GIMP image"),
    (rb"AT&TFORM.{4}DJV", "a DjVu document"),
    (rb"\xd7\xcd\xc6\x9a\x00\x00|\x01\x00\x00\x00.{36} EMF", "a Windows metafile"),
    (rb".{128}DICM", "a DICOM image"),
    (rb"fLaC\x00", "a FLAC audio file"),
    (rb"FORM.{4}AIF[FC]", "an AIFF audio file"),
    (rb"#!AMR(?:-WB)?\n", "an AMR audio file"),
    (rb"\.snd\x00", "a Sun audio file"),
    (rb"MThd\x00\x00\x00\x06", "a MIDI file"),
    (rb"caff\x00\x01", "an Apple Core Audio file"),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file"),
    (rb"FLV\x01", "a Flash video"),
    (rb"[FCZ]WS[\x01-\x40].{4}", "a Flash film"),
    (rb"\.RMF\x00", "a RealMedia file"),
    (rb"MZ(?=.{0,126}\x00)", "a Windows program"),
    (rb"\x7fELF", "a Linux program"),
    (rb"\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe", "a macOS program"),
    (rb"\xca\xfe\xba\xbe", "a Java class or macOS program"),
    (rb"\x00asm\x01", "a WebAssembly module"),
    (rb"dex\n0", "an Android program"),
    (rb"L\x00\x00\x00\x01\x14\x02\x00", "a Windows shortcut"),
    (rb"PK\x05\x06|PK\x07\x08", "an empty or split ZIP archive"),
    (rb"\x1f\x8b\x08", GZIP.label),
    (rb"BZh[1-9]1AY&SY", "a bzip2 archive"),
    (rb"\xfd7zXZ\x00", "an XZ archive"),
    (rb"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (rb"Rar!\x1a\x07", "a RAR archive"),
    (rb"MSCF\x00{4}", "a Windows cabinet"),
    (rb".{257}ustar", "a tar archive"),
    (rb"SQLite format 3\x00", "an SQLite database"),
    (rb"\{\\rtf", "a Rich Text document"),
    (rb"ITSF\x03\x00", "a compiled help file"),
    (rb"wOF[F2]|OTTO\x00|\x00\x01\x00\x00\x00.\x00", "a font"),
)
# What in front of a PDF makes it two things at once: markup and scripts that a careless program would run, and the
# beginnings of binary formats, which need not be whole for that.
_OTHER_HALF = re.compile(
    rb"[\x00\t\n\f\r ]*(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\x00\t\n\f\r ]*"
    rb"(?:GIF8|MZ|PK|\x7fELF|\x89PNG|\xff\xd8|RIFF|ID3|OggS|\x1a\x45|BM|8BPS|\x1f\x8b|Rar!|7z|\xca\xfe|#!|%!)",
    re.DOTALL,
)
_MARKUP = re.compile(rb"<[!?/A-Za-z]")
_PDF_HEADER = re.compile(rb"%PDF-\d")
_PDF_HEADER_BY = 1024
_FOREIGN_FORMATS = tuple((re.compile(pattern, re.DOTALL), Content(label)) for pattern, label in _FOREIGN)


def recognise(head: bytes, *, size_bytes: int) -> Content | None:
    """The format whose signature `head` begins with, None when there is none; `ZIP` and `OLE` want opening.

    head: the first `HEAD_BYTES` of the file (fewer when it is shorter).  size_bytes: of the whole file.
    Source: the formats' own specifications; the foreign ones as in the magic database of file(1).
    """
    found = next((content for pattern, content in _ALLOWED if pattern.match(head)), None)
    if found is not None:
        return found
    for family in (_iso_media, _riff, _matroska, _ogg):
        found = family(head, size_bytes)
        if found is not None:
            return found
    return next((content for pattern, content in _FOREIGN_FORMATS if pattern.match(head)), None)


def late_pdf(head: bytes) -> Content | None:
    """A PDF whose header stands behind junk: the rest of an HTTP answer or a mail, a printer's preamble, blank lines.

    Readers look for it in the first 1,024 bytes, and so do writers of polyglots: junk that begins as another format or
    holds markup makes it a foreign one. None when there is no such header. Ask only where the name says PDF, as an
    honest text may speak of one, and only when nothing else was recognised.
    Source: ISO 32000-1 annex H, note 13 of implementation; pdfium searches as far.
    """
    header = _PDF_HEADER.search(head)
    if header is None:
        return None
    if header.start() >= _PDF_HEADER_BY:
        return Content(f"a PDF document behind more than {_PDF_HEADER_BY} bytes of something else")
    junk = head[: header.start()]
    if _OTHER_HALF.match(junk) or _MARKUP.search(junk):
        return Content("a PDF document with another format in front of it")
    return _PDF


def sure_media_type(head: bytes) -> MediaType | None:
    """The one media type that a file which begins with `head` can have; None when several or none are possible.

    For limits that must hold while the rest of the file is still on its way; `sniff` decides once it is here.
    """
    found = recognise(head, size_bytes=2**63)
    if found in (ZIP, OLE):
        return MediaType.DOCUMENT
    possible = {by_mime_type(mime_type).media_type for mime_type in found.mime_types} if found else set()
    return possible.pop() if len(possible) == 1 else None


def _iso_media(head: bytes, size_bytes: int) -> Content | None:
    found = iso_media.recognise(head, size_bytes=size_bytes)
    if found is None:
        return None
    label, mime_types = found
    is_moving = any(mime_type.startswith(("video/", "audio/")) for mime_type in mime_types)
    return Content(label, mime_types, "mov" if is_moving else None)


def _riff(head: bytes, _size_bytes: int) -> Content | None:
    if head[:4] not in _RIFF_FORMS or len(head) < 12:
        return None
    found = _RIFF.get(head[8:12])
    if head[:4] != b"RIFF" and found is not _WAV:
        return None
    return found or Content("a RIFF file of an unknown kind")


def _matroska(head: bytes, _size_bytes: int) -> Content | None:
    if not head.startswith(ebml.SIGNATURE):
        return None
    found = ebml.doc_type(head)
    if found == b"webm":
        return _WEBM
    return MATROSKA if found == b"matroska" else Content("an EBML file")


def _ogg(head: bytes, _size_bytes: int) -> Content | None:
    if head[:5] != b"OggS\x00":
        return None
    codecs = ogg_pages.first_codecs(head)
    if ogg_pages.VIDEO & codecs:
        return Content("an Ogg video")
    return _OGG_AUDIO if ogg_pages.AUDIO & codecs else Content("an Ogg file without audio")
