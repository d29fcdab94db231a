"""Owns how a picture of high dynamic range becomes one that ordinary screens show. Imports Pillow only.

The curve is the reference white tone mapping of SMPTE ST 2094-50, with which browsers show such pictures and films on
a screen without headroom: diffuse white (203 cd/m²) ends at half of the light, which is 187 of 255, and everything
above runs softly into white. A pixel is dimmed by what its brightest channel says, so that colours keep their hue.
Every channel is a function of two numbers of eight bits, which one table of 65,536 answers exactly; a table over three
channels with interpolation took twenty times as long to build and left waves of eight in 255 in bright clouds.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from PIL import Image, ImageChops, ImageFilter

from app.core.processing.imaging import color_matrices, color_profiles, generated_profiles
from app.core.processing.imaging.cicp import BT2020, SRGB, HdrTransfer, Primaries

USUAL_PEAK_NITS: Final = 1000.0
"""What a picture reaches that says nothing of its brightest pixel."""
_MAX_NITS: Final = 10_000.0
_WHITE_NITS: Final = 203.0
_USUAL_HEADROOM: Final = math.log2(USUAL_PEAK_NITS / _WHITE_NITS)
_BEND: Final = 0.65
_HLG_PEAK: Final = USUAL_PEAK_NITS / _WHITE_NITS
_BT2020_LUMA: Final = (0.2627, 0.6780, 0.0593)
_LEVELS: Final = 256
_GRID: Final = 33
_LEAST_FACTOR, _FACTOR_STEPS = 0.2, 64
"""Factors of HLG are told in steps of 1/64 of a doubling, half a percent of what is shown, from 0.2 to 3.2."""


def to_srgb(
    image: Image.Image, *, transfer: HdrTransfer, primaries: Primaries, peak_nits: float = USUAL_PEAK_NITS
) -> Image.Image:
    """An eight-bit picture of PQ or HLG code values as sRGB: L, LA, RGB or RGBA, as it was; others become RGB(A).

    peak_nits: the light of the brightest pixel (MaxCLL) in cd/m².
    Source: SMPTE ST 2084 and ITU-R BT.2100 for the curves, BT.2408 for diffuse white.
    """
    # Tables are kept for the next picture; files may not fill the memory by claiming ever other lights.
    peak_nits = min(_MAX_NITS, max(_WHITE_NITS, float(round(peak_nits, -2))))
    codes = image.convert("RGB")
    # How bright a pixel is counts in BT.2020; a factor for all three channels is the same in any primaries.
    in_bt2020 = codes if primaries == BT2020 else codes.filter(_into_bt2020(transfer, primaries))
    red, green, blue = in_bt2020.split()
    brightest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    if transfer is HdrTransfer.PQ:
        dimmed_by, shown = brightest, _pq_table(peak_nits)
    else:
        luma = in_bt2020.point(_HLG_EIGHT_BITS * 3).convert("L", (*_BT2020_LUMA, 0))
        dimmed_by, shown = _looked_up(brightest, luma, _hlg_factors(peak_nits)), _hlg_table()
    wide = Image.merge("RGB", [_looked_up(channel, dimmed_by, shown) for channel in codes.split()])
    color = color_profiles.to_srgb(wide, generated_profiles.of(primaries, SRGB, mode="RGB"))
    if image.mode in ("L", "LA"):
        color = color.getchannel("G")
    if image.has_transparency_data:
        color.putalpha(image.convert("RGBA").getchannel("A"))
    return color


def _looked_up(low: Image.Image, high: Image.Image, table: list[int]) -> Image.Image:
    """Of two pictures of mode L, for each pixel the entry `low + 256 * high` of `table`."""
    pairs = Image.merge("LA", (low, high)).tobytes()
    return Image.frombytes("I;16", low.size, pairs).convert("I").point(table, "L")


@lru_cache(maxsize=4)
def _pq_table(peak_nits: float) -> list[int]:
    light = [_pq_light(level / (_LEVELS - 1)) for level in range(_LEVELS)]
    gain = _gain(peak_nits)
    return [_eight_bits(value * factor) for factor in map(gain, light) for value in light]


@lru_cache(maxsize=4)
def _hlg_factors(peak_nits: float) -> list[int]:
    """In steps, the factor for a brightest channel (low) and a luma (high): the display of HLG brightens by the luma
    of the scene, and the tone mapping dims what comes out."""
    light = [_hlg_light(level / (_LEVELS - 1)) for level in range(_LEVELS)]
    gain = _gain(peak_nits)
    factors: list[int] = []
    for luma in range(_LEVELS):
        # The darkest step stands for all that is below it.
        display = max(luma / (_LEVELS - 1), 0.001) ** 0.2 * _HLG_PEAK
        factors += [_step_of(display * gain(value * display)) for value in light]
    return factors


@lru_cache(maxsize=1)
def _hlg_table() -> list[int]:
    light = [_hlg_light(level / (_LEVELS - 1)) for level in range(_LEVELS)]
    factors = [_LEAST_FACTOR * math.exp2(step / _FACTOR_STEPS) for step in range(_LEVELS)]
    return [_eight_bits(value * factor) for factor in factors for value in light]


@lru_cache(maxsize=4)
def _into_bt2020(transfer: HdrTransfer, primaries: Primaries) -> ImageFilter.Color3DLUT:
    """Code values of other primaries as those of BT.2020: smooth enough for a table with interpolation."""
    light, code = _CURVES[transfer]
    matrix = color_matrices.between(primaries, BT2020)

    def converted(red: float, green: float, blue: float) -> tuple[float, float, float]:
        x, y, z = color_matrices.applied(matrix, (light(red), light(green), light(blue)))
        return code(x), code(y), code(z)

    return ImageFilter.Color3DLUT.generate(_GRID, converted)


def _gain(peak_nits: float) -> Callable[[float], float]:
    """By which factor light is dimmed, whose brightest channel is given; 1 stands for diffuse white.

    Below diffuse white a constant; above, a parabola from there to the brightest pixel, which becomes white.
    """
    headroom = math.log2(peak_nits / _WHITE_NITS)
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
        # The other form of the solution, which stays exact where the square disappears.
        step = 2 * (light - 1) / (linear_in + math.sqrt(linear_in * linear_in + 4 * square_in * (light - 1)))
        return (square_out * step * step + linear_out * step + white) / light

    return factor


def _pq_light(code: float) -> float:
    """Light of a PQ code (0..1), 1 for diffuse white."""
    root = math.pow(code, 32 / 2523)
    base = max(root - 0.8359375, 0.0) / (18.8515625 - 18.6875 * root)
    return _MAX_NITS * math.pow(base, 8192 / 1305) / _WHITE_NITS


def _pq_code(light: float) -> float:
    power = math.pow(max(light, 0.0) * _WHITE_NITS / _MAX_NITS, 1305 / 8192)
    return math.pow((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power), 2523 / 32)


def _hlg_light(code: float) -> float:
    """Light of the scene (0..1) of an HLG code (0..1)."""
    if code <= 0.5:
        return code * code / 3
    return (math.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12


def _hlg_code(light: float) -> float:
    if light <= 1 / 12:
        return math.sqrt(3 * max(light, 0.0))
    return 0.17883277 * math.log(12 * light - 0.28466892) + 0.55991073


_CURVES: Final = {HdrTransfer.PQ: (_pq_light, _pq_code), HdrTransfer.HLG: (_hlg_light, _hlg_code)}
_HLG_EIGHT_BITS: Final = [round(255 * _hlg_light(level / (_LEVELS - 1))) for level in range(_LEVELS)]


def _step_of(factor: float) -> int:
    return min(_LEVELS - 1, max(0, round(_FACTOR_STEPS * math.log2(max(factor, _LEAST_FACTOR) / _LEAST_FACTOR))))


def _eight_bits(light: float) -> int:
    light = min(1.0, light)
    return round(255 * (12.92 * light if light <= 0.0031308 else 1.055 * math.pow(light, 1 / 2.4) - 0.055))
