"""Owns the transparent colour of PNG pictures of 16 bits a sample, of which Pillow keeps eight. Imports Pillow only."""

import io

from PIL import Image, ImageChops, ImageFile

_LOW_BYTES = "RGB;16L"
"""Samples are written with the high byte first; read the other way round, the low one is kept."""


def keep_apart(image: Image.Image, data: bytes, *, key: tuple[int, int, int]) -> None:
    """Change, in place and by one level of blue, the pixels that have the high bytes of the key but are not the key.

    image: decoded from `data`, a PNG of 16-bit RGB.  So the high bytes alone say which pixels are see-through.
    Source: PNG (third edition) section 11.3.2.1: samples are compared before they are reduced.
    """
    like_key = _where(image, tuple(value >> 8 for value in key))
    if like_key.getbbox() is None:
        return
    with Image.open(io.BytesIO(data), formats=["PNG"]) as low:
        assert isinstance(low, ImageFile.ImageFile)
        low.tile = [tile._replace(args=_LOW_BYTES) for tile in low.tile]
        exactly = _where(low, tuple(value & 0xFF for value in key))
    others = ImageChops.subtract(like_key, exactly)
    red, green, blue = (value >> 8 for value in key)
    image.paste((red, green, blue ^ 1), mask=others)


def with_key(high: Image.Image, low: Image.Image, *, key: int) -> Image.Image:
    """LA of the high bytes of a grey picture, see-through where high and low byte are the key's."""
    exactly = ImageChops.darker(_where(high, (key >> 8,)), _where(low, (key & 0xFF,)))
    return Image.merge("LA", (high, ImageChops.invert(exactly)))


def _where(image: Image.Image, values: tuple[int, ...]) -> Image.Image:
    """L, 255 where each band has its value, else 0."""
    mask: Image.Image | None = None
    for band, value in zip(image.split(), values, strict=True):
        equal = band.point([255 if level == value else 0 for level in range(256)])
        mask = equal if mask is None else ImageChops.darker(mask, equal)
    assert mask is not None
    return mask
