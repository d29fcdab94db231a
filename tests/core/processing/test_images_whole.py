"""A picture is judged by its pixels: whole ones are taken whatever their ends look like, cut ones are not."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from app.core.errors import InvalidUpload, UnreadableFile, UnsupportedFileType
from app.core.processing.contract import ProcessingOptions
from tests.core.processing.image_jobs import decoded, run
from tests.fixtures import image_files as files

SMALLER = ProcessingOptions(max_image_width_px=200, max_image_height_px=160)
OPTIONS = pytest.mark.parametrize("options", [None, SMALLER], ids=["as-is", "smaller"])
PHOTO = files.photo(320, 240)
END = b"\xff\xd9"

JPEGS: dict[str, Callable[[], bytes]] = {
    "baseline": lambda: files.jpeg(PHOTO),
    "of high quality": lambda: files.jpeg(PHOTO, quality=97),
    "progressive": lambda: files.jpeg(PHOTO, progressive=True),
    "with restart markers": lambda: files.jpeg(PHOTO, restart_marker_blocks=4),
    "grey": lambda: files.jpeg(PHOTO.convert("L")),
    "cmyk": lambda: files.jpeg(PHOTO.convert("CMYK")),
    "turned": lambda: files.jpeg(files.photo(240, 320), orientation=6),
    "plain": lambda: files.jpeg(files.quarters(320, 240)),
}
ENDINGS = {
    "nothing": b"",
    "half a marker": b"\xff",
    "zeros": bytes(3_000),
    "filling bytes": b"\xff" * 300,
    "text": files.SECRET * 30,
    "noise": random.Random(1).randbytes(2_000),
    "another picture": files.jpeg(files.quarters())[:-2],
}
MISSING = {
    "half": lambda scan: scan[: len(scan) // 2],
    "half, the end marker put back": lambda scan: scan[: len(scan) // 2] + END,
    "half, padded": lambda scan: scan[: len(scan) // 2] + bytes(9_000),
    "half and text": lambda scan: scan[: len(scan) // 2] + b"the other half" * 100,
    "a tenth": lambda scan: scan[: len(scan) * 9 // 10],
}


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of the values of two pictures of one size."""
    return max(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean)


@OPTIONS
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_without_an_end_marker_is_whole(
    kind: str, ending: str, options: ProcessingOptions | None, tmp_path: Path
) -> None:
    data = JPEGS[kind]()
    assert data.endswith(END)
    (tmp_path / "whole").mkdir()
    wanted = run(data, "image/jpeg", tmp_path / "whole", options=options)
    outcome = run(data[:-2] + ENDINGS[ending], "image/jpeg", tmp_path, options=options)
    assert outcome.picture.size == wanted.picture.size
    assert difference(outcome.picture, wanted.picture) < 8
    assert outcome.main.endswith(END)
    assert files.SECRET not in outcome.main


@OPTIONS
@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_of_which_a_part_is_missing_is_refused(
    kind: str, missing: str, options: ProcessingOptions | None, tmp_path: Path
) -> None:
    with pytest.raises(UnreadableFile):
        run(MISSING[missing](JPEGS[kind]()[:-2]), "image/jpeg", tmp_path, options=options)


@OPTIONS
def test_a_jpeg_that_lacks_its_last_scans_is_refused_only_when_it_was_cut(
    options: ProcessingOptions | None, tmp_path: Path
) -> None:
    data = files.jpeg(PHOTO, progressive=True)
    fewer_scans = data[: data.rindex(b"\xff\xda")]
    with pytest.raises(UnreadableFile):
        run(fewer_scans, "image/jpeg", tmp_path, options=options)
    assert run(fewer_scans + END, "image/jpeg", tmp_path, options=options).picture.size in (PHOTO.size, (200, 150))


@pytest.mark.parametrize(("marker", "bits", "says"), [(0xC1, 12, "12 bits"), (0xC3, 8, "lossless"), (0xC2, 12, "12")])
def test_the_sentence_names_the_kind_of_jpeg_that_nobody_shows(
    marker: int, bits: int, says: str, tmp_path: Path
) -> None:
    data = bytearray(files.jpeg(PHOTO))
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4] = marker, bits
    with pytest.raises(UnsupportedFileType, match=says):
        run(bytes(data), "image/jpeg", tmp_path)


def test_a_plain_corner_alone_says_nothing(tmp_path: Path) -> None:
    """Every cut of a picture with a plain end is refused or shows all the same, and the whole one is taken."""
    data = files.jpeg(files.quarters(320, 240))
    for missing in (0, 1, 2, 3, 5):
        try:
            outcome = run(data[: len(data) - 2 - missing] + END, "image/jpeg", tmp_path)
        except InvalidUpload:
            assert missing
        else:
            assert difference(outcome.picture, decoded(data)) < 1
