"""FFmpeg, libvips and Pillow make the same of a picture, and where they could not, Pillow decides."""

import math
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import av.logging
import pytest
from PIL import Image, ImageCms, ImageDraw, ImageStat

from app.core.errors import InvalidUpload
from app.core.processing.contract import ProcessingOptions
from app.core.processing.imaging import ffmpeg_codec, jpeg_segments, vips_codec
from tests.core.processing.image_jobs import Outcome, corners_are_right, run
from tests.fixtures import image_files as files

PROJECT = Path(__file__).resolve().parents[3]
Maker = Callable[[], bytes]

SMALLER = ProcessingOptions(max_image_width_px=200, max_image_height_px=160, thumbnail_width_px=60)
SMALLER_WITH_ALPHA = ProcessingOptions(max_image_width_px=200, max_image_height_px=160, keep_alpha=True)


def scene(width: int, height: int) -> Image.Image:
    """RGB with gradients and edges and, unlike a photograph, without grain, of which codecs keep what they like."""
    slope = Image.linear_gradient("L").resize((width, height))
    glow = Image.radial_gradient("L").resize((width, height))
    picture = Image.merge("RGB", (slope, glow, slope.rotate(180)))
    draw = ImageDraw.Draw(picture)
    for step in range(0, width, max(8, width // 9)):
        draw.ellipse((step, height // 4, step + width // 6, height * 3 // 4), outline=(step % 255, 90, 160), width=5)
    return picture


PHOTO = scene(640, 480)


def see_through(mode: str) -> Image.Image:
    picture = PHOTO.convert(mode)
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


def turned(orientation: int) -> Maker:
    return lambda: files.jpeg(scene(640, 400), orientation=orientation)


def without_jfif(data: bytes, *, ids: bytes = b"\x01\x02\x03", adobe_transform: int | None = None) -> bytes:
    """A JPEG of three components that says otherwise, or only by their ids, whether they are RGB or YCbCr."""
    assert data[2:4] == b"\xff\xe0"
    adobe = b"" if adobe_transform is None else b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([adobe_transform])
    rest = bytearray(data[4 + int.from_bytes(data[4:6]) :])
    frame, scan = rest.index(b"\xff\xc0"), rest.index(b"\xff\xda")
    for number, component in enumerate(ids):
        rest[frame + 10 + 3 * number] = component
        rest[scan + 5 + 2 * number] = component
    return data[:2] + adobe + bytes(rest)


def with_second_frame(data: bytes, side: int) -> bytes:
    """A JPEG in which a frame of another size, square, and a scan of it follow the first ones, and many a comment.

    FFmpeg measures the frame that it may expect by the bytes of the file.
    """
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    header = bytearray(data[frame : frame + 2 + int.from_bytes(data[frame + 2 : frame + 4])])
    struct.pack_into(">HH", header, 5, side, side)
    comments = (b"\xff\xfe\xff\xff" + bytes(65_533)) * 20
    return data[:2] + comments + data[2:-2] + bytes(header) + data[scan:]


PICTURES: dict[str, tuple[str, Maker]] = {
    **{f"jpeg, orientation {number}": ("image/jpeg", turned(number)) for number in range(1, 9)},
    "jpeg, grey": ("image/jpeg", lambda: files.jpeg(PHOTO.convert("L"))),
    "jpeg, cmyk": ("image/jpeg", lambda: files.jpeg(PHOTO.convert("CMYK"))),
    "jpeg, rgb components": ("image/jpeg", lambda: files.jpeg(PHOTO, keep_rgb=True)),
    "jpeg, progressive": ("image/jpeg", lambda: files.jpeg(PHOTO, progressive=True)),
    "jpeg, without subsampling": ("image/jpeg", lambda: files.jpeg(PHOTO, subsampling="4:4:4")),
    "jpeg, subsampled one way": ("image/jpeg", lambda: files.jpeg(PHOTO, subsampling="4:2:2")),
    "jpeg, restart markers": ("image/jpeg", lambda: files.jpeg(PHOTO, restart_marker_blocks=7)),
    "jpeg, without jfif": ("image/jpeg", lambda: without_jfif(files.jpeg(PHOTO))),
    "jpeg, subsampled rgb": ("image/jpeg", lambda: without_jfif(files.jpeg(PHOTO), adobe_transform=0)),
    "jpeg, rgb by its ids": ("image/jpeg", lambda: without_jfif(files.jpeg(PHOTO), ids=b"RGB")),
    "jpeg, another profile": ("image/jpeg", lambda: files.jpeg(PHOTO, icc_profile=files.swapping_profile())),
    "jpeg, shrunk on load": ("image/jpeg", lambda: files.jpeg(scene(2000, 1496))),
    "jpeg, large and odd": ("image/jpeg", lambda: files.jpeg(scene(1999, 1501))),
    "jpeg, odd sides": ("image/jpeg", lambda: files.jpeg(scene(517, 333))),
    "jpeg, one pixel high": ("image/jpeg", lambda: files.jpeg(scene(999, 1))),
    "jpeg, one pixel wide": ("image/jpeg", lambda: files.jpeg(scene(1, 999))),
    "png": ("image/png", lambda: files.png(PHOTO)),
    "png, turned": ("image/png", lambda: files.png(PHOTO, orientation=6)),
    "png, grey": ("image/png", lambda: files.png(PHOTO.convert("L"))),
    "png, black and white": ("image/png", lambda: files.png(PHOTO.convert("1"))),
    "png, palette": ("image/png", lambda: files.png(PHOTO.convert("P"))),
    "png, see-through": ("image/png", lambda: files.png(see_through("RGB"))),
    "png, see-through grey": ("image/png", lambda: files.png(see_through("L"))),
    "png, transparent colour": ("image/png", lambda: files.png(PHOTO, transparency=(0, 0, 0))),
    "png, another profile": ("image/png", lambda: files.png(PHOTO, icc_profile=files.swapping_profile())),
    "png, one pixel high": ("image/png", lambda: files.png(scene(999, 1))),
    "webp": ("image/webp", lambda: files.webp(PHOTO, quality=90)),
    "webp, turned": ("image/webp", lambda: files.webp(PHOTO, orientation=8, quality=90)),
    "webp, lossless": ("image/webp", lambda: files.webp(PHOTO, lossless=True)),
    "webp, see-through": ("image/webp", lambda: files.webp(see_through("RGB"), quality=90)),
    "heic": ("image/heic", lambda: files.heic(PHOTO)),
}


@cache
def made(name: str) -> tuple[str, bytes]:
    """The MIME type and the file; made once, by the process that needs it."""
    mime_type, make = PICTURES[name]
    return mime_type, make()


ENGINES = ["all", "without FFmpeg"]
"""Which of the quick ones take part; what they leave, Pillow does."""


def use(engines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only these work from here on; `pillow` is none of the others."""
    monkeypatch.setattr(ffmpeg_codec, "MAX_WHOLE_PIXELS", 25_000_000 if engines == "all" else 0)
    monkeypatch.setattr(vips_codec, "is_available", engines != "pillow")


def run_both(
    data: bytes,
    mime_type: str,
    folder: Path,
    options: ProcessingOptions,
    monkeypatch: pytest.MonkeyPatch,
    *,
    engines: str,
) -> tuple[Outcome, Outcome]:
    """What comes out with these engines, and with Pillow alone."""
    outcomes = []
    for name in (engines, "pillow"):
        use(name, monkeypatch)
        (folder / name).mkdir()
        outcomes.append(run(data, mime_type, folder / name, options=options))
    return outcomes[0], outcomes[1]


def color_difference(first: Image.Image, second: Image.Image) -> float:
    """The mean distance of two pictures in CIELAB (CIE 1976), both in sRGB; 1 can hardly be seen."""
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    pixels = []
    for picture in (first, second):
        lab = ImageCms.applyTransform(picture.convert("RGB"), to_lab)
        assert lab is not None
        pixels.append(lab.tobytes())
    total = 0.0
    for start in range(0, len(pixels[0]), 3):
        light, green_red, blue_yellow = (pixels[0][start + band] - pixels[1][start + band] for band in range(3))
        total += math.hypot(light * 100 / 255, _around(green_red), _around(blue_yellow))
    return total * 3 / len(pixels[0])


def _around(difference: int) -> int:
    # Pillow's a and b are signed bytes, read here without their sign.
    return (difference + 128) % 256 - 128


def test_libvips_takes_part_where_our_requirements_are_installed() -> None:
    assert vips_codec.is_available


@pytest.mark.parametrize("options", [SMALLER, SMALLER_WITH_ALPHA], ids=["flattened", "alpha kept"])
@pytest.mark.parametrize(
    ("name", "engines"),
    [(name, engines) for name in PICTURES for engines in ENGINES if engines == "all" or name.startswith("jpeg")],
)
def test_all_make_the_same_picture(
    name: str, engines: str, options: ProcessingOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mime_type, data = made(name)
    ours, pillows = run_both(data, mime_type, tmp_path, options, monkeypatch, engines=engines)
    for one, other in ((ours.picture, pillows.picture), (ours.small, pillows.small)):
        assert (one.format, one.mode, one.size) == (other.format, other.mode, other.size)
        assert one.info.get("icc_profile") == other.info.get("icc_profile")
        # Codecs with loss round two pictures that are all but equal to different numbers.
        assert color_difference(one, other) < (1 if one.format == "PNG" else 2)
        if one.mode in ("LA", "RGBA"):
            difference = ImageStat.Stat(one.getchannel("A")).mean[0] - ImageStat.Stat(other.getchannel("A")).mean[0]
            assert abs(difference) < 1
    for placeholder in ("blurhash", "dominant_color"):
        assert ours.file.properties.pop(placeholder)
        assert pillows.file.properties.pop(placeholder)
    assert ours.file.properties == pillows.file.properties


@pytest.mark.parametrize("name", ["jpeg, orientation 6", "png, see-through", "webp"])
def test_ordinary_stills_are_read_by_libvips(name: str) -> None:
    mime_type, data = made(name)
    size = (400, 640) if mime_type == "image/jpeg" else PHOTO.size
    pictures = vips_codec.reduced(data, mime_type.removeprefix("image/").upper(), size=size, sizes=[(160, 120), (8, 6)])
    assert pictures is not None
    assert [(picture.mode, picture.size) for picture in pictures] == [("RGB", (160, 120)), ("RGB", (8, 6))]


@pytest.mark.parametrize(
    "name",
    ["jpeg, orientation 1", "jpeg, progressive", "jpeg, without subsampling", "jpeg, subsampled one way", "jpeg, grey"],
)
def test_ordinary_photographs_are_read_by_ffmpeg(name: str) -> None:
    _, data = made(name)
    size, mode = (640, 400) if "orientation" in name else PHOTO.size, "L" if "grey" in name else "RGB"
    pictures = ffmpeg_codec.reduced(data, mode=mode, size=size, sizes=[(161, 121), (7, 5)])
    assert pictures is not None
    stored = "L" if mode == "L" else "YCbCr"
    assert [(picture.mode, picture.size) for picture in pictures] == [(stored, (161, 121)), (mode, (7, 5))]


def test_ffmpeg_leaves_what_is_larger_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = files.jpeg(PHOTO)
    for limit, is_read in ((640 * 480, True), (640 * 480 - 1, False)):
        monkeypatch.setattr(ffmpeg_codec, "MAX_WHOLE_PIXELS", limit)
        pictures = ffmpeg_codec.reduced(data, mode="RGB", size=(640, 480), sizes=[(64, 48)])
        assert (pictures is not None) is is_read


def test_ffmpeg_does_not_believe_a_header_that_pillow_reads_otherwise() -> None:
    for mode, size in (("RGB", (641, 480)), ("L", (640, 480)), ("CMYK", (640, 480))):
        assert ffmpeg_codec.reduced(files.jpeg(PHOTO), mode=mode, size=size, sizes=[(64, 48)]) is None


def test_ffmpeg_takes_no_size_but_the_one_that_was_checked() -> None:
    data = with_second_frame(files.jpeg(PHOTO), 9_000)
    assert not jpeg_segments.parse(data).is_plain, "it should not come here at all"
    with av.logging.Capture() as lines:
        av.logging.set_level(av.logging.ERROR)
        try:
            assert ffmpeg_codec.reduced(data, mode="RGB", size=PHOTO.size, sizes=[(64, 48)]) is None
        finally:
            av.logging.set_level(None)
    # Its own words say which check stopped it: the one before the memory is asked for.
    assert "Picture size 9000x9000 exceeds specified max pixel count" in "".join(text for _, _, text in lines)


def test_ffmpeg_reads_nothing_but_jpeg() -> None:
    for data in (files.png(PHOTO), files.saved(PHOTO, "GIF"), files.webp(PHOTO), b"", b"\xff\xd8\xff\xd9"):
        assert ffmpeg_codec.reduced(data, mode="RGB", size=PHOTO.size, sizes=[(64, 48)]) is None


@pytest.mark.parametrize("decoder", ["JPEG", "PNG", "WEBP"])
def test_libvips_tries_no_other_decoder(decoder: str) -> None:
    for data in (files.saved(PHOTO, "GIF"), files.saved(PHOTO, "TIFF"), b"<svg xmlns='http://www.w3.org/2000/svg'/>"):
        assert vips_codec.reduced(data, decoder, size=PHOTO.size, sizes=[(64, 48)]) is None


def test_libvips_does_not_believe_a_header_that_pillow_reads_otherwise() -> None:
    assert vips_codec.reduced(files.jpeg(PHOTO), "JPEG", size=(641, 480), sizes=[(64, 48)]) is None


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut off": lambda data, dice: data[: dice.randrange(60, len(data))],
    "cut off by a few bytes": lambda data, dice: data[: -dice.randrange(1, 16)],
    "a byte changed": lambda data, dice: _with(data, dice.randrange(len(data)), bytes([dice.randrange(256)])),
    "zeros inside": lambda data, dice: _with(data, dice.randrange(len(data) - 64), bytes(64)),
    "a hole": lambda data, dice: data[: (cut := dice.randrange(60, len(data) - 100))] + data[cut + 90 :],
    "cut off, end marker put back": lambda data, dice: data[: dice.randrange(60, len(data))] + data[-12:],
}


def _with(data: bytes, position: int, new: bytes) -> bytes:
    return data[:position] + new + data[position + len(new) :]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("mime_type", ["image/jpeg", "image/png", "image/webp"])
def test_what_pillow_refuses_is_refused(
    mime_type: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = files.MAKERS[mime_type](scene(300, 220))
    dice = random.Random(7)
    for number in range(25):
        data = DAMAGES[damage](whole, dice)
        ends = set()
        for engines in (*ENGINES, "pillow"):
            use(engines, monkeypatch)
            folder = tmp_path / f"{number}-{engines}"
            folder.mkdir()
            ends.add(_end(data, mime_type, folder))
        assert len(ends) == 1


def _end(data: bytes, mime_type: str, folder: Path) -> str:
    try:
        return str(run(data, mime_type, folder, options=SMALLER).picture.size)
    except InvalidUpload as refusal:
        return refusal.code


@pytest.mark.parametrize("chunk", [b"eXIf", b"iTXt"])
def test_an_orientation_behind_the_pixels_of_a_png_counts(chunk: bytes, tmp_path: Path) -> None:
    payload = files.exif_bytes(6)[6:]
    if chunk == b"iTXt":
        xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
        payload = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
    data = files.png(files.unturned(files.quarters(640, 480), 6))
    assert data[-8:-4] == b"IEND"
    outcome = run(data[:-12] + files.png_chunk(chunk, payload) + data[-12:], "image/png", tmp_path, options=SMALLER)
    assert outcome.picture.size == (200, 150)
    assert corners_are_right(outcome.picture, files.CORNERS)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("profile", [None, files.swapping_profile()], ids=["plain", "with profile"])
def test_a_png_has_no_chunk_too_many(mode: str, profile: bytes | None, tmp_path: Path) -> None:
    options: dict[str, Any] = {} if profile is None else {"icc_profile": profile}
    data = files.png(see_through("RGB").convert(mode), with_secrets=True, **options)
    outcome = run(data, "image/png", tmp_path, options=ProcessingOptions(keep_alpha=True))
    wanted = [b"IHDR", b"IDAT", b"IEND"]
    if profile is not None and mode in ("RGB", "RGBA"):
        wanted.insert(1, b"iCCP")
        assert outcome.picture.info["icc_profile"] == profile
    assert list(dict.fromkeys(_chunks(outcome.main))) == wanted
    assert outcome.picture.mode == mode


def _chunks(png: bytes) -> list[bytes]:
    names, position = [], 8
    while position < len(png):
        length, name = struct.unpack_from(">I4s", png, position)
        names.append(name)
        position += length + 12
    return names


@pytest.mark.parametrize("color", [(255, 255, 255), (128, 128, 128), (220, 30, 30)])
@pytest.mark.parametrize("mime_type", ["image/png", "image/jpeg"])
def test_a_plain_surface_keeps_its_color_however_much_it_shrinks(
    color: tuple[int, int, int], mime_type: str, tmp_path: Path
) -> None:
    data = files.MAKERS[mime_type](Image.new("RGB", (6000, 1200), color))
    outcome = run(data, mime_type, tmp_path)
    for picture in (outcome.picture, outcome.small):
        for band, value in zip(picture.convert("RGB").split(), color, strict=True):
            assert all(abs(shade - value) <= 2 for shade in set(band.tobytes()))


def test_the_service_works_without_libvips(tmp_path: Path) -> None:
    (tmp_path / "staged").write_bytes(files.jpeg(PHOTO, orientation=6))
    (tmp_path / "out").mkdir()
    script = (
        "import sys\n"
        "sys.modules['pyvips'] = None\n"
        f"sys.path.insert(0, {str(PROJECT)!r})\n"
        "from app.core.file_processing import process_file\n"
        "from app.core.media_types import MediaType\n"
        "from app.core.processing.contract import Job, ProcessingOptions\n"
        f"job = Job({str(tmp_path / 'staged')!r}, {str(tmp_path / 'out')!r}, 'a.jpg', MediaType.IMAGE,\n"
        "          ProcessingOptions(max_image_width_px=100))\n"
        "made = process_file(job)\n"
        "print(made.width_px, made.height_px, made.thumbnail.width_px)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["100", "75", "100"]


def test_the_server_process_loads_no_decoder() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n"
        "import app.main\n"
        "print([name for name in ('pyvips', '_libvips', 'PIL') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
