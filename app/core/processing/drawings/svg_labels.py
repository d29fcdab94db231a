"""Owns what becomes of HTML inside an SVG, which cannot stay: its words become a `text` in the same place.

Drawing programs write labels as HTML in a `foreignObject`, often in a `switch` with another branch for viewers that
show no HTML, as the thumbnail and the sanitised drawing do not. Imports no library.
"""

import re
from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from app.core.processing.drawings import svg_tree
from app.core.text_safety import clean_text

_MAX_CHARS, _MAX_LINES = 2_000, 50
_FONT_PX, _LINE_HEIGHT = 14.0, 1.2
_NEVER_SHOWN: Final = frozenset(
    {"script", "style", "template", "head", "title", "iframe", "object", "textarea", "select"}
)
_LINES = frozenset({"br", "div", "p", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "pre"})
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+))(?:px)?\s*")
_FONT_SIZE = re.compile(r"(?<![\w-])font-size\s*:\s*(\d{1,3}(?:\.\d{1,3})?)px")
_COLOR = re.compile(r"(?<![\w-])color\s*:\s*(#[0-9A-Fa-f]{3,8}|[A-Za-z]{3,20}|rgb\([\d ,.%]{5,30}\))")
_SPACE = re.compile(r"\s+")


def replace(root: Element) -> int:
    """Settle every `switch`, and put a `text` with the words in the place of each `foreignObject`; how many there were.

    A `switch` keeps the children that may be shown where there is no HTML: `requiredFeatures` is always true and
    `requiredExtensions` never, languages are left for the viewer to choose. The HTML of a switch without another
    branch is replaced like any other.
    Source: SVG 2 sections 5.9 (conditional processing) and 12.4 (foreignObject).
    """
    removed = 0
    for element in list(root.iter()):
        if svg_tree.name_of(element) == "switch":
            removed += _settle(element)
    pending = [root]
    while pending:
        element = pending.pop()
        for place, child in enumerate(list(element)):
            if svg_tree.name_of(child) == "foreignObject":
                removed += 1
                element[place] = _text_of(child)
            else:
                pending.append(child)
    return removed


def _settle(switch: Element) -> int:
    children = [child for child in switch if svg_tree.name_of(child) and _is_possible(child)]
    drawable = [child for child in children if svg_tree.name_of(child) != "foreignObject"]
    removed = len(children) - len(drawable) if drawable else 0
    kept: list[Element] = []
    for child in drawable or children[:1]:
        kept.append(child)
        if "systemLanguage" not in child.attrib:
            break  # whatever follows is never chosen
    for child in kept:
        child.attrib.pop("requiredFeatures", None)
    switch[:] = kept
    return removed


def _is_possible(child: Element) -> bool:
    if child.get("systemLanguage", "en").strip() == "":
        return False
    return "requiredExtensions" not in child.attrib or svg_tree.name_of(child) == "foreignObject"


def _text_of(foreign: Element) -> Element:
    """A `text` in the middle of the place; an empty group when there are no words."""
    namespace = str(foreign.tag).removesuffix("foreignObject")
    lines = _lines_of(foreign)
    if not lines:
        return Element(f"{namespace}g")
    style = " ".join(element.get("style", "") for element in foreign.iter())
    found, color = _FONT_SIZE.search(style), _COLOR.search(style)
    size_px = float(found[1]) if found else _FONT_PX
    x, y, width, height = (_number(foreign.get(side)) for side in ("x", "y", "width", "height"))
    text = Element(f"{namespace}text", {"text-anchor": "middle", "font-size": f"{size_px:g}", "stroke": "none"})
    text.set("fill", color[1] if color else "#000")
    for kept in ("transform", "class", "id"):
        if kept in foreign.attrib:
            text.set(kept, foreign.get(kept, ""))
    # The first base line: lines in the middle of the place, a third of the size below the middle of their own.
    top = y + height / 2 + size_px / 3 - (len(lines) - 1) * size_px * _LINE_HEIGHT / 2
    for number, line in enumerate(lines):
        place = {"x": f"{x + width / 2:g}", "y": f"{top + number * size_px * _LINE_HEIGHT:g}"}
        SubElement(text, f"{namespace}tspan", place).text = line
    return text


def _lines_of(foreign: Element) -> list[str]:
    words = "".join(_words_of(foreign))[: 4 * _MAX_CHARS]
    lines = (_SPACE.sub(" ", line).strip() for line in clean_text(words, max_chars=_MAX_CHARS).split("\n"))
    return [line for line in lines if line][:_MAX_LINES]


def _words_of(element: Element) -> Iterator[str]:
    """The words with a newline around whatever begins a line; a line end of the source is a space, as in HTML."""
    # Without recursion, through which each word would climb.
    pending: list[Element | str] = [*reversed(element)]
    while pending:
        child = pending.pop()
        if isinstance(child, str):
            yield child
            continue
        name = str(child.tag).rpartition("}")[2]
        edge = "\n" if name in _LINES else ""
        pending.append(_SPACE.sub(" ", child.tail or ""))
        if name not in _NEVER_SHOWN:
            yield edge
            yield _SPACE.sub(" ", child.text or "")
            pending.append(edge)
            pending.extend(reversed(child))


def _number(value: str | None) -> float:
    found = _NUMBER.fullmatch((value or "")[:20])
    return float(found[1]) if found else 0.0
