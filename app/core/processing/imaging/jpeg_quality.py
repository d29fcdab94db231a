"""Owns one judgement: whether a JPEG is already compressed at least as much as we would. Standard library only."""

from collections.abc import Mapping, Sequence
from functools import cache

_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, *[99] * 38,
)  # fmt: skip


def is_within(quality: int, *, tables: Mapping[int, Sequence[int]], table_of_component: Sequence[int]) -> bool:
    """Whether every component is quantised at least as coarsely as libjpeg does at `quality` (1-100).

    tables: 64 divisors by table number.  table_of_component: the table number of each component, luminance first.
    Tables are compared by their sum, since cameras and Photoshop have tables of their own shape.
    Source: ITU-T T.81 annex K.1 for the tables, libjpeg's jpeg_quality_scaling for the scale.
    """
    for position, number in enumerate(table_of_component):
        table = tables.get(number)
        if table is None or sum(table) < _reference_sum(quality, is_luminance=position == 0):
            return False
    return bool(table_of_component)


@cache
def _reference_sum(quality: int, *, is_luminance: bool) -> int:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    table = _LUMINANCE if is_luminance else _CHROMINANCE
    return sum(min(255, max(1, (divisor * scale + 50) // 100)) for divisor in table)
