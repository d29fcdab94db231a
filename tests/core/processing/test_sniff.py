"""Claims about `sniff.identify`: what is accepted under which name, what is refused and with which sentence."""

import contextlib
import gzip
from pathlib import Path

import pytest

from app.core.errors import EmptyFile, FileTypeMismatch, UnreadableFile, UnsupportedFileType
from app.core.media_types import MediaType
from app.core.processing.detection.sniff import identify
from tests.fixtures import document_files as documents
from tests.fixtures.compound_files import make_compound, make_doc, make_xls
from tests.fixtures.sniff_files import (
    FOREIGN,
    WINDOWS_PROGRAM,
    adts_frames,
    film,
    id3_tag,
    iso_file,
    moving_picture,
    mp3_frames,
    ogg_page,
    picture,
    rebranded,
    webm,
    with_wide_sizes,
)

IMAGE, VIDEO, AUDIO, DOCUMENT = MediaType.IMAGE, MediaType.VIDEO, MediaType.AUDIO, MediaType.DOCUMENT
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
TYPE, VERSIONS = (
    b"\x42\x82\x84webm",
    b"\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x87\x81\x02\x42\x85\x81\x02",
)
OPUS, THEORA = b"OpusHead\x01\x02" + bytes(9), b"\x80theora\x03\x02" + bytes(33)

