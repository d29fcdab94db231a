"""Owns the arithmetic of primaries: from their light to CIE XYZ and between two sets. Standard library only."""

from typing import Final, TypeAlias

from app.core.processing.imaging.cicp import BT709, Point, Primaries

Vector: TypeAlias = tuple[float, float, float]
Matrix: TypeAlias = tuple[Vector, Vector, Vector]

D50: Final = (0.9642, 1.0, 0.8249)
"""White of the ICC profile connection space."""
_BRADFORD: Final = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_SMALLEST: Final = 1e-6
_TOLERANCE: Final = 0.01
"""How far beyond sRGB a primary may lie before it counts: several of the old ones are within a rounding."""


def applied(matrix: Matrix, vector: Vector) -> Vector:
    """The product of a matrix and a column."""
    return _dot(matrix[0], vector), _dot(matrix[1], vector), _dot(matrix[2], vector)


def to_d50(primaries: Primaries) -> Matrix:
    """From linear RGB to XYZ under D50, whites adapted by Bradford. Raises ValueError for primaries that span nothing.

    Source: ICC.1:2022 annex E.
    """
    return _product(adaptation(primaries.white), _to_xyz(primaries))


def adaptation(white: Point) -> Matrix:
    """From XYZ under `white` to XYZ under D50. Raises ValueError when `white` has no brightness."""
    source, target = applied(_BRADFORD, _xyz(white)), applied(_BRADFORD, D50)
    if min(source) < _SMALLEST:
        raise ValueError("such a white cannot be seen")
    scale = (
        (target[0] / source[0], 0.0, 0.0),
        (0.0, target[1] / source[1], 0.0),
        (0.0, 0.0, target[2] / source[2]),
    )
    return _product(_inverse(_BRADFORD), _product(scale, _BRADFORD))


def between(source: Primaries, target: Primaries) -> Matrix:
    """From linear RGB of one set of primaries to that of another, white to white. Raises ValueError as `to_d50`."""
    return _product(_inverse(to_d50(target)), to_d50(source))


def exceed_srgb(primaries: Primaries) -> bool:
    """Whether these primaries make colours that sRGB has not. Raises ValueError as `to_d50`."""
    return any(value < -_TOLERANCE for row in between(primaries, BT709) for value in row)


def _to_xyz(primaries: Primaries) -> Matrix:
    columns = [_xyz(point) for point in (primaries.red, primaries.green, primaries.blue)]
    unscaled = _transposed((columns[0], columns[1], columns[2]))
    amounts = applied(_inverse(unscaled), _xyz(primaries.white))
    if min(amounts) < _SMALLEST:
        raise ValueError("the white point lies outside of the primaries")
    first, second, third = ((row[0] * amounts[0], row[1] * amounts[1], row[2] * amounts[2]) for row in unscaled)
    return first, second, third


def _xyz(point: Point) -> Vector:
    # Written with the sum in place of the brightness: the blue of CIE XYZ itself has none.
    x, y = point
    return x, y, 1 - x - y


def _dot(row: Vector, column: Vector) -> float:
    return row[0] * column[0] + row[1] * column[1] + row[2] * column[2]


def _transposed(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    return (a, d, g), (b, e, h), (c, f, i)


def _product(left: Matrix, right: Matrix) -> Matrix:
    columns = _transposed(right)
    first, second, third = (applied(columns, row) for row in left)
    return first, second, third


def _inverse(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if abs(determinant) < _SMALLEST:
        raise ValueError("the primaries do not span a triangle")
    scale = 1 / determinant
    return (
        ((e * i - f * h) * scale, (c * h - b * i) * scale, (b * f - c * e) * scale),
        ((f * g - d * i) * scale, (a * i - c * g) * scale, (c * d - a * f) * scale),
        ((d * h - e * g) * scale, (b * g - a * h) * scale, (a * e - b * d) * scale),
    )
