"""Owns how a frame of high dynamic range becomes a picture that ordinary screens show: brightness, then colours.

FFmpeg's own conversion builds a table for 3.6 s of processor time for each file (measured 2026-11, libswscale 9.5); a
curve a channel and a colour matrix come close enough for a poster and take milliseconds.
"""

import math
from collections.abc import Callable

from PIL import Image

from app.core.processing.av.av_container import ColorTrc

_WHITE_NITS = 203.0
_HLG_WHITE = 0.2651
_KNEE = 0.6
_BT2020_TO_BT709 = (1.6605, -0.5876, -0.0728, 0.0, -0.1246, 1.1329, -0.0083, 0.0, -0.0182, -0.1006, 1.1187, 0.0)


def is_hdr(transfer: int) -> bool:
    """Whether this transfer characteristic (ITU-T H.273) is PQ or HLG."""
    return transfer in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


def to_sdr(image: Image.Image, *, transfer: int) -> Image.Image:
    """An RGB picture of PQ or HLG code values in BT.2020 as sRGB; diffuse white (203 cd/m²) ends at 93 % of white.

    Source: SMPTE ST 2084 and ITU-R BT.2100 for the curves, BT.2408 for diffuse white, BT.2087 for the matrix.
    """
    light = _pq_light if transfer == ColorTrc.SMPTE2084 else _hlg_light
    curve = _curve(light)
    return image.point(curve * 3).convert("RGB", _BT2020_TO_BT709)


def _curve(light: Callable[[float], float]) -> list[int]:
    return [round(255 * _srgb(_compressed(light(code / 255)))) for code in range(256)]


def _pq_light(code: float) -> float:
    """Light of a PQ code (0..1), 1 for diffuse white."""
    root = math.pow(code, 32 / 2523)
    base = max(root - 0.8359375, 0.0) / (18.8515625 - 18.6875 * root)
    return 10_000 * math.pow(base, 8192 / 1305) / _WHITE_NITS


def _hlg_light(code: float) -> float:
    """Light of an HLG code (0..1), 1 for diffuse white (a code of 0.75)."""
    scene = code * code / 3 if code <= 0.5 else (math.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return scene / _HLG_WHITE


def _compressed(light: float) -> float:
    """Highlights above the knee run softly into 1, everything below stays."""
    if light <= _KNEE:
        return light
    return _KNEE + (1 - _KNEE) * (1 - math.exp(-(light - _KNEE) / (1 - _KNEE)))


def _srgb(light: float) -> float:
    return 12.92 * light if light <= 0.0031308 else 1.055 * math.pow(light, 1 / 2.4) - 0.055
