"""Nothing but the picture is stored: no metadata, no comments, no luggage; and no pixel is lost for nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.core.errors import InvalidUpload, UnreadableFile
from app.core.processing.contract import ProcessingOptions
from tests.core.processing.image_jobs import Outcome, corners_are_right, decoded, run
from tests.fixtures import image_files as files

SMALLER = ProcessingOptions(max_image_width_px=32, max_image_height_px=32)
ARCHIVE_MARKS = (b"PK\x03\x04", b"PK\x05\x06", b"<script")


def assert_clean(outcome: Outcome) -> None:
    for data in (outcome.main, outcome.thumbnail):
        assert files.SECRET not in data
        assert b"GPS" not in data
        assert b"xmp" not in data.lower()
        assert not any(mark in data for mark in ARCHIVE_MARKS)
    assert files.SECRET.decode() not in json.dumps(outcome.file.properties)


@pytest.mark.parametrize(
    ("mime_type", "make"),
    [
        ("image/jpeg", files.jpeg),
        ("image/png", files.png),
        ("image/webp", files.webp),
        ("image/heic", files.heic),
    ],
)
@pytest.mark.parametrize("options", [None, SMALLER], ids=["as-is", "smaller"])
def test_metadata_stays_behind(
    mime_type: str, make: Callable[..., bytes], options: ProcessingOptions | None, tmp_path: Path
) -> None:
    data = make(files.quarters(), with_secrets=True)
    assert files.SECRET in data
    outcome = run(data, mime_type, tmp_path, options=options)
    assert_clean(outcome)
    camera = outcome.file.properties["exif"]
    assert isinstance(camera, dict)
    assert camera["model"] == "EOS R5"
    assert corners_are_right(outcome.picture, files.CORNERS, within=16)


@pytest.mark.parametrize("mime_type", files.MAKERS)
@pytest.mark.parametrize("options", [None, SMALLER], ids=["as-is", "smaller"])
def test_an_appended_archive_stays_behind(mime_type: str, options: ProcessingOptions | None, tmp_path: Path) -> None:
    outcome = run(files.MAKERS[mime_type](files.quarters()) + files.zip_archive(), mime_type, tmp_path, options=options)
    assert_clean(outcome)
    assert corners_are_right(outcome.picture, files.CORNERS, within=16)


def test_an_archive_inside_the_last_scan_of_a_jpeg_stays_behind(tmp_path: Path) -> None:
    data = files.jpeg(files.quarters(), quality=70)
    outcome = run(data[:-2] + files.zip_archive() + data[-2:], "image/jpeg", tmp_path)
    assert_clean(outcome)
    assert corners_are_right(outcome.picture, files.CORNERS)


def test_gif_comments_stay_behind(tmp_path: Path) -> None:
    data = files.animated("GIF", comment=files.SECRET)
    assert files.SECRET in data
    assert_clean(run(data, "image/gif", tmp_path))


def test_a_jpeg_that_needs_nothing_keeps_its_pixels(tmp_path: Path) -> None:
    data = files.jpeg(files.photo(320, 240), quality=85, with_secrets=True)
    outcome = run(data, "image/jpeg", tmp_path)
    assert_clean(outcome)
    assert outcome.picture.tobytes() == decoded(data).tobytes()
    assert len(outcome.main) < len(data)
    assert data.split(b"\xff\xda")[-1] in outcome.main
    assert outcome.picture.info["jfif_version"] == (1, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"progressive": True},
        {"restart_marker_blocks": 4},
        {"subsampling": "4:4:4"},
        {"icc_profile": files.swapping_profile()},
    ],
    # Not the values: a profile carries the second in which it was made, and processes would disagree.
    ids=" ".join,
)
def test_many_kinds_of_jpeg_keep_their_pixels(options: dict[str, Any], tmp_path: Path) -> None:
    data = files.jpeg(files.photo(320, 240), quality=75, **options)
    outcome = run(data, "image/jpeg", tmp_path)
    assert outcome.picture.tobytes() == decoded(data).tobytes()
    assert data.split(b"\xff\xda", 1)[-1] in outcome.main


def test_a_grey_jpeg_keeps_its_pixels(tmp_path: Path) -> None:
    data = files.jpeg(files.photo(320, 240).convert("L"), quality=80)
    outcome = run(data, "image/jpeg", tmp_path)
    assert (outcome.picture.mode, outcome.picture.tobytes()) == ("L", decoded(data).tobytes())


def test_a_jpeg_of_rgb_components_keeps_its_colors(tmp_path: Path) -> None:
    data = files.jpeg(files.quarters(), quality=70, keep_rgb=True)
    outcome = run(data, "image/jpeg", tmp_path)
    assert corners_are_right(outcome.picture, files.CORNERS)


def test_a_jpeg_of_higher_quality_is_encoded_again(tmp_path: Path) -> None:
    data = files.jpeg(files.photo(320, 240), quality=97)
    outcome = run(data, "image/jpeg", tmp_path)
    assert len(outcome.main) < 0.7 * len(data)


def test_lossless_webp_stays_lossless(tmp_path: Path) -> None:
    picture = files.photo(120, 90)
    outcome = run(files.webp(picture, lossless=True), "image/webp", tmp_path)
    assert outcome.picture.convert("RGB").tobytes() == picture.tobytes()


@pytest.mark.parametrize("mime_type", files.MAKERS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
def test_a_truncated_file_is_refused(mime_type: str, share: float, tmp_path: Path) -> None:
    data = files.MAKERS[mime_type](files.photo(96, 64))
    with pytest.raises(UnreadableFile):
        run(data[: int(len(data) * share)], mime_type, tmp_path)


@pytest.mark.parametrize("mime_type", files.MAKERS)
def test_noise_is_refused_or_survived(mime_type: str, tmp_path: Path) -> None:
    data = bytearray(files.MAKERS[mime_type](files.photo(96, 64)))
    for step in (3, 17, 41):
        noisy = bytearray(data)
        noisy[20::step] = bytes(byte ^ 0x5A for byte in noisy[20::step])
        try:
            outcome = run(bytes(noisy), mime_type, tmp_path)
        except InvalidUpload:
            continue
        assert isinstance(outcome.picture, Image.Image)


@pytest.mark.parametrize("mime_type", files.MAKERS)
@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8\xff\xd9", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"]
)
def test_stumps_are_refused(mime_type: str, data: bytes, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        run(data, mime_type, tmp_path)


def test_only_the_decoder_of_the_type_is_tried(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        run(files.png(files.quarters()), "image/gif", tmp_path)
