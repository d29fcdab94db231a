"""Damage in parts of a PNG that nobody needs costs nothing, damage of its pixels is refused, and its key is exact."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from app.core.errors import UnreadableFile
from app.core.processing.contract import ProcessingOptions
from app.core.processing.imaging import png_chunks, vips_codec
from tests.core.processing.image_jobs import corners_are_right, near, run
from tests.fixtures import colored_files as colored
from tests.fixtures import image_files as files
from tests.fixtures import png_files as pngs
from tests.fixtures.png_files import Chunk, wrong_chunk

SMALLER = ProcessingOptions(max_image_width_px=200, max_image_height_px=160)
KEEP = ProcessingOptions(keep_alpha=True)
OPTIONS = pytest.mark.parametrize("options", [None, SMALLER], ids=["as-is", "smaller"])
QUARTERS = files.png(files.quarters(320, 240))
EXIF = files.exif_bytes(6)[6:]

ANCILLARY = {
    b"tEXt": b"Comment\0" + files.SECRET,
    b"zTXt": b"Comment\0\0not compressed" + files.SECRET,
    b"iTXt": b"XML:com.adobe.xmp\0\0\0\0\0" + files.SECRET,
    b"pHYs": struct.pack(">IIB", 2835, 2835, 1),
    b"iCCP": b"icc\0\0" + files.SECRET,
    b"gAMA": struct.pack(">I", 100_000),
    b"cHRM": struct.pack(">8I", *[30_000] * 8),
    b"sRGB": b"\0",
    b"tIME": struct.pack(">HBBBBB", 2026, 1, 2, 3, 4, 5),
    b"eXIf": EXIF,
    b"bKGD": bytes(6),
    b"tRNS": struct.pack(">HHH", *files.RED),
    b"acTL": struct.pack(">II", 2, 0),
    b"abCd": files.SECRET,
}


@OPTIONS
@pytest.mark.parametrize("place", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("name", ANCILLARY, ids=bytes.decode)
def test_a_wrong_checksum_of_an_ancillary_chunk_costs_the_chunk(
    name: bytes, place: bytes, options: ProcessingOptions | None, tmp_path: Path
) -> None:
    data = pngs.with_chunk(QUARTERS, wrong_chunk(name, ANCILLARY[name]), before=place)
    outcome = run(data, "image/png", tmp_path, options=options)
    assert outcome.picture.size == ((320, 240) if options is None else (200, 150))
    assert corners_are_right(outcome.picture, files.CORNERS)
    assert files.SECRET not in outcome.main


@OPTIONS
@pytest.mark.parametrize("name", [b"gAMA", b"cHRM", b"pHYs", b"sRGB", b"tRNS", b"iCCP", b"acTL"], ids=bytes.decode)
def test_an_ancillary_chunk_that_is_too_short_costs_the_chunk(
    name: bytes, options: ProcessingOptions | None, tmp_path: Path
) -> None:
    payload = b"" if name == b"sRGB" else b"\1"
    data = pngs.with_chunk(QUARTERS, files.png_chunk(name, payload), before=b"IDAT")
    assert corners_are_right(run(data, "image/png", tmp_path, options=options).picture, files.CORNERS)


ENDS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda data: data[:-12],
    "cut": lambda data: data[:-5],
    "with a wrong checksum": lambda data: data[:-1] + b"\0",
    "behind a text that was cut": lambda data: data[:-12] + files.png_chunk(b"tEXt", b"Comment\0" + b"x" * 90)[:60],
    "behind nonsense": lambda data: data[:-12] + b"\0\0\0\x09?!?!" + bytes(40),
    "with a page behind it": lambda data: data + b"<script>" + files.SECRET,
    "cut off in the last checksum": lambda data: data[:-14],
    "cut off in the checksum of the pixels": lambda data: data[:-18],
}


@OPTIONS
@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_a_png_is_not_asked(end: str, options: ProcessingOptions | None, tmp_path: Path) -> None:
    outcome = run(ENDS[end](QUARTERS), "image/png", tmp_path, options=options)
    assert corners_are_right(outcome.picture, files.CORNERS)
    assert outcome.main.endswith(b"IEND\xae\x42\x60\x82")
    assert files.SECRET not in outcome.main


PIXELS = files.png(files.photo(320, 240))
HURT: dict[str, Callable[[], bytes]] = {
    "checksum of the pixels": lambda: pngs.with_wrong_checksum(PIXELS, b"IDAT"),
    "checksum of the header": lambda: pngs.with_wrong_checksum(PIXELS, b"IHDR"),
    "checksum of the palette": lambda: pngs.with_wrong_checksum(files.png(files.photo(320, 240).convert("P")), b"PLTE"),
    "pixels cut off": lambda: PIXELS[: len(PIXELS) * 7 // 10],
    "pixels cut off, the end put back": lambda: pngs.without_last_bytes_of_pixels(PIXELS, 3_000),
    "a bit of the pixels": lambda: PIXELS[:9_000] + bytes([PIXELS[9_000] ^ 4]) + PIXELS[9_001:],
    "no pixels": lambda: pngs.edited(PIXELS, lambda chunks: [chunk for chunk in chunks if chunk[0] != b"IDAT"]),
}


@OPTIONS
@pytest.mark.parametrize("with_libvips", [True, False])
@pytest.mark.parametrize("hurt", HURT)
def test_damaged_pixels_are_refused(
    hurt: str,
    with_libvips: bool,
    options: ProcessingOptions | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vips_codec, "is_available", with_libvips and vips_codec.is_available)
    with pytest.raises(UnreadableFile):
        run(HURT[hurt](), "image/png", tmp_path, options=options)


def test_an_ordinary_png_is_not_copied() -> None:
    for data in (QUARTERS, files.png(files.quarters(), icc_profile=files.swapping_profile()), QUARTERS + b"luggage"):
        assert png_chunks.read(data).data is data


def _numbered(chunks: list[Chunk], change: Callable[[list[int]], list[int]]) -> list[Chunk]:
    """The chunks of an APNG with the numbers of fcTL and fdAT changed."""
    numbers = iter(change([index for index, _ in enumerate(c for c in chunks if c[0] in (b"fcTL", b"fdAT"))]))
    return [
        (name, struct.pack(">I", next(numbers)) + payload[4:]) if name in (b"fcTL", b"fdAT") else (name, payload)
        for name, payload in chunks
    ]


def _claiming(chunks: list[Chunk], frames: int) -> list[Chunk]:
    return [(name, struct.pack(">II", frames, 0) if name == b"acTL" else payload) for name, payload in chunks]


def _with_region(chunks: list[Chunk], region: tuple[int, int, int, int]) -> list[Chunk]:
    last = max(index for index, chunk in enumerate(chunks) if chunk[0] == b"fcTL")
    payload = chunks[last][1]
    return [*chunks[:last], (b"fcTL", payload[:4] + struct.pack(">4I", *region) + payload[20:]), *chunks[last + 1 :]]


BROKEN: dict[str, Callable[[list[Chunk]], list[Chunk]]] = {
    "a number twice": lambda chunks: _numbered(chunks, lambda numbers: [*numbers[:-1], numbers[-2]]),
    "a number left out": lambda chunks: _numbered(chunks, lambda numbers: [*numbers[:-1], numbers[-1] + 1]),
    "numbers from one": lambda chunks: _numbered(chunks, lambda numbers: [number + 1 for number in numbers]),
    "numbers all zero": lambda chunks: _numbered(chunks, lambda numbers: [0] * len(numbers)),
    "numbers backwards": lambda chunks: _numbered(chunks, lambda numbers: numbers[::-1]),
    "more frames claimed": lambda chunks: _claiming(chunks, 9),
    "fewer frames claimed": lambda chunks: _claiming(chunks, 2),
    "no frames claimed": lambda chunks: _claiming(chunks, 0),
    "billions claimed": lambda chunks: _claiming(chunks, 0xFFFFFFFF),
    "a frame outside": lambda chunks: _with_region(chunks, (60, 40, 1, 0)),
    "a frame without pixels": lambda chunks: _with_region(chunks, (0, 40, 0, 0)),
    "a control without a frame": lambda chunks: [c for c in chunks if c[0] != b"fdAT"],
    "frames without controls": lambda chunks: [c for c in chunks if c[0] != b"fcTL"],
}


@pytest.mark.parametrize("options", [None, ProcessingOptions(max_image_width_px=30)], ids=["as-is", "smaller"])
@pytest.mark.parametrize("has_default", [False, True], ids=["", "with a default picture"])
@pytest.mark.parametrize("broken", BROKEN)
def test_an_apng_with_broken_numbers_is_its_default_picture(
    broken: str, has_default: bool, options: ProcessingOptions | None, tmp_path: Path
) -> None:
    if has_default:
        frames = [files.moving_frame(index, 3, (60, 40)) for index in range(3)]
        default = files.quarters(60, 40)
        data = files.saved(default, "PNG", save_all=True, append_images=frames, default_image=True)
    else:
        data = files.animated("PNG")
    outcome = run(pngs.edited(data, BROKEN[broken]), "image/png", tmp_path, options=options)
    assert getattr(outcome.picture, "n_frames", 1) == 1
    assert "animated" not in outcome.file.properties
    assert near(outcome.picture, (0.1, 0.4), files.RED)
    assert near(outcome.picture, (0.8, 0.4), files.GREEN if has_default else files.BLUE)


def test_an_apng_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    data = files.animated("PNG", frames=4)
    for cut in (data[: data.rindex(b"fcTL") - 4], data[: data.rindex(b"fdAT") + 20]):
        with pytest.raises(UnreadableFile):
            run(cut, "image/png", tmp_path)


@pytest.mark.parametrize("name", [b"acTL", b"fcTL", b"fdAT"], ids=bytes.decode)
def test_an_apng_with_a_wrong_checksum_is_its_default_picture(name: bytes, tmp_path: Path) -> None:
    outcome = run(pngs.with_wrong_checksum(files.animated("PNG"), name), "image/png", tmp_path)
    assert "animated" not in outcome.file.properties
    assert near(outcome.picture, (0.1, 0.4), files.RED)


def test_an_apng_without_an_end_is_whole(tmp_path: Path) -> None:
    assert run(files.animated("PNG")[:-12], "image/png", tmp_path).file.properties["frames"] == 3


GREYS = {1: [0, 1, 1, 0], 2: [0, 1, 2, 3], 4: [0, 3, 9, 15], 8: [0, 3, 200, 255], 16: [0x0000, 0x8001, 0x8002, 0xFFFF]}


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("bits", GREYS)
def test_the_key_of_a_grey_picture_is_in_its_own_depth(bits: int, index: int, tmp_path: Path) -> None:
    values = GREYS[bits]
    shades = [value >> 8 if bits == 16 else value * 255 // (2**bits - 1) for value in values]
    opaque = [value != values[index] for value in values]
    # Bits that a sample of this depth does not have are ignored.
    data = pngs.grey_row(values, bits=bits, key=values[index], high=0 if bits == 16 else 0xFF00)
    kept = run(data, "image/png", tmp_path, options=KEEP).picture.convert("LA").getchannel("A")
    assert [kept.getpixel((x, 0)) for x in range(4)] == [255 if is_opaque else 0 for is_opaque in opaque]
    flat = run(data, "image/png", tmp_path).picture.convert("RGB")
    wanted = [shade if is_opaque else 255 for shade, is_opaque in zip(shades, opaque, strict=True)]
    assert [flat.getpixel((x, 0)) for x in range(4)] == [(shade,) * 3 for shade in wanted]


COLORS = {
    8: [(10, 20, 30), (10, 20, 31), (255, 0, 0), (0, 0, 0)],
    16: [(0x0A01, 0x1402, 0x1E03), (0x0A01, 0x1402, 0x1E04), (0xFF00, 0, 0), (0x00FF, 0x00FE, 0x00FD)],
}


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("bits", COLORS)
def test_the_key_of_a_colored_picture_is_in_its_own_depth(bits: int, index: int, tmp_path: Path) -> None:
    data = pngs.color_row(COLORS[bits], bits=bits, key=COLORS[bits][index])
    kept = run(data, "image/png", tmp_path, options=KEEP).picture.convert("RGBA")
    flat = run(data, "image/png", tmp_path).picture.convert("RGB")
    for x, color in enumerate(COLORS[bits]):
        shades = tuple(part >> (bits - 8) for part in color)
        pixel, white = kept.getpixel((x, 0)), (255, 255, 255)
        assert isinstance(pixel, tuple)
        assert pixel[3] == (0 if x == index else 255)
        assert near(flat.crop((x, 0, x + 1, 1)), (0, 0), white if x == index else shades, within=1)


def test_a_large_picture_of_sixteen_bits_keeps_its_transparency(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + struct.pack(">H", 0x4001) * 400 + struct.pack(">H", 0x4002) * 400 for _ in range(600))
    key = files.png_chunk(b"tRNS", struct.pack(">H", 0x4002))
    data = files.png_of(800, 600, bits=16, color=0, rows=rows, before=key)
    options = ProcessingOptions(max_image_width_px=100, keep_alpha=True)
    outcome = run(data, "image/png", tmp_path, options=options)
    alpha = outcome.picture.getchannel("A")
    assert (alpha.getpixel((20, 30)), alpha.getpixel((80, 30))) == (255, 0)
    assert isinstance(outcome.picture, Image.Image)
    assert outcome.picture.convert("RGBA").getpixel((20, 30)) == (64, 64, 64, 255)


@pytest.mark.parametrize(
    "chunk",
    [
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<x:xmpmeta>" + b" " * 3_000_000)),
        (b"iCCP", b"a scanner's\0\0" + zlib.compress(bytes(3_000_000))),
    ],
    ids=["XMP", "profile"],
)
def test_much_beside_the_pixels_is_no_damage(chunk: tuple[bytes, bytes], tmp_path: Path) -> None:
    data = colored.with_chunks(files.saved(files.quarters(), "PNG"), files.png_chunk(*chunk))
    assert run(data, "image/png", tmp_path).file.width_px == 64
