"""Hostile pictures are refused by their header, fast and in little memory."""

import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from app.core.errors import FileTooComplex, InvalidUpload
from app.core.processing.contract import ProcessingOptions
from app.core.processing.imaging import jpeg_segments
from tests.core.processing.image_jobs import run
from tests.fixtures import image_files as files


@pytest.fixture(autouse=True)
def _promptly() -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < 3


@pytest.mark.parametrize("mime_type", files.MAKERS)
def test_pixels_at_the_limit_and_one_over(mime_type: str, tmp_path: Path) -> None:
    data = files.MAKERS[mime_type](files.quarters(64, 48))
    run(data, mime_type, tmp_path, options=ProcessingOptions(max_image_pixels=64 * 48))
    with pytest.raises(FileTooComplex):
        run(data, mime_type, tmp_path, options=ProcessingOptions(max_image_pixels=64 * 48 - 1))


@pytest.mark.parametrize("format_name", ["GIF", "PNG", "WEBP", "AVIF"])
def test_frames_at_the_limit_and_one_over(format_name: str, tmp_path: Path) -> None:
    data, mime_type = files.animated(format_name, frames=4), f"image/{format_name.lower()}"
    run(data, mime_type, tmp_path, options=ProcessingOptions(max_image_frames=4))
    with pytest.raises(FileTooComplex):
        run(data, mime_type, tmp_path, options=ProcessingOptions(max_image_frames=3))
    with pytest.raises(FileTooComplex):
        run(data, mime_type, tmp_path, options=ProcessingOptions(max_image_pixels=60 * 40 * 4 - 1))


@pytest.mark.parametrize(
    ("mime_type", "data"),
    [
        ("image/png", files.png_of(30_000, 30_000, bits=1, color=0, rows=b"\0" * 1000)),
        ("image/gif", files.gif_of_frames(1, width=65_535, height=65_535)),
        (
            "image/gif",
            files.gif_of_frames(1)[:6]
            + b"\x01\0\x01\0"
            + files.gif_of_frames(1)[10:19]
            + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x01\x44\0;",
        ),
        ("image/webp", files.webp_bomb()),
        ("image/jpeg", files.jpeg_with_size(65_500, 65_500)),
        ("image/png", files.png_of(2**31 - 1, 2**31 - 1, bits=16, color=6)),
    ],
    ids=["1-bit png", "gif canvas", "gif frame", "webp", "jpeg", "huge png"],
)
def test_pixel_floods_are_refused(mime_type: str, data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidUpload):
        run(data, mime_type, tmp_path)


def _huge(mime_type: str, side: int) -> bytes:
    """A picture whose header claims `side` x `side` pixels."""
    match mime_type:
        case "image/png":
            return files.png_of(side, side, bits=1, color=0, rows=b"\0" * 1000)
        case "image/gif":
            return files.gif_of_frames(1, width=side, height=side)
        case "image/jpeg":
            return files.jpeg_with_size(side, side)
        case "image/webp":
            return files.webp_bomb()
    data = files.MAKERS[mime_type](files.quarters(64, 64))
    size = b"ispe" + struct.pack(">III", 0, 64, 64)
    assert size in data
    return data.replace(size, b"ispe" + struct.pack(">III", 0, side, side))


@pytest.mark.parametrize("side", [11_585, 16_383, 16_384, 40_000])
@pytest.mark.parametrize("mime_type", files.MAKERS)
def test_too_many_pixels_are_called_so(mime_type: str, side: int, tmp_path: Path) -> None:
    with pytest.raises(FileTooComplex, match="limit of 128000000 pixels"):
        run(_huge(mime_type, side), mime_type, tmp_path)


def test_ten_thousand_gif_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileTooComplex):
        run(files.gif_of_frames(10_000), "image/gif", tmp_path)


def test_a_million_gif_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileTooComplex):
        run(files.gif_of_frames(650_000), "image/gif", tmp_path)