ACCEPTED = {
    "JPEG": (picture("JPEG"), "a.jpg", IMAGE, "image/jpeg"),
    "JPEG by its rarer name": (picture("JPEG"), "a.JFIF", IMAGE, "image/jpeg"),
    "PNG in capitals": (picture("PNG"), "A.B.PNG", IMAGE, "image/png"),
    "GIF": (picture("GIF"), "a.gif", IMAGE, "image/gif"),
    "WebP": (picture("WEBP"), "a.webp", IMAGE, "image/webp"),
    "AVIF": (picture("AVIF"), "a.avif", IMAGE, "image/avif"),
    "HEIC of an iPhone": (iso_file(b"heic", b"mif1", b"heic"), "a.HEIC", IMAGE, "image/heic"),
    "SVG": (SVG.encode(), "a.svg", IMAGE, "image/svg+xml"),
    "SVG with a mark, a comment and a doctype": (
        b"\xef\xbb\xbf<?xml version='1.0'?><!-- x --><!DOCTYPE svg [<!ENTITY a 'b'>]>" + SVG.encode(),
        "a.svg",
        IMAGE,
        "image/svg+xml",
    ),
    "SVG in UTF-16": (SVG.encode("utf-16"), "a.svg", IMAGE, "image/svg+xml"),
    "SVG with a prefix": (
        b'<s:svg xmlns:s="http://www.w3.org/2000/svg"/>',
        "a.svg",
        IMAGE,
        "image/svg+xml",
    ),
    "MP4": (film("mp4", video="mpeg4", audio="aac"), "a.mp4", VIDEO, "video/mp4"),
    "M4V": (film("mp4", video="mpeg4"), "a.m4v", VIDEO, "video/mp4"),
    "MP4 of an unknown brand": (rebranded(film("mp4", video="mpeg4", audio="aac")), "a.mp4", VIDEO, "video/mp4"),
    "QuickTime of an unknown brand": (rebranded(film("mov", video="mpeg4")), "a.mov", VIDEO, "video/quicktime"),
    "M4A of an unknown brand": (rebranded(film("ipod", audio="aac")), "a.m4a", AUDIO, "audio/mp4"),
    "AVIF of an unknown brand": (rebranded(picture("AVIF"), keep=True), "a.avif", IMAGE, "image/avif"),
    "3GPP that also is an MP4": (film("3gp", video="mpeg4"), "a.mp4", VIDEO, "video/mp4"),
    "MP4 of sound": (film("mp4", audio="aac"), "a.mp4", AUDIO, "audio/mp4"),
    "M4A": (film("ipod", audio="aac"), "a.m4a", AUDIO, "audio/mp4"),
    "M4A called AAC": (film("ipod", audio="aac"), "a.aac", AUDIO, "audio/mp4"),
    "QuickTime": (film("mov", video="mpeg4"), "a.mov", VIDEO, "video/quicktime"),
    "QuickTime without ftyp": (film("mov", video="mpeg4")[20:], "a.mov", VIDEO, "video/quicktime"),
    "AVI": (film("avi", video="mpeg4"), "a.avi", VIDEO, "video/x-msvideo"),
    "WebM": (film("webm", video="libvpx"), "a.webm", VIDEO, "video/webm"),
    "WebM of sound": (film("webm", audio="libopus"), "a.webm", AUDIO, "audio/webm"),
    "WebM whose type is the last thing in its head": (webm(VERSIONS + TYPE), "a.webm", VIDEO, "video/webm"),
    "WebM whose type comes first": (webm(TYPE + VERSIONS), "a.webm", VIDEO, "video/webm"),
    "WebM whose head has gaps": (webm(b"\xec\x84" + bytes(4) + TYPE + VERSIONS), "a.webm", VIDEO, "video/webm"),
    "WebM with long sizes": (
        webm(b"\x42\x82\x01" + bytes(6) + b"\x04webm" + VERSIONS, size_bytes=8),
        "a.webm",
        VIDEO,
        "video/webm",
    ),
    "WebM with a padded type": (webm(b"\x42\x82\x40\x08webm" + bytes(4) + VERSIONS), "a.webm", VIDEO, "video/webm"),
    "WebM with a gap of 300 bytes": (
        webm(b"\xec\x41\x2c" + bytes(300) + TYPE + VERSIONS, size_bytes=2),
        "a.webm",
        VIDEO,
        "video/webm",
    ),
    "MPEG program stream": (film("mpeg", video="mpeg1video"), "a.mpeg", VIDEO, "video/mpeg"),
    "MPEG video stream": (film("mpeg1video", video="mpeg1video"), "a.mpg", VIDEO, "video/mpeg"),
    "MPEG transport stream": (film("mpegts", video="mpeg2video"), "a.mpg", VIDEO, "video/mpeg"),
    "MP3 with a tag": (film("mp3", audio="libmp3lame"), "a.mp3", AUDIO, "audio/mpeg"),
    "MP3 without a tag": (mp3_frames(), "a.MP3", AUDIO, "audio/mpeg"),
    "MP3 of two frames": (mp3_frames(2), "a.mp3", AUDIO, "audio/mpeg"),
    "MP3 behind a large cover": (id3_tag(300_000) + mp3_frames(), "a.mp3", AUDIO, "audio/mpeg"),
    "MP3 behind zeros": (bytes(1000) + mp3_frames(), "a.mp3", AUDIO, "audio/mpeg"),
    "MP3 cut out of a stream": (b"\x12\x80\x00" * 99 + mp3_frames(), "a.mp3", AUDIO, "audio/mpeg"),
    "MPEG audio layer II": (film("mp2", audio="mp2"), "a.mpga", AUDIO, "audio/mpeg"),
    "AAC": (film("adts", audio="aac"), "a.aac", AUDIO, "audio/aac"),
    "AAC behind a tag": (id3_tag(64) + adts_frames(), "a.aac", AUDIO, "audio/aac"),
    "WAV": (film("wav", audio="pcm_s16le"), "a.wav", AUDIO, "audio/wav"),
    "WAV of 64 bits": (with_wide_sizes(film("wav", audio="pcm_s16le"), b"RF64"), "a.wav", AUDIO, "audio/wav"),
    "Broadcast WAV of 64 bits": (with_wide_sizes(film("wav", audio="pcm_s16le"), b"BW64"), "a.wav", AUDIO, "audio/wav"),
    "Ogg Opus": (film("ogg", audio="libopus"), "a.opus", AUDIO, "audio/ogg"),
    "Ogg FLAC": (film("ogg", audio="flac"), "a.ogg", AUDIO, "audio/ogg"),
    "Ogg Vorbis": (ogg_page(b"\x01vorbis" + bytes(23)), "a.oga", AUDIO, "audio/ogg"),
    "PDF": (documents.make_pdf(), "a.pdf", DOCUMENT, "application/pdf"),
    "PDF behind a blank line": (b"\xef\xbb\xbf\r\n" + documents.make_pdf(), "a.pdf", DOCUMENT, "application/pdf"),
    "PDF behind the head of an HTTP answer": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n" + documents.make_pdf(),
        *("a.pdf", DOCUMENT, "application/pdf"),
    ),
    "PDF behind the head of a MIME part": (
        b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n' + documents.make_pdf(),
        *("a.pdf", DOCUMENT, "application/pdf"),
    ),
    "PDF behind a printer's preamble": (
        b"\x1b%-12345X@PJL JOB\r\n@PJL ENTER LANGUAGE=PDF\r\n" + documents.make_pdf(),
        *("a.pdf", DOCUMENT, "application/pdf"),
    ),
    "PDF behind 1023 bytes": (b"-" * 1023 + documents.make_pdf(), "a.pdf", DOCUMENT, "application/pdf"),
    "text that speaks of PDF": (b"A file begins with %PDF-1.7.", "a.txt", DOCUMENT, "text/plain"),
    "DOC": (make_doc(), "a.doc", DOCUMENT, "application/msword"),
    "XLS": (make_xls(), "a.XLS", DOCUMENT, "application/vnd.ms-excel"),
    "text": (b"Hello\n", "a.txt", DOCUMENT, "text/plain"),
    "text that is HTML": (b"<!DOCTYPE html><html><script>alert(1)</script>", "a.txt", DOCUMENT, "text/plain"),
    "text that is SVG": (SVG.encode(), "a.txt", DOCUMENT, "text/plain"),
    "text that is a script": (b"#!/usr/bin/env python\nimport os\n", "a.txt", DOCUMENT, "text/plain"),
    "text about BMWs": (b"BMW and MZ build motorcycles.", "a.text", DOCUMENT, "text/plain"),
    "text that says free where a box would": (b"I'm free to go.", "a.txt", DOCUMENT, "text/plain"),
    "text in UTF-16": ("Grüße".encode("utf-16"), "a.txt", DOCUMENT, "text/plain"),
    "text in Windows-1251": ("Привет, как дела? Всё хорошо.".encode("cp1251"), "a.txt", DOCUMENT, "text/plain"),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(case: str, tmp_path: Path) -> None:
    data, filename, media_type, mime_type = ACCEPTED[case]
    assert identify(documents.make_job(tmp_path, data, filename, media_type)).mime_type == mime_type


