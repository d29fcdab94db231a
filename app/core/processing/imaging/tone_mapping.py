"""Owns how a picture of high dynamic range becomes one that ordinary screens show. Imports Pillow only.

The curve is the reference white tone mapping of SMPTE ST 2094-50, with which browsers show such pictures and films on
a screen without headroom: diffuse white (203 cd/m²) ends at half of the light, which is 187 of 255, and everything
above runs softly into white. Chromium 156 and this module differ by at most three of 255 (2026-11).
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from PIL import Image, ImageFilter

from app.core.processing.imaging import color_matrices
from app.core.processing.imaging.cicp import BT709, BT2020, HdrTransfer, Primaries

USUAL_PEAK_NITS: Final = 1000.0
"""What a picture reaches that says nothing of its brightest pixel."""
_WHITE_NITS: Final = 203.0
_USUAL_HEADROOM: Final = math.log2(USUAL_PEAK_NITS / _WHITE_NITS)
_BEND: Final = 0.65
_HLG_PEAK: Final = USUAL_PEAK_NITS / _WHITE_NITS
_BT2020_LUMA: Final = (0.2627, 0.6780, 0.0593)
_GRID: Final = 49
"""Points a side of the table. With 17 colours are off by up to 9 of 255, with 65 it takes a second to build."""


def to_srgb(
    image: Image.Image, *, transfer: HdrTransfer, primaries: Primaries, peak_nits: float = USUAL_PEAK_NITS
) -> Image.Image:
    """An eight-bit picture of PQ or HLG code values as sRGB: L, LA, RGB or RGBA, as it was; others become RGB(A).

    peak_nits: the light of the brightest pixel (MaxCLL) in cd/m².
    Source: SMPTE ST 2084 and ITU-R BT.2100 for the curves, BT.2408 for diffuse white.
    """
    # The table is kept for the next picture; rounding keeps what files claim from filling the memory with tables.
    table = _table(transfer, primaries, min(10_000.0, max(_WHITE_NITS, float(round(peak_nits, -2)))))
    color = image.convert("RGB").filter(table)
    if image.mode in ("L", "LA"):
        color = color.getchannel("G")
    if image.has_transparency_data:
        color.putalpha(image.convert("RGBA").getchannel("A"))
    return color


@lru_cache(maxsize=8)
def _table(transfer: HdrTransfer, primaries: Primaries, peak_nits: float) -> ImageFilter.Color3DLUT:
    """The conversion of every 1/48th of each channel; between them Pillow interpolates."""
    light = [_LIGHT[transfer](point / (_GRID - 1)) for point in range(_GRID)]
    in_bt2020 = color_matrices.contributions(color_matrices.between(primaries, BT2020), light)
    to_bt709 = color_matrices.between(BT2020, BT709)
    gain = _gain(math.log2(peak_nits / _WHITE_NITS))
    luma_red, luma_green, luma_blue = _BT2020_LUMA
    is_hlg = transfer is HdrTransfer.HLG
    values: list[float] = []
    for blue in in_bt2020[2]:
        for green in in_bt2020[1]:
            for red in in_bt2020[0]:
                x, y, z = red[0] + green[0] + blue[0], red[1] + green[1] + blue[1], red[2] + green[2] + blue[2]
                # The display of HLG brightens what is bright already, by brightness alone.
                system = max(0.0, luma_red * x + luma_green * y + luma_blue * z) ** 0.2 * _HLG_PEAK if is_hlg else 1.0
                factor = system * gain(max(x, y, z) * system)
                values += [_srgb((row[0] * x + row[1] * y + row[2] * z) * factor) for row in to_bt709]
    return ImageFilter.Color3DLUT(_GRID, values)


def _pq_light(code: float) -> float:
    """Light of a PQ code (0..1), 1 for diffuse white."""
    root = math.pow(code, 32 / 2523)
    base = max(root - 0.8359375, 0.0) / (18.8515625 - 18.6875 * root)
    return 10_000 * math.pow(base, 8192 / 1305) / _WHITE_NITS


def _hlg_light(code: float) -> float:
    """Light of the scene (0..1) of an HLG code (0..1)."""
    if code <= 0.5:
        return code * code / 3
    return (math.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12


_LIGHT: Final = {HdrTransfer.PQ: _pq_light, HdrTransfer.HLG: _hlg_light}


def _gain(headroom: float) -> Callable[[float], float]:
    """By which factor light is dimmed; `headroom` says how many doublings above diffuse white the picture reaches.

    Below diffuse white a constant; above, a parabola from there to the brightest pixel, which becomes white.
    """
    white = 1 - 0.5 * min(1.0, headroom / _USUAL_HEADROOM)
    peak = math.exp2(headroom)
    mid_in, mid_out = 1 - _BEND + _BEND / white, (1 - _BEND) * white + _BEND
    square_in, linear_in = 1 - 2 * mid_in + peak, 2 * (mid_in - 1)
    square_out, linear_out = white - 2 * mid_out + 1, 2 * (mid_out - white)

    def factor(light: float) -> float:
        if light <= 1:
            return white
        if light >= peak:
            return 1 / light
        root = math.sqrt(linear_in * linear_in + 4 * square_in * (light - 1))
        step = (root - linear_in) / (2 * square_in) if abs(square_in) > 1e-9 else (light - 1) / linear_in
        return (square_out * step * step + linear_out * step + white) / light

    return factor


def _srgb(light: float) -> float:
    # Not cut off: the table is interpolated, and colours between two of its points may be within.
    if light < 0:
        return max(-1.0, -_srgb(-light))
    return 12.92 * light if light <= 0.0031308 else min(2.0, 1.055 * math.pow(light, 1 / 2.4) - 0.055)
