"""Owns how a thumbnail or poster is made and written, whatever the picture came from. Imports Pillow and the steps."""

from pathlib import Path

from PIL import Image

from app.core.processing.contract import Rendition
from app.core.processing.imaging import color_profiles, image_steps

THUMBNAIL_QUALITY = 82
"""Two above the usual 80, for the same bytes in progressive order: a thumbnail is made from the stored picture or from
a quarter of the pixels of an upload, and is closer to the full picture than one that was made from all of its pixels as
an optimised JPEG of 80 (`benchmarks/quality.py`)."""


def as_shown(
    image: Image.Image,
    *,
    box: tuple[int, int],
    profile: color_profiles.ColorProfile | None = None,
    keep_alpha: bool = False,
) -> Image.Image:
    """A copy of `image` (any mode) in sRGB within `box` (width, height in pixels), never enlarged, on white.

    The result has mode L or RGB, or RGBA when `keep_alpha` is asked for and something shows through.
    """
    small = image_steps.to_eight_bits(image_steps.fit(image, max_width_px=box[0], max_height_px=box[1]))
    if not keep_alpha or image_steps.is_opaque(small):
        return color_profiles.to_srgb(image_steps.flatten(small), profile)
    return color_profiles.to_srgb_under_alpha(small, profile)


def save_rendition(
    image: Image.Image,
    path: Path,
    *,
    box: tuple[int, int],
    quality: int = THUMBNAIL_QUALITY,
    profile: color_profiles.ColorProfile | None = None,
    keep_alpha: bool = False,
    is_progressive: bool = True,
) -> Rendition:
    """Write `as_shown(image)` as a JPEG without metadata, or as a WebP when something shows through and may.

    path: where it goes, inside the job's `output_dir`; its suffix becomes `.jpg` or `.webp`.  profile: of `image`.
    is_progressive: smaller for thumbnails; a poster of 1280 x 720 takes 17 instead of 3 ms and gets larger (2026-11).
    """
    picture = as_shown(image, box=box, profile=profile, keep_alpha=keep_alpha).copy()
    picture.info = {}
    if picture.mode == "RGBA":
        target, mime_type = path.with_suffix(".webp"), "image/webp"
        picture.save(target, "WEBP", quality=quality)
    else:
        target, mime_type = path.with_suffix(".jpg"), "image/jpeg"
        picture.save(target, "JPEG", quality=quality, progressive=is_progressive)
    return Rendition(path=str(target), mime_type=mime_type, width_px=picture.width, height_px=picture.height)