@pytest.mark.parametrize("data", [documents.make_docx(), documents.make_reordered_docx()], ids=["usual", "reordered"])
def test_a_docx_is_one_whatever_the_order_of_its_members(data: bytes, tmp_path: Path) -> None:
    assert identify(documents.make_job(tmp_path, data, "a.Docx")).extensions == ("docx",)


def test_an_xlsx_is_accepted(tmp_path: Path) -> None:
    assert identify(documents.make_job(tmp_path, documents.make_xlsx(), "a.xlsx")).extensions == ("xlsx",)


@pytest.mark.parametrize(
    ("filename", "media_type"),
    [("a.jpg", IMAGE), ("a.mp4", VIDEO), ("a.mp3", AUDIO), ("a.pdf", DOCUMENT), ("a.txt", DOCUMENT), ("a.exe", IMAGE)],
)
@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_format_is_refused_under_every_name(
    name: str, filename: str, media_type: MediaType, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedFileType):
        identify(documents.make_job(tmp_path, FOREIGN[name], filename, media_type))


MISMATCHES = {
    "extension": (
        (picture("JPEG"), "a.png", IMAGE),
        "The file name ends in .png but the content is a JPEG image.",
    ),
    "declaration": (
        (documents.make_pdf(), "a.pdf", IMAGE),
        "The content is a PDF document, but media_type says 'image'.",
    ),
    "both": (
        (documents.make_pdf(), "a.png", VIDEO),
        "The file name ends in .png and media_type says 'video', but the content is a PDF document.",
    ),
    "no extension": (
        (picture("PNG"), "photo", VIDEO),
        "The content is a PNG image, but media_type says 'video'.",
    ),
    "a drawing without an extension": (
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "blob", DOCUMENT),
        "The content is an SVG image, but media_type says 'document'.",
    ),
    "double extension": (
        (picture("PNG"), "a.png.txt", IMAGE),
        "The file name ends in .txt but the content is a PNG image.",
    ),
    "sound declared as video": (
        (film("mp4", audio="aac"), "a.mp4", VIDEO),
        "The content is an MP4 file that contains no video, but media_type says 'video'.",
    ),
    "video declared as sound": (
        (film("webm", video="libvpx"), "a.webm", AUDIO),
        "The content is a WebM file that contains video, but media_type says 'audio'.",
    ),
    "MP4 called MOV": (
        (film("mp4", video="mpeg4"), "a.mov", VIDEO),
        "The file name ends in .mov but the content is an MP4 file.",
    ),
    "web page as picture": (
        (b"<!DOCTYPE html><html><body>hi</body></html>", "a.svg", DOCUMENT),
        "The file name ends in .svg but the content is an HTML page.",
    ),
    "playlist as video": (
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "a.mp4", VIDEO),
        "The file name ends in .mp4 and media_type says 'video', but the content is plain text.",
    ),
    "Word as Excel": (
        (documents.make_docx(), "a.xlsx", DOCUMENT),
        "The file name ends in .xlsx but the content is a Word document.",
    ),
    "old Excel as old Word": (
        (make_xls(), "a.doc", DOCUMENT),
        "The file name ends in .doc but the content is an Excel 97-2003 workbook.",
    ),
}


