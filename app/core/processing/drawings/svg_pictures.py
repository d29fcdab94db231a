"""Owns the pictures inside an SVG: each is rewritten like an uploaded one, so no metadata and no bomb rides along."""

import base64
import binascii
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from app.core.errors import FileTooComplex, InvalidUpload
from app.core.media_types import by_mime_type
from app.core.processing.contract import ProcessingOptions
from app.core.processing.detection import signatures
from app.core.processing.imaging import image_upload, images

MAX_PIXELS: Final = 16_000_000
"""Of all pictures and frames together; some are decoded by every viewer of the drawing at once."""

_HREFS = ("href", "{http://www.w3.org/1999/xlink}href")
_EMBEDDED = re.compile(r"data:image/[a-z]+;base64,(.*)", re.IGNORECASE | re.DOTALL)
_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_LONGEST_SIDE_PX = 65_535


def rewrite(root: Element, *, folder: Path, options: ProcessingOptions) -> None:
    """Give every embedded picture clean bytes in place; one that cannot be read goes.

    folder: for the files of a moment, inside the job's `output_dir`.  Raises FileTooComplex over MAX_PIXELS.
    """
    left_px = MAX_PIXELS
    # The picture keeps its size and what shows through: the drawing counts on both.
    kept_as_it_is = replace(
        options, keep_alpha=True, max_image_width_px=_LONGEST_SIDE_PX, max_image_height_px=_LONGEST_SIDE_PX
    )
    for element in root.iter():
        for attribute in _HREFS:
            found = _EMBEDDED.fullmatch(element.get(attribute, "").strip())
            if found is None:
                continue
            try:
                url, taken_px = _rewritten(found[1], folder / "embedded", left_px=left_px, options=kept_as_it_is)
            except FileTooComplex as exc:
                raise FileTooComplex("The pictures inside the SVG file have too many pixels or frames.") from exc
            except InvalidUpload:
                del element.attrib[attribute]
            else:
                element.set(attribute, url)
                left_px -= taken_px


def _rewritten(encoded: str, path: Path, *, left_px: int, options: ProcessingOptions) -> tuple[str, int]:
    """The picture as a `data:` URL, and its pixels. Raises InvalidUpload."""
    try:
        data = base64.b64decode("".join(encoded.split()), validate=True)
    except binascii.Error as exc:
        raise InvalidUpload("An embedded picture is damaged.") from exc
    path.write_bytes(data)
    try:
        content = signatures.recognise(data[: signatures.HEAD_BYTES], size_bytes=len(data))
        mime_type = content.mime_types[0] if content is not None and content.mime_types else ""
        if mime_type not in _TYPES or left_px <= 0:
            raise (InvalidUpload if left_px > 0 else FileTooComplex)("An embedded picture cannot be kept.")
        limited = replace(options, max_image_pixels=min(left_px, options.max_image_pixels))
        upload = image_upload.open_upload(path, by_mime_type(mime_type), options=limited)
        stored = images.process_image(upload, path, options=limited)
        clean = base64.b64encode(stored.path.read_bytes()).decode()
        return f"data:{upload.codec.mime_type};base64,{clean}", math.prod(upload.size) * upload.frames
    finally:
        path.write_bytes(b"")  # not removed: a worker may not, so that the server sees all that a job writes
