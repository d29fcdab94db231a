"""Owns what of EXIF becomes a property: camera, exposure and date; never place, serial number or owner."""

import math
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from PIL import ExifTags, Image

from app.core.processing.contract import JsonObject, JsonValue

_MAX_CHARS = 200
_ORIENTATION = ExifTags.Base.Orientation
# A damaged or hostile directory raises any of these while Pillow follows its offsets.
_UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, struct.error, ArithmeticError)


def read(image: Image.Image, *, is_header_complete: bool = False) -> Image.Exif:
    """The EXIF directory of a picture; empty when there is none or it cannot be read.

    is_header_complete: nothing follows the pixels that could hold it; otherwise Pillow decodes a PNG to look there.
    """
    try:
        with _quietly():
            return Image.Image.getexif(image) if is_header_complete else image.getexif()
    except _UNREADABLE:
        return Image.Exif()


def parse(data: bytes) -> Image.Exif:
    """The EXIF directory in `data` (TIFF, with or without "Exif" before it); empty when it cannot be read."""
    directory = Image.Exif()
    try:
        with _quietly():
            directory.load(data if data.startswith(b"Exif\0\0") else b"Exif\0\0" + data)
    except _UNREADABLE:
        return Image.Exif()
    return directory


def color_space_of(exif: Image.Exif) -> tuple[int | None, str | None]:
    """ColorSpace and the rule that InteroperabilityIndex names, each None when it is absent or nonsense."""
    try:
        with _quietly():
            space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
            rule = _text(exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex))
    except _UNREADABLE:
        return None, None
    return space if isinstance(space, int) else None, rule if isinstance(rule, str) else None


def orientation_of(exif: Image.Exif) -> int:
    """The EXIF orientation 1-8; 1 when it is absent or nonsense."""
    try:
        with _quietly():
            value = exif.get(_ORIENTATION, 1)
    except _UNREADABLE:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def facts(exif: Image.Exif) -> JsonObject:
    """`{"exif": {...}, "taken_at": ...}`, each only when the file tells.

    Strings are printable and at most 200 characters, numbers finite: `exposure_time_s`, `focal_length_mm` and
    `focal_length_35mm_mm` carry their unit. `taken_at` is ISO 8601, with an offset only when the camera wrote one.
    Source: CIPA DC-008 (Exif 2.32) sections 4.6.4-4.6.5.
    """
    try:
        with _quietly():
            tags = {**dict(exif), **dict(exif.get_ifd(ExifTags.IFD.Exif))}
    except _UNREADABLE:
        return {}
    camera: JsonObject = {}
    for tag, (name, clean) in _ALLOWED.items():
        value = clean(tags.get(tag))
        if value is not None:
            camera[name] = value
    found: JsonObject = {"exif": camera} if camera else {}
    taken_at = _taken_at(tags)
    if taken_at is not None:
        found["taken_at"] = taken_at
    return found


@contextmanager
def _quietly() -> Iterator[None]:
    # Pillow warns about every tag that it skips; a damaged directory is the uploader's affair.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _text(value: object) -> JsonValue:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "ignore")
    if not isinstance(value, str):
        return None
    cleaned = "".join(char for char in value.split("\0", 1)[0][: _MAX_CHARS * 4] if char.isprintable()).strip()
    return cleaned[:_MAX_CHARS].strip() or None


def _number(value: object) -> JsonValue:
    if isinstance(value, tuple) and value:
        value = value[0]
    try:
        number = float(value)  # type: ignore[arg-type]  # anything at all may stand in a tag; the next line answers it
    except _UNREADABLE:
        return None
    return round(number, 6) if math.isfinite(number) and abs(number) < 1e9 else None


def _positive(value: object) -> JsonValue:
    number = _number(value)
    return number if isinstance(number, float) and number > 0 else None


def _whole(value: object) -> JsonValue:
    number = _positive(value)
    return int(number) if isinstance(number, float) else None


def _flash(value: object) -> JsonValue:
    return bool(value & 1) if isinstance(value, int) else None


_ALLOWED: Final[dict[int, tuple[str, Callable[[object], JsonValue]]]] = {
    ExifTags.Base.Make: ("make", _text),
    ExifTags.Base.Model: ("model", _text),
    ExifTags.Base.Software: ("software", _text),
    ExifTags.Base.LensMake: ("lens_make", _text),
    ExifTags.Base.LensModel: ("lens", _text),
    ExifTags.Base.ExposureTime: ("exposure_time_s", _positive),
    ExifTags.Base.FNumber: ("f_number", _positive),
    ExifTags.Base.ISOSpeedRatings: ("iso", _whole),
    ExifTags.Base.ExposureBiasValue: ("exposure_bias_ev", _number),
    ExifTags.Base.FocalLength: ("focal_length_mm", _positive),
    ExifTags.Base.FocalLengthIn35mmFilm: ("focal_length_35mm_mm", _whole),
    ExifTags.Base.Flash: ("flash_fired", _flash),
}


def _taken_at(tags: dict[int, object]) -> str | None:
    text = _text(tags.get(ExifTags.Base.DateTimeOriginal))
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.strptime(text, "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    offset = _text(tags.get(ExifTags.Base.OffsetTimeOriginal))
    try:
        return datetime.fromisoformat(f"{moment.isoformat()}{offset or ''}").isoformat()
    except ValueError:
        return moment.isoformat()
