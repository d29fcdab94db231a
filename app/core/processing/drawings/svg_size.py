"""Owns the size of an SVG picture: `width`, `height` and `viewBox` in CSS pixels. Imports no library."""

import math
import re
from xml.etree.ElementTree import Element

DEFAULT_SIZE = (300, 150)
_MAX_SIDE_PX = 32_767
_LENGTH = re.compile(r"\s*([+]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([a-zA-Z%]*)\s*")
_PIXELS = {"": 1.0, "px": 1.0, "pt": 96 / 72, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0, "q": 96 / 101.6,
           "em": 16.0, "rem": 16.0, "ex": 8.0}  # fmt: skip


def of(root: Element) -> tuple[int, int]:
    """Width and height in whole pixels, each 1 to 32,767.

    A missing or relative side follows the aspect of `viewBox`; with nothing to go by it is 300 x 150.
    Source: CSS Images section 4.3 (default sizing), CSS Values section 6 (units), SVG 2 section 8.2.
    """
    box = _view_box(root)
    width, height = _pixels(root.get("width")), _pixels(root.get("height"))
    if box is not None:
        aspect = box[0] / box[1]
        if width is None and height is None:
            width, height = box
        width = width if width is not None else (height or 0) * aspect
        height = height if height is not None else width / aspect
    return _side(width, DEFAULT_SIZE[0]), _side(height, DEFAULT_SIZE[1])


def pixels_per_unit(root: Element) -> float:
    """How many pixels a unit of the drawing takes, by `width`, `height` and `viewBox`; 1 without a `viewBox`."""
    box = _view_box(root)
    if box is None:
        return 1.0
    width, height = of(root)
    return max(width / box[0], height / box[1])


def _pixels(length: str | None) -> float | None:
    found = _LENGTH.fullmatch(length[:40]) if length else None
    factor = _PIXELS.get(found.group(2).lower()) if found else None
    if found is None or factor is None:
        return None
    value = float(found.group(1)) * factor
    return value if math.isfinite(value) and value > 0 else None


def _view_box(root: Element) -> tuple[float, float] | None:
    parts = re.split(r"[\s,]+", (root.get("viewBox") or "")[:200].strip())
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return None
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)) or min(numbers[2:]) <= 0:
        return None
    return numbers[2], numbers[3]


def _side(value: float | None, default: int) -> int:
    return default if value is None else max(1, round(min(value, _MAX_SIDE_PX)))
