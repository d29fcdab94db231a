"""The BlurHash and the dominant colour of a picture."""

import pytest
from blurhash_rs import blurhash_decode
from PIL import Image

from app.core.processing import placeholders
from tests.fixtures import image_files as files


def test_the_dominant_color_is_the_most_frequent_one() -> None:
    image = Image.new("RGB", (400, 300), files.BLUE)
    image.paste(files.RED, (0, 0, 100, 300))
    assert placeholders.of(image)["dominant_color"] == "#1e1edc"


def test_the_blurhash_looks_like_the_picture() -> None:
    image = Image.new("RGB", (400, 300), files.BLUE)
    image.paste(files.RED, (0, 0, 200, 300))
    blurred = blurhash_decode(str(placeholders.of(image)["blurhash"]), 40, 30)
    left, right = blurred.getpixel((4, 15)), blurred.getpixel((35, 15))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    assert left[0] > left[2]
    assert right[2] > right[0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (33, 31)])
def test_every_mode_and_size_has_placeholders(mode: str, size: tuple[int, int]) -> None:
    found = placeholders.of(Image.new(mode, size))
    assert set(found) == {"blurhash", "dominant_color"}
    assert len(str(found["dominant_color"])) == 7


def test_transparent_places_count_as_white() -> None:
    assert placeholders.of(Image.new("RGBA", (50, 50), (0, 0, 0, 0)))["dominant_color"] == "#ffffff"
