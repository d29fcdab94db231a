"""Owns what becomes of an uploaded SVG: sanitised markup, thumbnail, size. Only importer of py-svg-hush and resvg.

The text is decoded and freed of its document type (`svg_source`), bounded and cut off from the outside (`svg_tree`),
then filtered by py-svg-hush's allow-list of elements and attributes. What is stored is written from the filtered tree.
"""

import io
import math
import re
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from xml.etree.ElementTree import Element, register_namespace, tostring

import py_svg_hush
import resvg_py
from PIL import Image

from app.core.errors import UnreadableFile
from app.core.media_types import FileType
from app.core.processing import pictures, placeholders, previews
from app.core.processing.contract import Job, JsonObject, ProcessedFile, ProcessingOptions
from app.core.processing.documents import safe_xml
from app.core.processing.drawings import (
    svg_filters,
    svg_labels,
    svg_pictures,
    svg_references,
    svg_size,
    svg_source,
    svg_text,
    svg_tree,
)
from app.core.processing.imaging import image_steps

_NAMESPACE = "http://www.w3.org/2000/svg"
_RASTER_TYPES = {"image": ["png", "jpeg", "jpg", "gif", "webp"]}
_TEXT = frozenset({"text", "tspan", "textPath"})
_INDENTATION = re.compile(r"\n *")
_LINE_BREAKS = str.maketrans("\n\r\t", "   ")
_KEPT_FOR_FILTER = {
    "href": "data-kept-href",
    "paint-order": "data-kept-paint-order",
    "mix-blend-mode": "data-kept-mix-blend-mode",
    "isolation": "data-kept-isolation",
    "{http://www.w3.org/XML/1998/namespace}space": "data-kept-space",
}
"""Harmless attributes that py-svg-hush 0.3 drops (`href` on text paths only), and where they hide from it."""
_FALLBACK_FONT = "DejaVu Sans"
"""What stands in for a font that is not installed; resvg draws no text at all without one."""
_BUDGET_S = 1.0
"""CPU time for the drawing itself; `previews` ends a worker that takes twice as much all in all."""
_HOPELESS = 15
_MAX_LAYERS = 1_500
_HARMLESS = re.compile(r"#[\w.:-]+|[a-z -]{1,60}")
_DAMAGED = "The SVG file is damaged: it is not well-formed XML with an svg element at its root."

register_namespace("", _NAMESPACE)


def process(job: Job, file_type: FileType) -> ProcessedFile:
    """Store the sanitised drawing with a thumbnail of it on white, within 300 x 300 pixels.

    properties: `format`, `original_width`, `original_height`, the placeholders of the thumbnail, and
    `removed_elements: ["foreignObject"]` where HTML went.  A drawing that takes more than `previews.MAX_CPU_S` to draw
    has no thumbnail.

    Raises UnsupportedFileType, UnreadableFile, FileTooComplex; OSError when the disk fails.
    """
    root, removed = sanitise(Path(job.source).read_bytes())
    svg_pictures.rewrite(root, folder=Path(job.output_dir), options=job.options)
    markup = tostring(root, encoding="unicode")
    stored = Path(job.output_dir) / "image.svg"
    stored.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{markup}\n', encoding="utf-8", newline="\n")
    width, height = svg_size.of(root)
    properties: JsonObject = {"format": "SVG", "original_width": width, "original_height": height}
    if removed:
        properties["removed_elements"] = ["foreignObject"]
    thumbnail = None
    if job.options.draw_preview:
        with previews.bounded():
            picture = rasterise(root, size=_thumbnail_size((width, height), job.options))
        properties |= placeholders.of(picture)
        box = (job.options.thumbnail_width_px, job.options.thumbnail_height_px)
        path = Path(job.output_dir) / "thumbnail"
        thumbnail = pictures.save_rendition(picture, path, box=box, keep_alpha=job.options.keep_alpha)
    return ProcessedFile(
        mime_type=file_type.mime_type,
        extension="svg",
        main_path=str(stored),
        width_px=width,
        height_px=height,
        properties=properties,
        thumbnail=thumbnail,
    )


def sanitise(data: bytes) -> tuple[Element, int]:
    """The drawing without scripts, handlers, foreign elements and references that leave the file.

    The number tells how many pieces of HTML (`foreignObject`) went; their words stay as text.

    Raises UnsupportedFileType, UnreadableFile, FileTooComplex.
    """
    root = safe_xml.parse(svg_source.read(data).encode())
    if root.tag == "svg":
        _adopt(root)
    if svg_tree.name_of(root) != "svg":
        raise UnreadableFile(_DAMAGED)
    svg_tree.check(root)
    removed = svg_labels.replace(root)
    svg_tree.keep_inside(root)
    svg_filters.limit_noise(root)
    _before_filter(root)
    try:
        filtered = py_svg_hush.filter_svg(tostring(root, encoding="utf-8"), _RASTER_TYPES)
    except ValueError as exc:
        raise UnreadableFile(_DAMAGED) from exc
    clean = safe_xml.parse(filtered)
    _after_filter(clean)
    return clean, removed


