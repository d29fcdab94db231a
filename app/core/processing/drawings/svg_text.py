"""Owns what the text of an SVG would cost to draw, and a way to draw the rest without it. Imports no library."""

from xml.etree.ElementTree import Element

from app.core.processing.drawings import svg_tree

MAX_COST_MS = 1_000
_MS_PER_SQUARE = 2.9e-6
"""resvg 0.5 lays a text of n characters out in n² steps: 20,000 took 1.2 s, 100,000 took 29 s (2026-11)."""


def cost_ms(root: Element) -> float:
    """About how long the texts take to draw, copies by `use` included."""
    lengths = [sum(map(len, element.itertext())) for element in root.iter() if svg_tree.name_of(element) == "text"]
    copies = sum(svg_tree.name_of(element) == "use" for element in root.iter())
    return _MS_PER_SQUARE * sum(length * length for length in lengths) * (1 + copies)


def leave_out(root: Element) -> None:
    """Empty every text."""
    for element in list(root.iter()):
        if svg_tree.name_of(element) == "text":
            element.text = None
            for child in list(element):
                element.remove(child)
