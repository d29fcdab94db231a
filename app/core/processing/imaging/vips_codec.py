"""Owns what libvips does in Pillow's place: reducing ordinary stills, best while they are decoded, and packing PNG.

The only importer of pyvips, which need not be there. Then, and whenever libvips finds the least to complain of, the
functions return None and Pillow does the work: so Pillow alone judges whether a file can be read.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from PIL import Image

try:
    import pyvips
except (ImportError, OSError):  # OSError: the Python module without the library
    pyvips = None

Size: TypeAlias = tuple[int, int]

_KERNEL = "lanczos3"
_REDUCING_GAP = 2
"""Beyond four times the target, pixels are averaged first. Without, the whole numbers of the kernel add up to less than
one: of ten thousand pixels shrunk to 300, white became 251 (libvips 8.18)."""
_SHRINKS_ON_LOAD = (8, 4, 2)
_SHRINK_ON_LOAD_GAP = 2
"""Shrinking on load stops at twice the wanted size, as with Pillow: the rest is left to LANCZOS, which is sharper."""
_MIN_COPIED_PIXELS, _MAX_COPIED_PIXELS = 500_000, 16_000_000
"""Pixels that Pillow has decoded are copied for libvips: with fewer Pillow itself is quicker, more would cost too much
memory."""
_BANDS: Final[Mapping[str, int]] = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
_PNG_COMPRESSION = 6
_PNG_SIGNATURE_BYTES = 8


def _tame() -> bool:
    """Bound libvips for good; False when there is none, or a foreign one that its Python module was not built with."""
    if pyvips is None or not pyvips.API_mode:
        return False
    pyvips.concurrency_set(1)
    pyvips.cache_set_max(0)
    pyvips.block_untrusted_set(True)
    # Everything that reads or writes a format is blocked; what works on memory and is called here comes back.
    for name in ("VipsForeignLoad", "VipsForeignSave"):
        pyvips.operation_block_set(name, True)
    for name in ("LoadJpegBuffer", "LoadPngBuffer", "LoadWebpBuffer", "SavePngBuffer"):
        pyvips.operation_block_set(f"VipsForeign{name}", False)
    return True


is_available = _tame()
"""Whether libvips takes part; where it does not, Pillow does everything."""


def reduced(data: bytes, decoder: str, *, size: Size, sizes: Sequence[Size]) -> list[Image.Image] | None:
    """The still picture in `data` at each of `sizes`, L or RGB, see-through places on white.

    It is decoded line by line and never held whole. decoder: JPEG, PNG or WEBP, no other is tried.  size: what its
    header says, checked.  sizes: the first is made from the file, the others from the first.
    None without libvips, and for a picture that is damaged in any way or not of eight bits.
    """
    if not is_available:
        return None
    try:
        image = _LOADERS[decoder](data, size, sizes[0])
        if image.hasalpha():
            image = image.flatten(background=255)
        mode = {1: "L", 3: "RGB"}.get(image.bands)
        if mode is None or image.format != "uchar":
            return None
        pixels = _resized(image, sizes[0])
        del image  # with the lines that it keeps, before the next copy is made
        first = _from_memory(pixels, mode, sizes[0])
        small = [Image.frombytes(mode, other, _resized(first, other)) for other in sizes[1:]]
    except (pyvips.Error, ValueError):
        return None
    return [Image.frombytes(mode, sizes[0], pixels), *small]


def is_faultless_jpeg(data: bytes, *, size: Size) -> bool:
    """Whether libvips decodes the whole JPEG without a complaint; False without libvips."""
    if not is_available:
        return False
    try:
        _load_jpeg(data, size, size).avg()
    except (pyvips.Error, ValueError):
        return False
    return True


def resampled(image: Image.Image, *, size: Size) -> Image.Image | None:
    """A decoded picture of mode L or RGB at `size` by LANCZOS.

    None for other modes, for pictures so small or so large that Pillow does better, and without libvips.
    """
    pixels = image.width * image.height
    if not is_available or image.mode not in ("L", "RGB") or not _MIN_COPIED_PIXELS <= pixels <= _MAX_COPIED_PIXELS:
        return None
    try:
        return Image.frombytes(image.mode, size, _resized(_from_memory(image.tobytes(), image.mode, image.size), size))
    except (pyvips.Error, ValueError):
        return None


def packed_png(image: Image.Image, *, icc_profile: bytes | None) -> bytes | None:
    """A PNG file of a picture of mode L, LA, RGB or RGBA with this profile and nothing else.

    None for other modes, for very large pictures, and without libvips.
    """
    if not is_available or image.mode not in _BANDS or image.width * image.height > _MAX_COPIED_PIXELS:
        return None
    try:
        plain = _from_memory(image.tobytes(), image.mode, image.size)
        if icc_profile is not None:
            plain.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc_profile)
        return _without_density(plain.pngsave_buffer(compression=_PNG_COMPRESSION, filter="all", keep="icc"))
    except pyvips.Error:
        return None


def _load_jpeg(data: bytes, size: Size, wanted: Size) -> "pyvips.Image":
    # Of sides that a factor does not divide, libvips would cut off the rest.
    factors = (
        factor
        for factor in _SHRINKS_ON_LOAD
        if all(
            side >= goal * factor * _SHRINK_ON_LOAD_GAP and side % factor == 0
            for side, goal in zip(size, wanted, strict=True)
        )
    )
    shrink = next(factors, 1)
    image = pyvips.Image.jpegload_buffer(data, shrink=shrink, access="sequential", fail_on="warning")
    return _checked(image, (size[0] // shrink, size[1] // shrink))


def _load_png(data: bytes, size: Size, _wanted: Size) -> "pyvips.Image":
    return _checked(pyvips.Image.pngload_buffer(data, access="sequential", fail_on="warning"), size)


def _load_webp(data: bytes, size: Size, _wanted: Size) -> "pyvips.Image":
    return _checked(pyvips.Image.webpload_buffer(data, access="sequential", fail_on="warning"), size)


_LOADERS: Final[Mapping[str, Callable[[bytes, Size, Size], "pyvips.Image"]]] = {
    "JPEG": _load_jpeg,
    "PNG": _load_png,
    "WEBP": _load_webp,
}


def _checked(image: "pyvips.Image", size: Size) -> "pyvips.Image":
    if (image.width, image.height) != size:
        raise ValueError("two decoders see two sizes")
    return image


def _resized(image: "pyvips.Image", size: Size) -> memoryview:
    """The pixels of `image` at exactly `size`. Raises ValueError when libvips rounds a side otherwise."""
    small = image.resize(size[0] / image.width, vscale=size[1] / image.height, kernel=_KERNEL, gap=_REDUCING_GAP)
    return memoryview(_checked(small, size).write_to_memory())


def _from_memory(pixels: "bytes | memoryview", mode: str, size: Size) -> "pyvips.Image":
    image = pyvips.Image.new_from_memory(pixels, *size, _BANDS[mode], "uchar")
    return image.copy(interpretation="b-w" if _BANDS[mode] < 3 else "srgb")


def _without_density(png: bytes) -> bytes:
    """The file without its pHYs chunk, in which libvips writes a resolution that nobody asked for."""
    position = _PNG_SIGNATURE_BYTES
    while png[position + 4 : position + 8] != b"IDAT":
        length, name = struct.unpack_from(">I4s", png, position)
        if name == b"pHYs":
            return png[:position] + png[position + length + 12 :]
        position += length + 12
    return png