def rasterise(root: Element, *, size: tuple[int, int]) -> Image.Image:
    """The drawing as RGBA, `size` pixels wide and high; no file and no address is opened for it.

    Filters and texts that would take more than seconds are left out of the picture; what may take long is first drawn
    small, and then no larger than its budget allows.

    Raises UnreadableFile when it cannot be drawn, FileTooComplex when its references multiply beyond reason.
    """
    copy = deepcopy(root)
    if copy.get("viewBox") is None:
        width, height = svg_size.of(root)
        copy.set("viewBox", f"0 0 {width} {height}")
    if svg_filters.cost_ms(copy, pixels_per_unit=svg_size.pixels_per_unit(copy)) > svg_filters.MAX_COST_MS:
        svg_filters.make_plain(copy)
    if svg_text.cost_ms(copy) > svg_text.MAX_COST_MS:
        svg_text.leave_out(copy)
    amount = svg_references.amount_of(copy)
    if amount.layers > _MAX_LAYERS or amount.elements > svg_tree.MAX_ELEMENTS:
        svg_references.leave_out_layers(copy)
        amount = svg_references.amount_of(copy)
    if amount.worst_ms < 1000 * _BUDGET_S:
        return _drawn(copy, size)
    return _drawn(copy, _affordable(copy, size, worst_ms=amount.worst_ms)).resize(size, Image.Resampling.BICUBIC)


def _affordable(root: Element, size: tuple[int, int], *, worst_ms: float) -> tuple[int, int]:
    """The largest size in the proportions of `size` that takes about a second, by two small ones that are timed.

    What everything covers cannot be told beforehand: of a thousand groups each may be as large as a dot or the sheet.
    """
    small, smaller = _shrunk(size, 64), _shrunk(size, 32)
    if worst_ms > _HOPELESS * 1000 * _BUDGET_S:
        return small
    began = time.process_time()
    _drawn(root, smaller)
    reached = time.process_time()
    _drawn(root, small)
    took_smaller, took_small = reached - began, time.process_time() - reached
    more_px = small[0] * small[1] - smaller[0] * smaller[1]
    per_px = max(0.0, took_small - took_smaller) / max(1, more_px)
    left_s = _BUDGET_S - took_smaller
    if left_s <= 0 or per_px * size[0] * size[1] <= left_s:
        return size if left_s > 0 else small
    return _shrunk(size, max(64, int(max(size) * math.sqrt(left_s / (per_px * size[0] * size[1])))))


def _shrunk(size: tuple[int, int], longest_px: int) -> tuple[int, int]:
    scale = min(1.0, longest_px / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _drawn(root: Element, size: tuple[int, int]) -> Image.Image:
    root.set("width", str(size[0]))
    root.set("height", str(size[1]))
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=tostring(root, encoding="unicode"),
            dpi=96,
            languages=["en"],
            font_family=_FALLBACK_FONT,
            sans_serif_family=_FALLBACK_FONT,
            serif_family="DejaVu Serif",
            monospace_family="DejaVu Sans Mono",
        )
    except ValueError as exc:
        raise UnreadableFile("The SVG file cannot be drawn.") from exc
    with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
        return picture.convert("RGBA")


def _thumbnail_size(size: tuple[int, int], options: ProcessingOptions) -> tuple[int, int]:
    # A drawing has no pixels to blow up, so a small icon fills the thumbnail as well.
    scale = max(1, 2 * max(options.thumbnail_width_px, options.thumbnail_height_px))
    enlarged = (size[0] * scale, size[1] * scale)
    return image_steps.fitted_size(
        enlarged, max_width_px=options.thumbnail_width_px, max_height_px=options.thumbnail_height_px
    )


def _adopt(root: Element) -> None:
    """Give elements without any namespace that of SVG: so browsers read an `svg` element pasted from a web page."""
    for element in root.iter():
        if isinstance(element.tag, str) and not element.tag.startswith("{"):
            element.tag = f"{{{_NAMESPACE}}}{element.tag}"


def _before_filter(root: Element) -> None:
    """Protect what py-svg-hush would lose: some attributes, and line breaks in text beside which it indents."""
    for element in root.iter():
        name = svg_tree.name_of(element)
        for attribute, hidden in _KEPT_FOR_FILTER.items():
            value = svg_tree.href_of(element) if attribute == "href" else element.get(attribute)
            element.attrib.pop(hidden, None)
            if value is not None and _HARMLESS.fullmatch(value) and (attribute != "href" or name == "textPath"):
                element.set(hidden, value)
        if name in _TEXT:
            _each_text(element, lambda text: text.translate(_LINE_BREAKS))


def _after_filter(root: Element) -> None:
    """Bring those attributes back, and take away indentation inside a text, where it would be drawn as spaces."""
    for element in root.iter():
        for attribute, hidden in _KEPT_FOR_FILTER.items():
            value = element.attrib.pop(hidden, None)
            if value is not None:
                element.set(attribute, value)
        # Nothing that is drawn depends on them, and they may hold anything.
        for attribute in [attribute for attribute in element.attrib if attribute.startswith("data-")]:
            del element.attrib[attribute]
        if svg_tree.name_of(element) in _TEXT:
            _each_text(element, lambda text: _INDENTATION.sub("", text))


def _each_text(element: Element, change: Callable[[str], str]) -> None:
    element.text = change(element.text or "")
    for child in element:
        child.tail = change(child.tail or "")