@pytest.mark.parametrize("case", MISMATCHES)
def test_a_mismatch_says_what_disagrees(case: str, tmp_path: Path) -> None:
    upload, sentence = MISMATCHES[case]
    with pytest.raises(FileTypeMismatch) as caught:
        identify(documents.make_job(tmp_path, *upload))
    assert str(caught.value) == sentence


_ODT = documents.zip_of({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "<a/>"})
_MACROS = "application/vnd.ms-word.document.macroEnabled.main+xml"
_TEMPLATE = "application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml"
UNSUPPORTED = {
    "JAR as DOCX": (documents.zip_of({"META-INF/MANIFEST.MF": "x"}), "a.docx", DOCUMENT, "a Java archive"),
    "ODT as DOCX": (_ODT, "a.docx", DOCUMENT, "an OpenDocument file"),
    "ZIP as DOCX": (documents.zip_of({"a.txt": "x"}), "a.docx", DOCUMENT, "a ZIP archive"),
    "ZIP as ZIP": (documents.zip_of({"a.txt": "x"}), "a.zip", DOCUMENT, "a ZIP archive"),
    "macros as DOCX": (
        documents.zip_of(documents.docx_members(main_type=_MACROS)),
        "a.docx",
        DOCUMENT,
        "a Word document with macros",
    ),
    "template as DOCX": (
        documents.zip_of(documents.docx_members(main_type=_TEMPLATE)),
        "a.docx",
        DOCUMENT,
        "a Word template",
    ),
    "PowerPoint as DOC": (
        make_compound({"PowerPoint Document": b"x"}),
        "a.doc",
        DOCUMENT,
        "a PowerPoint 97-2003 presentation",
    ),
    "locked PowerPoint": (
        make_compound({"EncryptedPackage": b"x", "EncryptionInfo": b"x"}),
        "a.pptx",
        DOCUMENT,
        "an Office document locked with a password",
    ),
    "program as PDF": (WINDOWS_PROGRAM, "a.pdf", DOCUMENT, "a Windows program"),
    "Matroska": (film("matroska", video="mpeg4"), "a.webm", VIDEO, "a Matroska file"),
    "H.264 that a browser calls WebM": (
        film("matroska", video="libx264", audio="libopus"),
        "a.webm",
        VIDEO,
        "a Matroska file with H.264 and Opus, not WebM",
    ),
    "H.264 that says it is WebM": (
        film("matroska", video="libx264").replace(b"matroska", b"webm" + bytes(4)),
        "a.webm",
        VIDEO,
        "a Matroska file with H.264, not WebM",
    ),
    "Matroska whose title is webm": (
        webm(b"\x42\x82\x88matroska\xec\x87\x42\x82\x84webm"),
        "a.webm",
        VIDEO,
        "Matroska",
    ),
    "AVIF as MP4": (rebranded(picture("AVIF")), "a.mp4", VIDEO, "a picture under the brand"),
    "AVIF as MP4 of a known brand": (rebranded(picture("AVIF"), b"isom"), "a.mp4", VIDEO, "a picture under the brand"),
    "moving AVIF as MP4": (rebranded(moving_picture("AVIF"), b"isom"), "a.mp4", VIDEO, "a picture under the brand"),
    "moving AVIF of an unknown brand": (rebranded(moving_picture("AVIF")), "a.mov", VIDEO, "a picture under the brand"),
    "unknown brand without anything": (iso_file(b"zzzz", b"zzzz"), "a.mp4", VIDEO, "an MPEG-4 file of an unknown kind"),
    "BW64 of something else": (b"BW64\xff\xff\xff\xffAVI " + bytes(64), "a.avi", VIDEO, "in no format"),
    "Ogg video": (ogg_page(THEORA) + ogg_page(OPUS), "a.ogg", AUDIO, "an Ogg video"),
    "3GPP": (iso_file(b"3gp5", b"3gp5"), "a.mp4", VIDEO, "a 3GPP video"),
    "tag without sound": (id3_tag(64) + b"nothing here", "a.mp3", AUDIO, "an ID3 tag without MPEG audio"),
    "one byte": (b"\x00", "a.jpg", IMAGE, "in no format that this service knows"),
    "known content, unknown name": (picture("PNG"), "a.dat", IMAGE, "Files ending in .dat are not supported"),
    "known content, strange name": (picture("PNG"), "a.<b>", IMAGE, "Files with this extension are not supported"),
    "binary called text": (b"abc\x00def", "a.txt", DOCUMENT, "in no format that this service knows"),
    "noisy text": (b"ab\x01\x02\x03\x04", "a.txt", DOCUMENT, "in no format that this service knows"),
    "PDF behind other bytes": (b"GIF89\x00" + documents.make_pdf(), "a.pdf", DOCUMENT, "another format in front"),
    "PDF behind HTML": (b"\r\n<b>Hi</b>" + documents.make_pdf(), "a.pdf", DOCUMENT, "another format in front"),
    "PDF behind a shebang": (b"#!/bin/sh\n" + documents.make_pdf(), "a.pdf", DOCUMENT, "another format in front"),
    "PDF behind too much": (b"-" * 1024 + documents.make_pdf(), "a.pdf", DOCUMENT, "behind more than 1024 bytes"),
    "PDF in gzip": (gzip.compress(documents.make_pdf()), "a.pdf", DOCUMENT, "a PDF document compressed with gzip"),
    "DOCX in gzip": (gzip.compress(documents.make_docx()), "a.docx", DOCUMENT, "a gzip archive"),
    "SVGZ": (gzip.compress(SVG.encode()), "a.svg", IMAGE, "an SVG image compressed with gzip"),
    "SVGZ by its name": (gzip.compress(SVG.encode()), "a.svgz", IMAGE, "an SVG image compressed with gzip"),
    "a bomb in gzip": (gzip.compress(bytes(9_000_000)), "a.svg", IMAGE, "a gzip archive"),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_unsupported(case: str, tmp_path: Path) -> None:
    data, filename, media_type, found = UNSUPPORTED[case]
    with pytest.raises(UnsupportedFileType) as caught:
        identify(documents.make_job(tmp_path, data, filename, media_type))
    assert found in str(caught.value)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmptyFile):
        identify(documents.make_job(tmp_path, b"", "a.jpg", IMAGE))


