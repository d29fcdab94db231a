"""Owns the steps a picture takes on its way to storage, one function per step. Imports Pillow, no codec of its own."""

import math

from PIL import Image

from app.core.processing.imaging import png_transparency, vips_codec

_REDUCING_GAP = 2
_STRIP_PIXELS = 4_000_000
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def swaps_sides(orientation: int) -> bool:
    """Whether a picture with this EXIF orientation is shown with width and height exchanged."""
    return orientation in (5, 6, 7, 8)


def orient(image: Image.Image, *, orientation: int) -> Image.Image:
    """Turn and mirror by an EXIF orientation 1-8, so that the picture stands upright; 1 and nonsense change nothing."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def fitted_size(size: tuple[int, int], *, max_width_px: int, max_height_px: int) -> tuple[int, int]:
    """The largest size of the same aspect within the box; never larger than `size`, no side under one pixel."""
    scale = min(max_width_px / size[0], max_height_px / size[1])
    if scale >= 1:
        return size
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def fit(image: Image.Image, *, max_width_px: int, max_height_px: int) -> Image.Image:
    """`shrink` into the box, aspect kept; a picture that fits is returned as it is, in its own mode."""
    size = fitted_size(image.size, max_width_px=max_width_px, max_height_px=max_height_px)
    return shrink(image, size=size)


def shrink(image: Image.Image, *, size: tuple[int, int]) -> Image.Image:
    """The picture at exactly `size`, by LANCZOS; a picture of that size is returned as it is, in its own mode.

    A shrunk picture has mode L, LA, RGB, RGBA or CMYK. By libvips where it can; otherwise, from four times the target
    on, whole pixels are averaged first, strip by strip: Pillow premultiplies a copy of the whole picture otherwise, and
    128 MP RGBA would need 1 GiB.
    """
    if size == image.size:
        return image
    if "transparency" not in image.info and (quick := vips_codec.resampled(image, size=size)) is not None:
        return quick
    across, down = (max(1, int(side / target / _REDUCING_GAP)) for side, target in zip(image.size, size, strict=True))
    small = _averaged(image, across=across, down=down) if max(across, down) > 1 else to_eight_bits(image)
    return small.resize(size, Image.Resampling.LANCZOS)


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Any mode a decoder gives as L, LA, RGB, RGBA, CMYK or YCbCr.

    Greys of 16 bits keep their high byte; nothing is clipped.
    """
    if image.mode.startswith("I;16"):
        pixels, key = image.tobytes(), image.info.get("transparency")
        orders = ("L;16B", "L;16") if image.mode == "I;16B" else ("L;16", "L;16B")
        high = Image.frombytes("L", image.size, pixels, "raw", orders[0])
        if not isinstance(key, int):
            return high
        return png_transparency.with_key(high, Image.frombytes("L", image.size, pixels, "raw", orders[1]), key=key)
    if image.mode in ("1", "P", "L", "RGB") and "transparency" in image.info:
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"):
        return image
    return image.convert({"1": "L", "I": "L", "F": "L", "PA": "RGBA"}.get(image.mode, "RGB"))


def is_opaque(image: Image.Image) -> bool:
    """Whether no pixel of it can be seen through."""
    if not image.has_transparency_data:
        return True
    alpha = to_eight_bits(image)
    if alpha.mode not in ("LA", "RGBA"):
        return True
    lowest, _ = alpha.getchannel("A").getextrema()
    return lowest == 255


def flatten(image: Image.Image) -> Image.Image:
    """Lay a see-through picture on white; the result has mode 1, L, P, RGB or CMYK and no transparency."""
    if not image.has_transparency_data:
        return image if image.mode in ("1", "P") else to_eight_bits(image)
    if image.mode == "P":
        return _flatten_palette(image)
    layered = to_eight_bits(image)
    base = "L" if layered.mode == "LA" else "RGB"
    ground = Image.new(base, layered.size, "white")
    ground.paste(layered.convert(base), mask=layered.getchannel("A"))
    return ground


def _flatten_palette(image: Image.Image) -> Image.Image:
    flat = image.copy()
    flat.apply_transparency()
    colors = bytes(flat.getpalette("RGBA") or [])
    entries = Image.frombytes("RGBA", (len(colors) // 4, 1), colors)
    on_white = flatten(entries)
    flat.putpalette(on_white.tobytes(), "RGB")
    return flat


def _averaged(image: Image.Image, *, across: int, down: int) -> Image.Image:
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width // down) * down
    whole: Image.Image | None = None
    for top in range(0, height, rows):
        strip = to_eight_bits(image.crop((0, top, width, min(height, top + rows)))).reduce((across, down))
        if whole is None:
            whole = Image.new(strip.mode, (math.ceil(width / across), math.ceil(height / down)))
        whole.paste(strip, (0, top // down))
    assert whole is not None
    return whole