def test_an_apng_that_only_claims_two_billion_frames_is_a_still(tmp_path: Path) -> None:
    control = files.png_chunk(b"acTL", b"\x7f\xff\xff\xff\0\0\0\0")
    outcome = run(files.png_of(1, 1, bits=8, color=0, rows=b"\0\0", before=control), "image/png", tmp_path)
    assert "animated" not in outcome.file.properties


def test_ten_thousand_webp_frames_are_refused(tmp_path: Path) -> None:
    data = files.animated("WEBP", frames=2, size=(8, 8))
    start = data.index(b"ANMF")
    frame = data[start : start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")]
    body = data[8:start] + frame * 10_000
    with pytest.raises(FileTooComplex):
        run(b"RIFF" + len(body).to_bytes(4, "little") + body, "image/webp", tmp_path)


@pytest.mark.parametrize("count", [jpeg_segments.MAX_SCANS, 700])
def test_hundreds_of_jpeg_scans_are_refused(count: int, tmp_path: Path) -> None:
    with pytest.raises(FileTooComplex):
        run(files.jpeg_of_scans(count), "image/jpeg", tmp_path)


def test_a_million_jpeg_segments_are_refused(tmp_path: Path) -> None:
    data = files.jpeg(files.quarters())
    with pytest.raises(FileTooComplex):
        run(data[:2] + b"\xff\xe5\0\x02" * 1_000_000 + data[2:], "image/jpeg", tmp_path)


@pytest.mark.parametrize("name", [b"zTXt\0key", b"zTXt\0Raw profile type exif", b"iCCP\0key"])
def test_compressed_chunk_bombs_are_refused_or_ignored(name: bytes, tmp_path: Path) -> None:
    kind, key = name.split(b"\0")
    bomb = files.png_chunk(kind, key + b"\0\0" + zlib.compress(b"\0" * 20_000_000))
    data = files.png_of(1, 1, bits=8, color=0, rows=b"\0\0", before=bomb * 100)
    if key == b"key" and kind == b"zTXt":
        assert run(data, "image/png", tmp_path).picture.size == (1, 1)
        return
    with pytest.raises(InvalidUpload):
        run(data, "image/png", tmp_path)


def test_a_data_bomb_behind_the_picture_is_ignored(tmp_path: Path) -> None:
    data = files.png_of(1, 1, bits=8, color=0, rows=b"\0\0" + b"\0" * 20_000_000)
    assert run(data, "image/png", tmp_path).picture.size == (1, 1)


def test_half_a_million_png_chunks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileTooComplex):
        run(files.png_of(1, 1, bits=8, color=0, before=files.png_chunk(b"abCd", b"") * 500_000), "image/png", tmp_path)


def test_a_picture_of_a_million_by_one_pixels_survives(tmp_path: Path) -> None:
    outcome = run(files.png(Image.new("L", (1_000_000, 1), 128)), "image/png", tmp_path)
    assert outcome.picture.size == (2048, 1)
    assert outcome.picture.getpixel((1000, 0)) == 128


def test_a_large_picture_with_alpha_is_shrunk_in_strips(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (3100, 2000), (*files.BLUE, 255))
    picture.paste((0, 0, 0, 0), (1550, 0, 3100, 2000))
    outcome = run(
        files.png(picture, compress_level=1), "image/png", tmp_path, options=ProcessingOptions(max_image_width_px=300)
    )
    assert outcome.picture.size == (300, 194)
    assert outcome.picture.getpixel((50, 100)) == files.BLUE
    assert outcome.picture.getpixel((250, 100)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff" + b"\x21\xfe\0" * 1_000_000, "image/gif"),
        (b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff" + bytes(9_000_000), "image/gif"),
        (b"\xff\xd8" + b"\xff\x01" * 1_000_000, "image/jpeg"),
    ],
    ids=["empty GIF extensions", "no GIF blocks", "JPEG markers without a length"],
)
def test_millions_of_blocks_are_not_walked_through(data: bytes, mime_type: str, tmp_path: Path) -> None:
    began = time.process_time()
    with pytest.raises(InvalidUpload):
        run(data, mime_type, tmp_path)
    assert time.process_time() - began < 1.5
