"""Owns which colours a picture states without an ICC profile, and what that means for storing it. Imports Pillow only.

What counts, in this order: PNG's cICP, which outranks a profile; the profile, which is not read here; `nclx` of AVIF
and HEIC; PNG's sRGB, then gAMA with cHRM; Exif. Values without a meaning are passed over: then the colours are sRGB.
"""

from dataclasses import dataclass

from PIL import Image

from app.core.processing.contract import JsonObject
from app.core.processing.imaging import (
    cicp,
    color_matrices,
    color_profiles,
    exif,
    generated_profiles,
    heif_colors,
    image_steps,
    png_colors,
    stream_colors,
    tone_mapping,
)

_EXIF_ADOBE_RGB, _EXIF_UNCALIBRATED = 2, 0xFFFF
_DCF_ADOBE_RGB = "R03"
_ADOBE_RGB_CURVE = cicp.Transfer("gamma", 563 / 256)
_GREYS = ("1", "L", "LA", "I", "F")


@dataclass(frozen=True, slots=True)
class StatedColors:
    """stated_by: cicp, nclx, srgb, gamma or exif.  peak_nits: light of the brightest pixel in cd/m², None if unsaid."""

    stated_by: str
    primaries: cicp.Primaries
    transfer: cicp.Transfer | cicp.HdrTransfer
    peak_nits: float | None = None

    @property
    def is_srgb(self) -> bool:
        """Whether the numbers mean what they mean without any statement."""
        return (self.primaries, self.transfer) == (cicp.BT709, cicp.SRGB)

    @property
    def is_hdr(self) -> bool:
        """Whether the picture must be tone mapped."""
        return isinstance(self.transfer, cicp.HdrTransfer)

    def profile(self, *, mode: str) -> color_profiles.ColorProfile | None:
        """An ICC profile that says the same of a picture of this mode; None for sRGB, for HDR and for CMYK."""
        if self.is_srgb or isinstance(self.transfer, cicp.HdrTransfer) or mode == "CMYK":
            return None
        is_grey = mode in _GREYS or mode.startswith("I;16")
        return generated_profiles.of(self.primaries, self.transfer, mode="L" if is_grey else "RGB")

    def tone_mapped(self, picture: Image.Image) -> Image.Image:
        """A picture of high dynamic range in sRGB; any other as it is."""
        if not isinstance(self.transfer, cicp.HdrTransfer):
            return picture
        peak = self.peak_nits or tone_mapping.USUAL_PEAK_NITS
        return tone_mapping.to_srgb(
            image_steps.to_eight_bits(picture), transfer=self.transfer, primaries=self.primaries, peak_nits=peak
        )

    def facts(self) -> JsonObject:
        """`{"hdr": ..., "color": {...}}` for `properties`; empty when there is nothing to tell.

        `color`: `stated_by`, `primaries`, `transfer` and its `gamma`; `exceeds_srgb` when eight bits of sRGB cannot
        show it faithfully; `stored_as`: `icc_profile` for the same numbers with a profile, `tone_mapped` for sRGB.
        """
        if self.is_srgb:
            return {}
        is_hdr = isinstance(self.transfer, cicp.HdrTransfer)
        color: JsonObject = {
            "stated_by": self.stated_by,
            "primaries": cicp.PRIMARIES_NAMES.get(self.primaries, "custom"),
            "transfer": self.transfer.value if isinstance(self.transfer, cicp.HdrTransfer) else self.transfer.name,
            "exceeds_srgb": is_hdr or color_matrices.exceed_srgb(self.primaries),
            "stored_as": "tone_mapped" if is_hdr else "icc_profile",
        }
        if isinstance(self.transfer, cicp.Transfer) and self.transfer.name == "gamma":
            color["gamma"] = round(self.transfer.gamma, 4)
        return {"hdr": is_hdr, "color": color}


def read(
    data: bytes, image: Image.Image, *, decoder: str, has_profile: bool, is_header_complete: bool
) -> StatedColors | None:
    """What the file says of its colours; None when it says nothing that counts beside its profile.

    decoder: the Pillow plug-in that opened `image`.  is_header_complete: nothing of interest follows the pixels.
    """
    if decoder == "PNG":
        return _of_png(data, has_profile=has_profile, is_header_complete=is_header_complete)
    if has_profile:
        return None
    if decoder in ("AVIF", "HEIF") and (found := _of_heif(data, size=image.size)) is not None:
        return found
    return _of_exif(exif.read(image)) if decoder != "GIF" else None


def _of_png(data: bytes, *, has_profile: bool, is_header_complete: bool) -> StatedColors | None:
    said = png_colors.read(data, is_header_complete=is_header_complete)
    if (points := said.code_points) is not None:
        return StatedColors("cicp", *points, said.peak_nits)
    if has_profile:
        return None
    if said.is_srgb:
        return StatedColors("srgb", cicp.BT709, cicp.SRGB)
    if (curve := said.gamma) is not None:
        return StatedColors("gamma", *curve)
    # Not by way of Pillow, which keeps what it reads here: behind the pixels there may be more.
    return _of_exif(exif.parse(said.exif)) if said.exif is not None else None


def _of_heif(data: bytes, *, size: tuple[int, int]) -> StatedColors | None:
    said = heif_colors.read(data) or stream_colors.read(data, size=size)
    if said is None or (said.primaries == cicp.UNSPECIFIED and said.transfer == cicp.UNSPECIFIED):
        return None
    # Chromium shows what cameras write with the curve of sRGB, and everything that it does not know.
    transfer = cicp.TRANSFERS.get(said.transfer, cicp.SRGB)
    return StatedColors("nclx", cicp.PRIMARIES.get(said.primaries, cicp.BT709), transfer, said.peak_nits)


def _of_exif(directory: Image.Exif) -> StatedColors | None:
    """Adobe RGB as cameras say it: by DCF's R03 and "uncalibrated", or by a 2 that no standard knows and many write.

    Source: DCF 2.0 (CIPA DC-009) section 4.3, Exif 2.32 (CIPA DC-008) section 4.6.5; ExifTool's tag names for the 2.
    """
    space, rule = exif.color_space_of(directory)
    is_adobe_rgb = space == _EXIF_ADOBE_RGB or (rule == _DCF_ADOBE_RGB and space in (_EXIF_UNCALIBRATED, None))
    return StatedColors("exif", cicp.ADOBE_RGB, _ADOBE_RGB_CURVE) if is_adobe_rgb else None
