"""Owns ICC profiles: which one may be embedded again, its name, and conversion to sRGB. Imports Pillow only."""

import io
from dataclasses import dataclass

from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 1024 * 1024
_MAX_NAME_CHARS = 200
_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@dataclass(frozen=True, slots=True)
class ColorProfile:
    """A profile that parses: its bytes, its description (printable, at most 200 characters), the mode it speaks of."""

    data: bytes
    name: str
    mode: str

    @property
    def is_srgb(self) -> bool:
        """Whether the name says sRGB; such pictures need no conversion for the web."""
        return "srgb" in self.name.lower()


def read(data: object) -> ColorProfile | None:
    """The profile in `data` (what Pillow found in a file), or None when it is none, over 1 MiB or does not parse."""
    if not isinstance(data, bytes) or not 128 <= len(data) <= MAX_PROFILE_BYTES or data[36:40] != b"acsp":
        return None
    size = int.from_bytes(data[:4])
    if size > len(data):
        return None
    # Whatever follows the size that the profile itself declares is somebody's luggage.
    data = data[:size]
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        name = ImageCms.getProfileDescription(profile)
        mode = _SPACES.get(profile.profile.xcolor_space.strip())
        if mode is not None:
            # A header alone parses as well; only a transform needs the curves and primaries to be there.
            ImageCms.buildTransform(profile, _SRGB, mode, "RGB")
    except (OSError, ImageCms.PyCMSError, AttributeError, ValueError):
        return None
    if mode is None:
        return None
    printable = "".join(char for char in name if char.isprintable()).strip()
    return ColorProfile(data=data, name=printable[:_MAX_NAME_CHARS], mode=mode)


def to_srgb(image: Image.Image, profile: ColorProfile | None) -> Image.Image:
    """`image` (L, RGB or CMYK) in sRGB; CMYK without a profile is converted arithmetically.

    A picture whose profile speaks of another mode, or whose profile cannot be applied, keeps its numbers.
    """
    if profile is not None and profile.mode == image.mode and not profile.is_srgb:
        try:
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(profile.data)),
                _SRGB,
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (OSError, ImageCms.PyCMSError, ValueError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB") if image.mode == "CMYK" else image


def to_srgb_under_alpha(image: Image.Image, profile: ColorProfile | None) -> Image.Image:
    """`image` (LA or RGBA) in sRGB with its transparency, as RGBA; see `to_srgb`."""
    colored = to_srgb(image.convert("L" if image.mode == "LA" else "RGB"), profile).convert("RGB")
    colored.putalpha(image.getchannel("A"))
    return colored
