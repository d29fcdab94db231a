"""Colours, depth and transparency of uploaded pictures."""

from pathlib import Path

import pytest
from PIL import Image, ImageCms

from app.core.processing.contract import ProcessingOptions
from tests.core.processing.image_jobs import corners_are_right, decoded, near, run
from tests.fixtures import image_files as files

KEEP = ProcessingOptions(keep_alpha=True)
SMALLER = ProcessingOptions(max_image_width_px=32, max_image_height_px=32)


@pytest.mark.parametrize("options", [None, SMALLER], ids=["as-is", "smaller"])
def test_cmyk_keeps_its_colors(options: ProcessingOptions | None, tmp_path: Path) -> None:
    data = files.saved(files.quarters().convert("CMYK"), "JPEG", quality=95)
    outcome = run(data, "image/jpeg", tmp_path, options=options)
    assert outcome.picture.mode == "RGB"
    assert corners_are_right(outcome.picture, files.CORNERS)
    assert outcome.file.properties["mode"] == "CMYK"


@pytest.mark.parametrize("options", [None, ProcessingOptions(max_image_width_px=16)], ids=["as-is", "smaller"])
def test_sixteen_bits_are_scaled_and_not_clipped(options: ProcessingOptions | None, tmp_path: Path) -> None:
    outcome = run(files.grey16((0, 0x2000, 0x8000, 0xFFFF)), "image/png", tmp_path, options=options)
    assert outcome.picture.mode == "L"
    for position, value in enumerate((0, 0x20, 0x80, 0xFF)):
        assert near(outcome.picture, ((position + 0.5) / 4, 0.5), (value,) * 3, within=3)


@pytest.mark.parametrize("options", [None, SMALLER], ids=["as-is", "smaller"])
def test_palette_pictures_keep_their_colors(options: ProcessingOptions | None, tmp_path: Path) -> None:
    outcome = run(files.png(files.quarters().quantize(16)), "image/png", tmp_path, options=options)
    assert outcome.picture.mode == ("P" if options is None else "RGB")
    assert corners_are_right(outcome.picture, files.CORNERS)


@pytest.mark.parametrize("options", [None, SMALLER], ids=["as-is", "smaller"])
def test_transparent_palette_entries_become_white(options: ProcessingOptions | None, tmp_path: Path) -> None:
    picture = files.quarters().quantize(16)
    data = files.png(picture, transparency=picture.getpixel((5, 5)))
    outcome = run(data, "image/png", tmp_path, options=options)
    assert not outcome.picture.has_transparency_data
    assert corners_are_right(outcome.picture, ((255, 255, 255), *files.CORNERS[1:]))
    assert outcome.file.properties["has_alpha"] is True


def test_half_transparent_palette_entries_are_mixed_with_white(tmp_path: Path) -> None:
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    outcome = run(files.png(picture, transparency=b"\x80\xff"), "image/png", tmp_path)
    assert near(outcome.picture, (0.5, 0.5), (127, 127, 127), within=2)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGBA", "RGB", "P"])
def test_every_png_mode_goes_through(mode: str, tmp_path: Path) -> None:
    picture = files.quarters().convert(mode)
    outcome = run(files.png(picture), "image/png", tmp_path)
    assert outcome.picture.convert("RGB").tobytes() == picture.convert("RGB").tobytes()


def test_interlaced_png_goes_through(tmp_path: Path) -> None:
    row = b"\0" + bytes((200, 10, 10)) * 4
    data = bytearray(files.png_of(4, 1, bits=8, color=2, rows=b"\0" + row[1:4] + b"\0" + row[1:4] + b"\0" + row[1:7]))
    header = files.png_chunk(b"IHDR", bytes(data[16:28]) + b"\x01")
    outcome = run(bytes(data[:8]) + header + bytes(data[33:]), "image/png", tmp_path)
    assert near(outcome.picture, (0.9, 0), (200, 10, 10), within=1)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("options", [None, SMALLER], ids=["as-is", "smaller"])
