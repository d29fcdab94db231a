"""Owns what the sanitiser leaves open in an SVG tree: limits, references that leave the file, style sheets."""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from app.core.errors import FileTooComplex

MAX_ELEMENTS = 200_000
MAX_DEPTH = 256
_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_INNER = re.compile(r"#[^\s\"'()<>]+")
_RASTER = re.compile(r"data:image/(?:png|jpeg|jpg|gif|webp);base64,[A-Za-z0-9+/=\s]*", re.IGNORECASE)
_ANIMATIONS = frozenset({"animate", "animateColor", "animateMotion", "animateTransform", "set", "discard"})
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_AT_RULES = re.compile(r"@(?:import|namespace|charset)\b[^;{}]*;?|@font-face\s*\{[^{}]*\}", re.IGNORECASE)
# No way to match ends later than at the next bracket or quote: many open ones would otherwise be read to the end each.
_URL = re.compile(r"url\((?:\s*\"([^\"]*)\"\s*|\s*'([^']*)'\s*|([^()\"']*))\)", re.IGNORECASE)
_OTHER_URL = re.compile(r"url\((?!#[^\s\"'()<>]+\))", re.IGNORECASE)
_LOADS = re.compile(
    r"[\\<]|@import|[a-z]:\s*//|javascript:|data:|expression\s*\(|(?<![\w-])(?:-webkit-)?"
    r"(?:image-set|image|src|cross-fade)\s*\(",
    re.IGNORECASE,
)


def name_of(element: Element) -> str:
    """The name of an element of the SVG namespace, '' for any other."""
    return element.tag.removeprefix(_SVG) if isinstance(element.tag, str) and element.tag.startswith(_SVG) else ""


def href_of(element: Element) -> str | None:
    """What the element refers to, by `href` or by the older `xlink:href`."""
    return element.get("href") or element.get(f"{_XLINK}href")


def check(root: Element) -> None:
    """Raise FileTooComplex over 200,000 elements, 256 levels, or when `use` multiplies them beyond that number."""
    count = 0
    level = [root]
    for _depth in range(MAX_DEPTH):
        count += len(level)
        if count > MAX_ELEMENTS:
            raise FileTooComplex(f"The SVG file has more than {MAX_ELEMENTS} elements.")
        level = [child for element in level for child in element]
        if not level:
            break
    else:
        raise FileTooComplex(f"The SVG file is nested more than {MAX_DEPTH} levels deep.")
    _check_copies(root)


def keep_inside(root: Element) -> None:
    """Remove everything that points out of the file or moves: foreign references, style imports, animations.

    References to a place in the file itself stay, and so do embedded PNG, JPEG, GIF and WebP pictures.
    """
    for element in _walk(root):
        for child in [child for child in element if name_of(child) in _ANIMATIONS]:
            element.remove(child)
        for attribute, value in list(element.items()):
            if attribute in ("href", f"{_XLINK}href"):
                if not _INNER.fullmatch(value.strip()) and not _RASTER.fullmatch(value.strip()):
                    del element.attrib[attribute]
            elif "(" in value or "\\" in value or attribute == "style":
                element.set(attribute, clean_css(value))
        if name_of(element) == "style":
            element.text = clean_css(element.text or "")
            for child in list(element):
                element.remove(child)


def clean_css(css: str) -> str:
    """A style sheet, declaration list or single value that loads nothing; '' when that cannot be told for sure.

    Imports, font faces and comments go; `url()` may name a place in the file. Escapes could spell anything, so a text
    with a backslash goes whole, and so does one with a `url(` that does not end, which browsers end for it.
    """
    css = _AT_RULES.sub("", _COMMENT.sub("", css))
    css = _URL.sub(lambda found: f"url({_target(found)})" if _INNER.fullmatch(_target(found)) else "none", css)
    return "" if _LOADS.search(css) or _OTHER_URL.search(css) else css


def _target(found: re.Match[str]) -> str:
    return next((group for group in found.groups() if group is not None), "").strip()


def _walk(root: Element) -> Iterator[Element]:
    return iter(list(root.iter()))


def _check_copies(root: Element) -> None:
    """Count what is drawn once every `use` is followed: nested copies grow as powers of two from a short file."""
    by_id = {identity: element for element in root.iter() if (identity := element.get("id"))}
    sizes: dict[Element, int] = {}
    pending: list[tuple[Element, bool]] = [(root, False)]
    open_elements: set[Element] = set()
    while pending:
        element, is_counted = pending.pop()
        used = by_id.get((href_of(element) or "").lstrip("#")) if name_of(element) == "use" else None
        parts = [*element, *([used] if used is not None else [])]
        if is_counted:
            open_elements.discard(element)
            sizes[element] = 1 + sum(sizes.get(part, 0) for part in parts)
            if sizes[element] > MAX_ELEMENTS:
                raise FileTooComplex("The SVG file copies its own parts too many times.")
        elif element not in sizes and element not in open_elements:
            open_elements.add(element)
            pending.append((element, True))
            pending.extend((part, False) for part in parts)