def test_heic_is_refused_when_the_service_does_not_take_it(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFileType, match="HEIC"):
        identify(documents.make_job(tmp_path, iso_file(b"heic", b"mif1"), "a.heic", IMAGE, accept_heic=False))


@pytest.mark.parametrize(("data", "name"), [(documents.make_docx(), "a.docx"), (make_doc(), "a.doc")])
def test_a_cut_off_container_is_called_damaged(data: bytes, name: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="damaged"):
        identify(documents.make_job(tmp_path, data[: len(data) // 2], name))


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_truncated_file_is_never_our_fault(case: str, tmp_path: Path) -> None:
    data, filename, media_type, _ = ACCEPTED[case]
    for size_bytes in (1, 2, 3, 4, 7, 8, 11, 12, 16, 31, 64):
        job = documents.make_job(tmp_path, data[:size_bytes], filename, media_type)
        with contextlib.suppress(UnsupportedFileType, FileTypeMismatch, UnreadableFile):
            identify(job)


def test_boxes_in_boxes_without_end_are_not_followed(tmp_path: Path) -> None:
    nested = b""
    for _ in range(3_000):
        nested = (len(nested) + 8).to_bytes(4) + b"moov" + nested
    with pytest.raises(UnsupportedFileType, match="unknown kind"):
        identify(documents.make_job(tmp_path, iso_file(b"zzzz", b"zzzz") + nested, "a.mp4", VIDEO))
