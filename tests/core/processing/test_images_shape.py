"""Size, orientation, formats and thumbnails of uploaded pictures."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from app.core.errors import UnsupportedFileType
from app.core.processing.contract import ProcessingOptions
from tests.core.processing.image_jobs import corners_are_right, run
from tests.fixtures import image_files as files

UPRIGHT = files.CORNERS


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("mime_type", "make"),
    [
        ("image/jpeg", files.jpeg),
        ("image/png", files.png),
        ("image/webp", files.webp),
    ],
)
def test_every_orientation_stands_upright(
    orientation: int, mime_type: str, make: Callable[..., bytes], tmp_path: Path
) -> None:
    outcome = run(make(files.quarters(64, 48), orientation=orientation), mime_type, tmp_path)
    assert (outcome.file.width_px, outcome.file.height_px) == outcome.picture.size == (64, 48)
    assert corners_are_right(outcome.picture, UPRIGHT)
    assert corners_are_right(outcome.small, UPRIGHT)
    assert outcome.picture.getexif().get(0x112, 1) == 1
    assert outcome.file.properties["original_width"] == 64


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_avif_is_turned_once(orientation: int, tmp_path: Path) -> None:
    stored = files.unturned(files.quarters(64, 48), orientation)
    data = files.saved(stored, "AVIF", exif=files.exif_bytes(orientation))
    outcome = run(data, "image/avif", tmp_path)
    assert outcome.picture.size == (64, 48)
    assert corners_are_right(outcome.picture, UPRIGHT)
    assert outcome.picture.getexif().get(0x112, 1) == 1


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_is_turned_once_and_becomes_jpeg(orientation: int, tmp_path: Path) -> None:
    stored = files.unturned(files.quarters(64, 48), orientation)
    data = files.saved(stored, "HEIF", exif=files.exif_bytes(orientation), quality=90)
    outcome = run(data, "image/heic", tmp_path)
    assert (outcome.file.mime_type, outcome.file.extension, outcome.picture.format) == ("image/jpeg", "jpg", "JPEG")
    assert outcome.picture.size == (64, 48)
    assert corners_are_right(outcome.picture, UPRIGHT)


def test_heic_is_refused_when_it_is_switched_off(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFileType):
        run(files.heic(files.quarters()), "image/heic", tmp_path, options=ProcessingOptions(accept_heic=False))


@pytest.mark.parametrize("mime_type", files.MAKERS)
def test_every_format_is_kept_and_fitted(mime_type: str, tmp_path: Path) -> None:
    options = ProcessingOptions(max_image_width_px=200, max_image_height_px=200)
    outcome = run(files.MAKERS[mime_type](files.quarters(400, 300)), mime_type, tmp_path, options=options)
    expected = {"image/heic": "JPEG"}.get(mime_type, mime_type.removeprefix("image/").upper())
    assert outcome.picture.format == expected
    assert outcome.picture.size == (200, 150)
    assert corners_are_right(outcome.picture, UPRIGHT, within=16)
    assert corners_are_right(outcome.small, UPRIGHT, within=16)
    assert outcome.file.properties["original_width"] == 400


@pytest.mark.parametrize(
    ("size", "expected", "small"),
    [
        ((2048, 2048), (2048, 2048), (300, 300)),
        ((2049, 1), (2048, 1), (300, 1)),
        ((1, 5000), (1, 2048), (1, 300)),
        ((7000, 1000), (2048, 293), (300, 43)),
        ((1, 1), (1, 1), (1, 1)),
        ((20, 30), (20, 30), (20, 30)),
    ],
)
@pytest.mark.parametrize("mime_type", ["image/png", "image/jpeg"])
def test_pictures_are_fitted_and_never_enlarged(
    size: tuple[int, int], expected: tuple[int, int], small: tuple[int, int], mime_type: str, tmp_path: Path
) -> None:
    outcome = run(files.MAKERS[mime_type](Image.new("RGB", size, files.RED)), mime_type, tmp_path)
    assert outcome.picture.size == (outcome.file.width_px, outcome.file.height_px) == expected
    assert outcome.file.thumbnail is not None
    assert outcome.small.size == (outcome.file.thumbnail.width_px, outcome.file.thumbnail.height_px)
    assert outcome.small.size == small


def test_a_box_that_is_no_square_is_meant_as_displayed(tmp_path: Path) -> None:
    options = ProcessingOptions(max_image_width_px=100, max_image_height_px=50)
    outcome = run(files.jpeg(files.quarters(50, 400), orientation=6), "image/jpeg", tmp_path, options=options)
    assert outcome.picture.size == (6, 50)


def test_properties_describe_the_original(tmp_path: Path) -> None:
    outcome = run(files.jpeg(files.quarters(64, 48), orientation=6), "image/jpeg", tmp_path)
    properties = outcome.file.properties
    assert (properties["format"], properties["mode"], properties["has_alpha"]) == ("JPEG", "RGB", False)
    assert properties["taken_at"] == "2026-03-04T05:06:07+02:00"
    assert isinstance(properties["blurhash"], str)
    assert isinstance(properties["dominant_color"], str)


def test_the_shrunk_jpeg_looks_like_one_shrunk_from_all_its_pixels(tmp_path: Path) -> None:
    picture = files.photo(1600, 1200)
    options = ProcessingOptions(max_image_width_px=256, max_image_height_px=256)
    outcome = run(files.jpeg(picture, quality=95), "image/jpeg", tmp_path, options=options)
    wanted = picture.resize((256, 192), Image.Resampling.LANCZOS)
    histogram = _difference(outcome.picture, wanted)
    assert sum(count for value, count in enumerate(histogram) if value > 48) < 0.002 * sum(histogram)


def _difference(first: Image.Image, second: Image.Image) -> list[int]:
    from_first, from_second = first.convert("L").tobytes(), second.convert("L").tobytes()
    counts = [0] * 256
    for one, other in zip(from_first, from_second, strict=True):
        counts[abs(one - other)] += 1
    return counts
