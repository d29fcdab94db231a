"""Processes PDF: page count and size, title, text, a picture of the first page; the only importer of pypdfium2.

pdfium runs no script and fetches nothing here: this build has no JavaScript engine, and form fields get no platform to
call. It is not thread-safe, which is one more reason for a worker process.
Stored byte for byte.
"""

import contextlib
import math
import time
from pathlib import Path

import pypdfium2
from PIL import Image
from pypdfium2 import raw

from app.core.errors import UnreadableFile
from app.core.media_types import FileType, extension_of
from app.core.processing import pictures, placeholders, previews
from app.core.processing.contract import Job, JsonObject, ProcessedFile, Rendition
from app.core.text_safety import clean_text

_MAX_TEXT_PAGES = 2_000
_MAX_TEXT_S = 10.0
_MAX_FACT_CHARS = 500
# Pixels per point. A page of the size of a stamp is shown larger, but not as large as the whole box.
_MAX_SCALE = 4.0
_FACTS = {"Title": "title", "Author": "author", "Subject": "subject"}

_DAMAGED = "The file is damaged: it cannot be opened as a PDF document."


def process(job: Job, file_type: FileType) -> ProcessedFile:
    """Open the document, read its facts, draw page 1 with its filled form fields on white as thumbnail and poster.

    properties: `pages`, `page_width_pt` and `page_height_pt` of page 1 as displayed, `title`, `author`, `subject`,
    `encrypted` (true also for a document that opens without a password but restricts printing or copying), and the
    placeholders of the thumbnail.  A document that wants a password is accepted with nothing but `encrypted: true`; a
    page that takes more than `previews.MAX_CPU_S` has no picture.
    text: of the first pages until `max_text_chars`, 2000 pages or ten seconds.
    Raises UnreadableFile when pdfium finds no header, cross references or first page.
    """
    extension = extension_of(job.filename)
    try:
        document = pypdfium2.PdfDocument(Path(job.source))
    except pypdfium2.PdfiumError as exc:
        if exc.err_code == raw.FPDF_ERR_PASSWORD:
            return ProcessedFile(mime_type=file_type.mime_type, extension=extension, properties={"encrypted": True})
        raise UnreadableFile(_DAMAGED) from exc
    with document:
        try:
            properties = _page_size(document) | _facts(document)
            picture = None
            if job.options.draw_preview:
                with previews.bounded():
                    picture = _first_page(document, box=_larger_box(job))
            text = _text(document, max_chars=job.options.max_text_chars)
        except pypdfium2.PdfiumError as exc:
            raise UnreadableFile(_DAMAGED) from exc
    thumbnail, poster = _renditions(picture, job) if picture is not None else (None, None)
    return ProcessedFile(
        mime_type=file_type.mime_type,
        extension=extension,
        properties=properties | (placeholders.of(picture) if picture is not None else {}),
        thumbnail=thumbnail,
        poster=poster,
        text=text or None,
    )


def _facts(document: pypdfium2.PdfDocument) -> JsonObject:
    facts: JsonObject = {"pages": len(document)}
    facts["encrypted"] = raw.FPDF_GetSecurityHandlerRevision(document) != -1
    for key, name in _FACTS.items():
        try:
            value = document.get_metadata_value(key)
        except UnicodeDecodeError:
            # The binding decodes strictly, and a lone surrogate is the file's to write.
            continue
        if title := clean_text(value, max_chars=_MAX_FACT_CHARS):
            facts[name] = title
    return facts


def _page_size(document: pypdfium2.PdfDocument) -> JsonObject:
    if len(document) < 1:
        raise UnreadableFile("The PDF document has no pages.")
    page = document[0]
    try:
        width_pt, height_pt = page.get_size()
    finally:
        page.close()
    if not (math.isfinite(width_pt) and math.isfinite(height_pt) and width_pt > 0 and height_pt > 0):
        raise UnreadableFile("The first page of the PDF document has no size.")
    return {"page_width_pt": round(width_pt, 2), "page_height_pt": round(height_pt, 2)}


def _first_page(document: pypdfium2.PdfDocument, *, box: tuple[int, int]) -> Image.Image:
    """Page 1 within `box` pixels, with its form fields. A field without an appearance of its own is given one."""
    # Before the page is loaded, or none of them is drawn; where that fails, the page is drawn without them.
    with contextlib.suppress(pypdfium2.PdfiumError):
        document.init_forms()
    page = document[0]
    try:
        width_pt, height_pt = page.get_size()
        # The box bounds the pixels before anything is drawn: a page may claim to be kilometres wide.
        scale = min(box[0] / width_pt, box[1] / height_pt, _MAX_SCALE)
        bitmap = page.render(scale=scale, fill_color=(255, 255, 255, 255), rev_byteorder=True)
        try:
            # A copy: the bitmap's memory belongs to pdfium.
            picture: Image.Image = bitmap.to_pil().convert("RGB").copy()
            return picture
        finally:
            bitmap.close()
    finally:
        page.close()
        # The text of further pages is read without what their fields would cost.
        document.close_forms()


def _text(document: pypdfium2.PdfDocument, *, max_chars: int) -> str:
    deadline = time.monotonic() + _MAX_TEXT_S
    found: list[str] = []
    room = max_chars
    for number in range(min(len(document), _MAX_TEXT_PAGES)):
        if room <= 0 or time.monotonic() > deadline:
            break
        text = _text_of_page(document, number)[: room + 1]
        room -= len(text) + 1
        found.append(text)
    return clean_text("\n".join(found), max_chars=max_chars)


def _text_of_page(document: pypdfium2.PdfDocument, number: int) -> str:
    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        # One broken page further back does not make the document unreadable; viewers skip it as well.
        return ""
    try:
        text_page = page.get_textpage()
        try:
            return str(text_page.get_text_bounded())
        finally:
            text_page.close()
    except pypdfium2.PdfiumError:
        return ""
    finally:
        page.close()


def _larger_box(job: Job) -> tuple[int, int]:
    options = job.options
    return (
        max(options.poster_width_px, options.thumbnail_width_px),
        max(options.poster_height_px, options.thumbnail_height_px),
    )


def _renditions(picture: Image.Image, job: Job) -> tuple[Rendition, Rendition]:
    options, folder = job.options, Path(job.output_dir)
    quality = options.image_quality
    thumbnail_box = (options.thumbnail_width_px, options.thumbnail_height_px)
    poster_box = (options.poster_width_px, options.poster_height_px)
    return (
        pictures.save_rendition(picture, folder / "thumbnail.jpg", box=thumbnail_box, quality=quality),
        pictures.save_rendition(picture, folder / "poster.jpg", box=poster_box, quality=quality, is_progressive=False),
    )
