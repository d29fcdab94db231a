"""Owns what an SVG amounts to once every reference in it is followed: a short file can name itself a million times.

Counted are `href`, every `url(#…)` of an attribute, a `style` attribute or a style sheet, and what a reference is
multiplied by: a paint by the shapes that inherit it, a marker by the corners of their paths. Imports no library.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from app.core.errors import FileTooComplex
from app.core.processing.drawings import svg_tree

MAX_FOLLOWED: Final = 5_000_000
"""Elements after following everything. A map of 10,000 shapes in patterns of 100 parts has a million."""
_ENDLESS: Final = 10**12
_MS_PER_LAYER, _MS_PER_ELEMENT, _MS_PER_CORNER = 9.0, 0.1, 0.013
"""Measured with resvg 0.5 on 300 x 300 pixels, each covering all of them (2026-11)."""
_LAYERS_OF = {"clip-path": 1, "mask": 2, "filter": 4, "opacity": 1, "mix-blend-mode": 1, "isolation": 1}
_NO_LAYER = {"opacity": ("1", "1.0", "100%"), "mix-blend-mode": ("normal",), "isolation": ("auto",)}
_CONTAINERS = {"svg": 1, "symbol": 4, "marker": 1, "pattern": 1}
_TOO_MANY: Final = 10_000
_MOST_TILE_UNITS, _MOST_TILE_BOXES = 16_000_000, 16
_GRADIENTS = frozenset({"linearGradient", "radialGradient"})
_PAINTS = frozenset({"fill", "stroke"})
_SHAPES = frozenset({"path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "image"})
_HEAVY = ("clipPath", "mask", "pattern", "marker", "filter")
_WAITING = frozenset({*_HEAVY, "defs", "symbol", *_GRADIENTS})
_MULTIPLYING = frozenset({*_WAITING, *_LAYERS_OF, "use", "style", "href"})
"""Elements and attributes of which one is reason enough to follow everything."""
_LINK = re.compile(r"url\(\s*[\"']?\s*#([^\s\"')]+)")
_NUMBER = re.compile(r"[\d.]+")
# Each begins only where what it looks for can begin, and not at every letter of a long run.
_RULE = re.compile(r"(?<![^{}])([^{}]+)\{([^{}]*)\}")
_DECLARATION = re.compile(r"(?<![\w-])([\w-]+)\s*:\s*([^;{}]*)")
_LAST_COMPOUND = re.compile(r"(?<![^\s>+~])[^\s>+~]+\s*$")
_KEY = re.compile(r"#[\w-]+|\.[\w-]+|^[A-Za-z][\w-]*")
_BLENDING = re.compile(
    r"(?<![\w-])(?:clip-path|mask|mask-image|filter|opacity|mix-blend-mode|isolation|marker(?:-\w+)?)\s*:[^;{}]*;?"
)


@dataclass(frozen=True, slots=True)
class Amount:
    """What is drawn: elements, layers (pictures of their own that are put onto the rest), shapes, corners of paths."""

    elements: int = 0
    layers: int = 0
    shapes: int = 0
    corners: int = 0

    def plus(self, other: "Amount", *, times: int = 1) -> "Amount":
        """The sum, never above a million million: numbers that double with every line become slow themselves."""
        return Amount(
            min(_ENDLESS, self.elements + times * other.elements),
            min(_ENDLESS, self.layers + times * other.layers),
            min(_ENDLESS, self.shapes + times * other.shapes),
            min(_ENDLESS, self.corners + times * other.corners),
        )

    @property
    def worst_ms(self) -> float:
        """How long it may take to draw on 300 x 300 pixels, if everything covered all of them."""
        return _MS_PER_LAYER * self.layers + _MS_PER_ELEMENT * self.elements + _MS_PER_CORNER * self.corners


_GRADIENT: Final = Amount(elements=10)
"""Read once for each shape and never multiplied, however long the chain that it inherits from."""


def amount_of(root: Element) -> Amount:
    """All that is drawn of `root`. References in a circle are followed once.

    Raises FileTooComplex over MAX_FOLLOWED elements.
    Source: SVG 2 sections 5.6 (use), 13.7 (markers), 14.3 (patterns); CSS Masking 1 sections 5 and 6.
    """
    if (plain := _plain_amount(root)) is not None:
        return plain
    amount = _Walk(root).of(root)
    if amount.elements > MAX_FOLLOWED:
        raise FileTooComplex("The SVG file copies its own parts too many times.")
    return amount


def _plain_amount(root: Element) -> Amount | None:
    """What `_Walk` finds where nothing refers to anything and no layer is made but the sheet's, as in most drawings.

    None for all others. Following references took 6 of the 53 ms of a small drawing (measured 2026-11).
    """
    elements = shapes = corners = 0
    for element in root.iter():
        name = svg_tree.name_of(element)
        if name in _MULTIPLYING or (name == "svg" and element is not root):
            return None
        for attribute, value in element.attrib.items():
            if attribute in _MULTIPLYING or attribute.endswith("}href") or "url(" in value:
                return None
        elements += 1
        if name in _SHAPES:
            shapes += 1
            corners += _corners(element)
    return Amount(elements, _CONTAINERS["svg"], shapes, corners)


def leave_out_layers(root: Element) -> None:
    """Take away clips, masks, filters, patterns, markers and see-through groups, so that each shape is drawn once."""
    for element in list(root.iter()):
        for child in [child for child in element if svg_tree.name_of(child) in _HEAVY]:
            element.remove(child)
        for attribute in [name for name in element.attrib if name in _LAYERS_OF or name.startswith("marker")]:
            del element.attrib[attribute]
        if "style" in element.attrib:
            element.set("style", _BLENDING.sub("", element.get("style", "")))
        if svg_tree.name_of(element) == "style":
            element.text = _BLENDING.sub("", element.text or "")


class _Walk:
    """The elements by their names, the style sheets by what they select, and the amounts found so far."""

    def __init__(self, root: Element) -> None:
        self._by_id: dict[str, list[Element]] = {}
        self._names: dict[Element, str] = {}
        self._targets: dict[Element, list[tuple[str, Element]]] = {}
        for element in root.iter():
            self._names[element] = svg_tree.name_of(element)
            if identity := element.get("id"):
                self._by_id.setdefault(identity, []).append(element)
        self._sheets = _sheets(root)
        self._found: dict[Element, Amount] = {}

    def of(self, root: Element) -> Amount:
        """Depth first without recursion: a chain of references may be as long as the file."""
        pending: list[tuple[Element, bool]] = [(root, False)]
        entered: set[Element] = set()
        while pending:
            element, is_ready = pending.pop()
            if is_ready:
                self._found[element] = self._sum(element)
            elif element not in entered:
                entered.add(element)
                pending.append((element, True))
                pending.extend((part, False) for part in element)
                self._targets[element] = list(self._targets_of(element))
                pending.extend((target, False) for _, target in self._targets[element])
        return self._found[root]

    def _sum(self, element: Element) -> Amount:
        name = self._names[element]
        # What only waits to be referred to is not drawn where it stands.
        inside = Amount()
        for child in element:
            if self._names[child] not in _WAITING:
                inside = inside.plus(self._found.get(child, Amount()))
        is_shape = name in _SHAPES
        layers = _CONTAINERS.get(name, 0) + sum(_LAYERS_OF.get(name, 0) for name, _ in self._properties(element))
        layers += _TOO_MANY if name == "pattern" and _is_vast(element) else 0
        total = inside.plus(Amount(1, layers, int(is_shape), _corners(element) if is_shape else 0))
        shapes, corners = total.shapes, total.corners
        for attribute, target in self._targets[element]:
            times = shapes if attribute in _PAINTS else corners if attribute.startswith("marker") else 1
            is_gradient = self._names[target] in _GRADIENTS
            amount = _GRADIENT if is_gradient else self._found.get(target, Amount())
            is_copied = attribute == "href"
            total = total.plus(amount if is_copied else Amount(amount.elements, amount.layers), times=max(1, times))
        return total

    def _targets_of(self, element: Element) -> Iterator[tuple[str, Element]]:
        href = (svg_tree.href_of(element) or "").strip()
        if href.startswith("#"):
            yield from (("href", target) for target in self._by_id.get(href[1:], ()))
        for attribute, value in self._properties(element):
            for name in _LINK.findall(value):
                yield from ((attribute, target) for target in self._by_id.get(name, ()))

    def _properties(self, element: Element) -> Iterator[tuple[str, str]]:
        """Attributes and declarations that refer to something or make a layer."""
        for attribute, value in element.attrib.items():
            if attribute == "style":
                yield from _telling(value)
            elif _LINK.search(value) or (attribute in _LAYERS_OF and _is_layer(attribute, value)):
                yield attribute, value
        if self._sheets:
            keys = ["*", self._names[element], f"#{element.get('id', '')}"]
            keys += [f".{name}" for name in element.get("class", "").split()]
            for key in keys:
                yield from self._sheets.get(key, ())


def _sheets(root: Element) -> dict[str, tuple[tuple[str, str], ...]]:
    """What style sheets may set, by the id, class or name that the last part of a selector asks for.

    The rest of a selector is not looked at: rather too many elements than too few are taken for selected.
    """
    found: dict[str, set[tuple[str, str]]] = {}
    for element in root.iter():
        if svg_tree.name_of(element) != "style":
            continue
        for selectors, body in _RULE.findall(element.text or ""):
            telling = set(_telling(body))
            for selector in selectors.split(",") if telling else ():
                last = _LAST_COMPOUND.search(selector.split("[")[0].split(":")[0].strip())
                keys = _KEY.findall(last.group(0).strip()) if last else []
                key = next((key for key in keys if key[0] == "#"), next((key for key in keys if key[0] == "."), None))
                found.setdefault(key or (keys[0] if keys else "*"), set()).update(telling)
    return {key: tuple(sorted(properties)) for key, properties in found.items()}


def _telling(declarations: str) -> Iterator[tuple[str, str]]:
    for name, value in _DECLARATION.findall(declarations):
        if _LINK.search(value) or (name in _LAYERS_OF and _is_layer(name, value)):
            yield name, value


def _is_layer(name: str, value: str) -> bool:
    plain = {"opacity": ("1", "1.0", "100%"), "mix-blend-mode": ("normal",), "isolation": ("auto",)}.get(
        name, ("none",)
    )
    return value.strip() not in plain


def _is_vast(pattern: Element) -> bool:
    """Whether the tile is so large that its pixels would not fit into memory: they are made before they are cut."""
    numbers = [_NUMBER.match(pattern.get(side, "")) for side in ("width", "height")]
    try:
        units = [float(number.group(0)) if number else 0.0 for number in numbers]
    except ValueError:
        return True
    is_in_units = pattern.get("patternUnits") == "userSpaceOnUse"
    return units[0] * units[1] > (_MOST_TILE_UNITS if is_in_units else _MOST_TILE_BOXES)


def _corners(element: Element) -> int:
    return 1 + len(_NUMBER.findall(element.get("d", "") or element.get("points", ""))) // 2
