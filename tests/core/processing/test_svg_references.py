"""The short way of counting a drawing without references says what following everything would say."""

from xml.etree.ElementTree import fromstring

import pytest

from app.core.processing.drawings import svg_references

SHAPES = "".join(f'<path d="M0 {n}L1 {n} 2 {n}z"/><g opacity1="x"><circle r="{n}"/></g>' for n in range(300))


@pytest.mark.parametrize(
    ("inside", "is_plain"),
    [
        ("", True),
        (SHAPES, True),
        ("<text>words</text><title>t</title>", True),
        ('<g opacity="0.5"><rect/></g>', False),
        ('<rect style="fill:red"/>', False),
        ('<rect fill="url(#a)"/>', False),
        ("<svg><rect/></svg>", False),
        ("<style>rect{mask:url(#a)}</style><rect/>", False),
        ('<rect id="a"/><use href="#a"/>', False),
        ('<defs><rect id="a"/></defs>', False),
    ],
)
def test_the_short_way_agrees_with_the_long_one_or_is_not_taken(inside: str, is_plain: bool) -> None:
    root = fromstring(f'<svg xmlns="http://www.w3.org/2000/svg">{inside}</svg>')
    plain = svg_references._plain_amount(root)
    assert (plain is not None) is is_plain
    assert svg_references.amount_of(root) == svg_references._Walk(root).of(root)
