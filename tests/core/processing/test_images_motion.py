"""Animations keep their frames, their time and their loop."""

from pathlib import Path

import pytest
from PIL import Image

from app.core.processing.contract import ProcessingOptions
from tests.core.processing.image_jobs import near, run
from tests.fixtures import image_files as files

ANIMATED = ["GIF", "PNG", "WEBP", "AVIF"]
SMALLER = ProcessingOptions(max_image_width_px=30, max_image_height_px=30)


def frame_count(image: Image.Image) -> object:
    return getattr(image, "n_frames", 1)


@pytest.mark.parametrize("format_name", ANIMATED)
@pytest.mark.parametrize("options", [None, SMALLER], ids=["as-is", "smaller"])
def test_animations_keep_frames_time_and_loop(
    format_name: str, options: ProcessingOptions | None, tmp_path: Path
) -> None:
    outcome = run(files.animated(format_name), f"image/{format_name.lower()}", tmp_path, options=options)
    picture = outcome.picture
    assert picture.format == format_name
    assert frame_count(picture) == 3
    assert picture.size == ((60, 40) if options is None else (30, 20))
    for index in range(3):
        picture.seek(index)
        picture.load()
        assert picture.info["duration"] == 70
        for spot in range(3):
            color = files.RED if spot == index else files.BLUE
            assert near(picture, ((spot + 0.5) / 3, 0.5), color, within=45 if format_name in ("WEBP", "AVIF") else 4)
    if format_name != "AVIF":
        assert picture.info["loop"] == 0
    properties = outcome.file.properties
    assert (properties["animated"], properties["frames"], properties["animation_duration_s"]) == (True, 3, 0.21)
    assert near(outcome.small, (1 / 6, 0.5), files.RED, within=45)


def test_a_gif_that_plays_once_still_does(tmp_path: Path) -> None:
    data = files.saved(
        files.moving_frame(0, 2, (40, 40)), "GIF", save_all=True, append_images=[files.moving_frame(1, 2, (40, 40))]
    )
    assert "loop" not in run(data, "image/gif", tmp_path).picture.info


@pytest.mark.parametrize("options", [None, SMALLER], ids=["as-is", "smaller"])
def test_see_through_gif_frames_become_white(options: ProcessingOptions | None, tmp_path: Path) -> None:
    picture = run(files.see_through_gif(), "image/gif", tmp_path, options=options).picture
    assert frame_count(picture) == 3
    for index in range(3):
        picture.seek(index)
        for spot in range(3):
            color = files.RED if spot == index else (255, 255, 255)
            assert near(picture, ((spot + 0.5) / 3, 0.5), color, within=6)


def test_see_through_gif_frames_stay_so_on_request(tmp_path: Path) -> None:
    picture = run(files.see_through_gif(), "image/gif", tmp_path, options=ProcessingOptions(keep_alpha=True)).picture
    for index in range(3):
        picture.seek(index)
        alpha = picture.convert("RGBA").getchannel("A")
        assert [alpha.getpixel((10 + 20 * spot, 20)) for spot in range(3)] == [
            255 if spot == index else 0 for spot in range(3)
        ]


def test_the_default_image_of_an_apng_is_no_frame(tmp_path: Path) -> None:
    frames = [files.moving_frame(index, 3, (60, 40)) for index in range(3)]
    data = files.saved(
        Image.new("RGB", (60, 40), "white"), "PNG", save_all=True, append_images=frames, default_image=True
    )
    outcome = run(data, "image/png", tmp_path)
    assert frame_count(outcome.picture) == 3
    assert outcome.file.properties["frames"] == 3


def test_the_thumbnail_shows_the_first_frame_that_shows_something(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (60, 40), "black"), files.quarters(60, 40)]
    data = files.saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert near(run(data, "image/gif", tmp_path).small, (0.25, 0.25), files.RED)
