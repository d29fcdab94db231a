"""Owns what the filters of an SVG would cost to draw, and a way to draw it without them. Imports no library."""

from xml.etree.ElementTree import Element, SubElement

from app.core.processing.drawings import svg_tree

MAX_COST_MS = 3_000
_LAYER_MS, _PRIMITIVE_MS, _OCTAVE_MS, _KERNEL_MS, _NEIGHBOUR_MS = 30.0, 10.0, 20.0, 1.0, 0.36
"""Measured with resvg 0.5 on 300 x 300 pixels; morphology looks at every neighbour of every pixel."""
_MAX_OCTAVES = 10


def cost_ms(root: Element, *, pixels_per_unit: float) -> float:
    """About how long the filters take on a thumbnail: what each use of the dearest filter costs, times their number."""
    filters = [element for element in root.iter() if svg_tree.name_of(element) == "filter"]
    dearest = max((_filter_cost(element, pixels_per_unit) for element in filters), default=_LAYER_MS)
    everywhere = any("filter" in (e.text or "") for e in root.iter() if svg_tree.name_of(e) == "style")
    users = sum(everywhere or "filter" in e.attrib or "filter" in e.get("style", "") for e in root.iter())
    copies = sum(svg_tree.name_of(element) == "use" for element in root.iter())
    return dearest * users * (1 + copies if users else 1)


def make_plain(root: Element) -> None:
    """Let every filter pass its picture through; one that were gone would hide what refers to it."""
    for element in list(root.iter()):
        if svg_tree.name_of(element) == "filter":
            for child in list(element):
                element.remove(child)
            SubElement(element, element.tag.replace("}filter", "}feOffset"))
        elif "(" in element.get("filter", "") and "url(" not in element.get("filter", ""):
            del element.attrib["filter"]


def limit_noise(root: Element) -> None:
    """Cut `numOctaves` to ten: later octaves are finer than a pixel, and a hundred thousand cost minutes."""
    for element in root.iter():
        if svg_tree.name_of(element) == "feTurbulence" and _number(element, "numOctaves", 1) > _MAX_OCTAVES:
            element.set("numOctaves", str(_MAX_OCTAVES))


def _filter_cost(element: Element, pixels_per_unit: float) -> float:
    cost = _LAYER_MS
    for primitive in element:
        name = svg_tree.name_of(primitive)
        cost += _PRIMITIVE_MS
        if name == "feTurbulence":
            cost += _OCTAVE_MS * _number(primitive, "numOctaves", 1)
        elif name == "feConvolveMatrix":
            cost += _KERNEL_MS * _number(primitive, "order", 3) ** 2
        elif name == "feMorphology":
            cost += _NEIGHBOUR_MS * (2 * _number(primitive, "radius", 0) * pixels_per_unit) ** 2
    return cost


def _number(element: Element, attribute: str, default: float) -> float:
    parts = element.get(attribute, "").replace(",", " ").split()
    try:
        return min(1e6, max(abs(float(part)) for part in parts)) if parts else default
    except ValueError:
        return default