def test_alpha_is_laid_on_white(mode: str, options: ProcessingOptions | None, tmp_path: Path) -> None:
    picture = Image.new("RGBA", (64, 48), (0, 0, 0, 0)).convert(mode)
    picture.paste(Image.new("RGBA", (32, 48), (40, 40, 40, 255)).convert(mode), (0, 0))
    outcome = run(files.png(picture), "image/png", tmp_path, options=options)
    assert outcome.picture.mode == mode.removesuffix("A")
    assert near(outcome.picture, (0.2, 0.5), (40, 40, 40), within=2)
    assert near(outcome.picture, (0.9, 0.5), (255, 255, 255), within=0)
    assert near(outcome.small, (0.9, 0.5), (255, 255, 255), within=2)


@pytest.mark.parametrize(
    ("mime_type", "format_name"),
    [
        ("image/png", "PNG"),
        ("image/webp", "WEBP"),
        ("image/avif", "AVIF"),
        ("image/gif", "GIF"),
    ],
)
def test_alpha_is_kept_on_request(mime_type: str, format_name: str, tmp_path: Path) -> None:
    picture = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    picture.paste((*files.RED, 255), (0, 0, 32, 48))
    outcome = run(files.saved(picture, format_name), mime_type, tmp_path, options=KEEP)
    for image in (outcome.picture, outcome.small):
        alpha = image.convert("RGBA").getchannel("A")
        assert (alpha.getpixel((5, 20)), alpha.getpixel((60, 20))) == (255, 0)
        assert near(image, (0.2, 0.5), files.RED)
    assert outcome.file.thumbnail is not None
    assert outcome.file.thumbnail.mime_type == "image/webp"


def test_transparent_color_of_sixteen_bit_rgb_is_understood(tmp_path: Path) -> None:
    key = files.png_chunk(b"tRNS", bytes.fromhex("ffff 0000 0000"))
    rows = b"\0" + bytes.fromhex("ffff00000000") + bytes.fromhex("0000ffff0000")
    outcome = run(files.png_of(2, 1, bits=16, color=2, rows=rows, before=key), "image/png", tmp_path)
    assert outcome.picture.convert("RGB").tobytes() == bytes((255, 255, 255, 0, 255, 0))


@pytest.mark.parametrize("mime_type", ["image/jpeg", "image/png", "image/webp", "image/avif"])
@pytest.mark.parametrize("options", [None, SMALLER], ids=["as-is", "smaller"])
def test_the_color_profile_stays_and_the_thumbnail_is_converted(
    mime_type: str, options: ProcessingOptions | None, tmp_path: Path
) -> None:
    profile = files.swapping_profile()
    data = files.saved(files.quarters(), mime_type.removeprefix("image/").upper(), icc_profile=profile, quality=80)
    outcome = run(data, mime_type, tmp_path, options=options)
    assert outcome.picture.info["icc_profile"] == profile
    assert "icc_profile" not in outcome.small.info
    assert corners_are_right(outcome.picture, files.CORNERS, within=20)
    red = outcome.small.convert("RGB").getpixel((outcome.small.width // 4, outcome.small.height // 4))
    assert isinstance(red, tuple)
    assert red[1] > red[0], "red means green in this profile"
    assert "Swap" in str(outcome.file.properties["icc_profile"])


@pytest.mark.parametrize("profile", [b"x" * 500, b"", files.swapping_profile()[:140] + b"\0" * 300])
def test_a_broken_profile_is_left_out(profile: bytes, tmp_path: Path) -> None:
    outcome = run(files.png(files.quarters(), icc_profile=profile), "image/png", tmp_path)
    assert "icc_profile" not in outcome.picture.info
    assert corners_are_right(outcome.small, files.CORNERS)


def test_a_profile_of_another_color_space_is_left_out(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    outcome = run(files.jpeg(files.quarters().convert("L"), icc_profile=profile), "image/jpeg", tmp_path)
    assert "icc_profile" not in decoded(outcome.main).info
