"""Owns the code points of ITU-T H.273 (CICP): what primaries and transfer characteristics mean. No library.

They stand in the `nclx` boxes of AVIF and HEIC and in the `cICP` chunk of PNG.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

Point: TypeAlias = tuple[float, float]

UNSPECIFIED: Final = 2


@dataclass(frozen=True, slots=True)
class Primaries:
    """Chromaticities (CIE 1931 x, y) of white, red, green and blue."""

    white: Point
    red: Point
    green: Point
    blue: Point


@dataclass(frozen=True, slots=True)
class Transfer:
    """Light (0..1) of a code (0..1), as ICC's parametric curves write it: (a·V + b)^gamma from `d` on, c·V below.

    name: what `properties` say.
    """

    name: str
    gamma: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0


class HdrTransfer(Enum):
    """The transfer characteristics of high dynamic range; the values are what `properties` say."""

    PQ = "pq"
    HLG = "hlg"


_D65: Final = (0.3127, 0.3290)
_C: Final = (0.310, 0.316)
_SMPTE_170M: Final = Primaries(_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))

BT709: Final = Primaries(_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
BT2020: Final = Primaries(_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
DISPLAY_P3: Final = Primaries(_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_RGB: Final = Primaries(_D65, (0.64, 0.33), (0.21, 0.71), (0.15, 0.06))

SRGB: Final = Transfer("srgb", 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)

PRIMARIES: Final = {
    1: BT709,
    4: Primaries(_C, (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: Primaries(_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: _SMPTE_170M,
    7: _SMPTE_170M,
    8: Primaries(_C, (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)),
    9: BT2020,
    10: Primaries((1 / 3, 1 / 3), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)),
    11: Primaries((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: DISPLAY_P3,
    22: Primaries(_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
PRIMARIES_NAMES: Final = {
    BT709: "bt709",
    BT2020: "bt2020",
    DISPLAY_P3: "display-p3",
    ADOBE_RGB: "adobe-rgb",
    PRIMARIES[4]: "bt470m",
    PRIMARIES[5]: "bt470bg",
    _SMPTE_170M: "smpte170m",
    PRIMARIES[8]: "film",
    PRIMARIES[10]: "xyz",
    PRIMARIES[11]: "dci-p3",
    PRIMARIES[22]: "ebu3213",
}
"""By what `properties` say; others are "custom"."""

TRANSFERS: Final[dict[int, Transfer | HdrTransfer]] = {
    4: Transfer("gamma", 2.2),
    5: Transfer("gamma", 2.8),
    7: Transfer("smpte240m", 1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 0.0913),
    8: Transfer("linear", 1.0),
    13: SRGB,
    16: HdrTransfer.PQ,
    17: Transfer("smpte428", 2.6, (52.37 / 48) ** (1 / 2.6)),
    18: HdrTransfer.HLG,
}
CAMERA_TRANSFERS: Final = frozenset({1, 6, 11, 14, 15})
"""What cameras do (BT.709, BT.601, xvYCC, BT.2020); how it is to be shown no two formats agree."""
