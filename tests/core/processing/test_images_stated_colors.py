"""Colours that a picture states without an ICC profile: what is stored and its thumbnail show them.

Wanted values are what Chromium 156 shows of the uploaded files (2026-11); `tests/e2e/test_colors.py` asks it again.
"""

import struct
from pathlib import Path
from typing import TypeAlias

import pytest
from PIL import Image

from app.core.media_types import by_extension
from app.core.processing.contract import ProcessingOptions
from app.core.processing.imaging import color_profiles, heif_colors
from tests.core.processing.image_jobs import Outcome, near, run
from tests.fixtures import colored_files as colored
from tests.fixtures import image_files as files

Colors: TypeAlias = list[tuple[int, ...]]

SMALLER = ProcessingOptions(max_image_width_px=84)
KEEP = ProcessingOptions(keep_alpha=True)
PLAIN: Colors = [tuple(patch) for patch in colored.PATCHES]
LINEAR: Colors = [
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (229, 183, 133),
    (133, 196, 168),
    (188, 188, 188),
    (110, 110, 110),
]
P3: Colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (213, 115, 42), (0, 142, 97), (128, 128, 128), (40, 40, 40)]
ADOBE: Colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (224, 121, 53), (0, 141, 98), (129, 129, 129), (35, 35, 35)]
PQ: Colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 0), (0, 173, 60), (132, 132, 132), (9, 9, 9)]
HLG: Colors = [(255, 0, 0), (0, 255, 0), (0, 0, 249), (230, 76, 29), (0, 114, 74), (99, 99, 99), (22, 22, 22)]
SWAPPED: Colors = [(0, 255, 0), (255, 0, 0), (0, 0, 255), (121, 201, 57), (141, 57, 100), (129, 129, 129), (34, 34, 34)]

PNG = files.saved(colored.patches(), "PNG")
ADOBE_EXIF = colored.color_exif(0xFFFF, "R03")


def shown(outcome: Outcome) -> Colors:
    """The stored picture in sRGB."""
    image = outcome.picture
    profile = color_profiles.read(image.info.get("icc_profile"))
    return colored.seen(color_profiles.to_srgb(image if image.mode == "L" else image.convert("RGB"), profile))


def check(outcome: Outcome, wanted: Colors, *, within: int = 6) -> None:
    assert colored.farthest(shown(outcome), wanted) <= within
    assert colored.farthest(colored.seen(outcome.small), wanted) <= within + 6


@pytest.mark.parametrize("options", [None, SMALLER], ids=["as-is", "smaller"])
@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        (colored.gamma(100_000), LINEAR),
        (colored.gamma(45_455) + colored.chromaticities(colored.SWAPPED), SWAPPED),
        (colored.code_points(12, 13), P3),
        (colored.code_points(9, 16), PQ),
        (colored.code_points(9, 18), HLG),
    ],
    ids=["gAMA", "cHRM", "P3", "PQ", "HLG"],
)
def test_png_chunks_count(chunks: bytes, wanted: Colors, options: ProcessingOptions | None, tmp_path: Path) -> None:
    check(run(colored.with_chunks(PNG, chunks), "image/png", tmp_path, options=options), wanted, within=8)


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        (colored.code_points(12, 13) + files.png_chunk(b"sRGB", b"\0") + colored.gamma(100_000), P3),
        (files.png_chunk(b"sRGB", b"\0") + colored.gamma(100_000), PLAIN),
        (colored.gamma(100_000) + files.png_chunk(b"eXIf", ADOBE_EXIF[6:]), LINEAR),
        (files.png_chunk(b"sRGB", b"\0") + files.png_chunk(b"eXIf", ADOBE_EXIF[6:]), PLAIN),
    ],
    ids=["cICP before sRGB", "sRGB before gAMA", "gAMA before eXIf", "sRGB before eXIf"],
)
def test_the_chunks_of_png_have_their_order(chunks: bytes, wanted: Colors, tmp_path: Path) -> None:
    check(run(colored.with_chunks(PNG, chunks), "image/png", tmp_path), wanted)


def test_a_profile_goes_before_gamma_and_behind_code_points(tmp_path: Path) -> None:
    profiled = files.png(colored.patches(), icc_profile=files.swapping_profile())
    outcome = run(colored.with_chunks(profiled, colored.gamma(100_000)), "image/png", tmp_path)
    assert outcome.picture.info["icc_profile"] == files.swapping_profile()
    assert "color" not in outcome.file.properties
    check(run(colored.with_chunks(profiled, colored.code_points(12, 13)), "image/png", tmp_path), P3)


@pytest.mark.parametrize(
    "chunks",
    [
        colored.gamma(0),
        colored.gamma(1),
        colored.gamma(0xFFFFFFFF),
        colored.gamma(45_455),
        colored.chromaticities(colored.P3),
        colored.gamma(100_000) + colored.chromaticities((0.0,) * 8),
        colored.gamma(100_000) + colored.chromaticities((0.3,) * 8),
        colored.gamma(100_000) + colored.chromaticities((0.3127, 0.0, *colored.P3[2:])),
        colored.gamma(100_000) + colored.chromaticities((0.9, 0.05, *colored.P3[2:])),
        colored.gamma(100_000) + colored.chromaticities((20_000.0, *colored.P3[1:])),
        colored.code_points(2, 2),
        colored.code_points(99, 16),
        colored.code_points(9, 255),
        colored.code_points(9, 16, matrix=9),
        colored.code_points(9, 16, full_range=0),
        files.png_chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"),
    ],
)  # fmt: skip
def test_values_without_a_meaning_leave_srgb(chunks: bytes, tmp_path: Path) -> None:
    outcome = run(colored.with_chunks(PNG, chunks), "image/png", tmp_path)
    check(outcome, PLAIN, within=0)
    assert {"color", "hdr", "icc_profile"} & set(outcome.file.properties) == set()
    assert "icc_profile" not in outcome.picture.info


@pytest.mark.parametrize("mode", ["P", "L", "LA", "RGBA", "I;16"])
def test_gamma_counts_in_every_mode(mode: str, tmp_path: Path) -> None:
    grey = mode in ("L", "LA", "I;16")
    picture = Image.new("L", colored.patches().size, 128) if grey else Image.new("RGB", (64, 48), (128, 20, 200))
    picture = picture.quantize(2) if mode == "P" else picture.convert(mode if mode != "I;16" else "L")
    data = files.grey16([0x8080] * 4) if mode == "I;16" else files.saved(picture, "PNG")
    outcome = run(colored.with_chunks(data, colored.gamma(100_000)), "image/png", tmp_path)
    wanted = (188, 188, 188) if grey else (188, 79, 229)
    assert near(outcome.small, (0.5, 0.5), wanted, within=4)
    profile = color_profiles.read(outcome.picture.info["icc_profile"])
    assert profile is not None
    assert profile.mode == ("L" if outcome.picture.mode in ("L", "LA") else "RGB")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("options", [None, SMALLER, KEEP], ids=["as-is", "smaller", "keep"])
def test_what_shows_through_is_mixed_as_srgb(mode: str, options: ProcessingOptions | None, tmp_path: Path) -> None:
    picture = Image.new("RGBA", (168, 48), (0, 0, 0, 128)).convert(mode)
    data = colored.with_chunks(files.saved(picture, "PNG"), colored.gamma(100_000))
    outcome = run(data, "image/png", tmp_path, options=options)
    for image in (outcome.picture, outcome.small):
        layer = image.convert("RGBA")
        ground = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        assert near(ground, (0.5, 0.5), (127, 127, 127), within=2), "black of half on white, as any browser shows it"


def test_animations_keep_their_colors(tmp_path: Path) -> None:
    frames = {"save_all": True, "append_images": [colored.patches().transpose(Image.Transpose.ROTATE_180)]}
    apng = files.saved(colored.patches(), "PNG", duration=100, **frames)
    grey = files.saved(
        colored.patches("L"), "PNG", duration=100, save_all=True, append_images=[Image.new("L", (168, 24))]
    )
    check(run(colored.with_chunks(apng, colored.code_points(9, 16)), "image/png", tmp_path), PQ)
    check(run(colored.with_chunks(apng, colored.gamma(100_000)), "image/png", tmp_path), LINEAR)
    outcome = run(colored.with_chunks(grey, colored.gamma(100_000)), "image/png", tmp_path)
    assert near(outcome.small, (5.5 / 7, 0.5), (188, 188, 188), within=4)
    check(run(colored.avif(12, 13, **frames), "image/avif", tmp_path), P3, within=24)


@pytest.mark.parametrize(
    ("primaries", "transfer", "wanted"),
    [(12, 13, P3), (9, 16, PQ), (9, 18, HLG), (1, 1, PLAIN), (2, 2, PLAIN), (255, 255, PLAIN), (1, 8, LINEAR)],
)
def test_avif_says_its_colors_by_code_points(primaries: int, transfer: int, wanted: Colors, tmp_path: Path) -> None:
    check(run(colored.avif(primaries, transfer), "image/avif", tmp_path), wanted, within=14)


@pytest.mark.parametrize(
    ("code_points", "is_full_range", "wanted"),
    [
        ((12, 13, 6), True, P3),
        ((12, 13, 1), False, P3),
        ((9, 16, 9), False, PQ),
        ((9, 18, 9), True, HLG),
        ((1, 13, 1), False, PLAIN),
    ],
)
def test_heic_says_its_colors_by_code_points(
    code_points: tuple[int, int, int], is_full_range: bool, wanted: Colors, tmp_path: Path
) -> None:
    primaries, transfer, matrix = code_points
    data = colored.heic(primaries, transfer, matrix=matrix, full_range=int(is_full_range))
    check(run(data, "image/heic", tmp_path), wanted, within=10)


def test_what_the_boxes_leave_out_the_coded_picture_says(tmp_path: Path) -> None:
    # x265 writes the code points into its parameter sets as well; the box becomes one without a meaning.
    data = colored.heic(9, 16, matrix=9, full_range=0).replace(b"colrnclx", b"freenclx")
    outcome = run(data, "image/heic", tmp_path)
    assert outcome.file.properties["hdr"] is True
    check(outcome, PQ, within=10)


def test_the_brightest_pixel_decides_how_far_light_is_pressed(tmp_path: Path) -> None:
    grey = files.saved(Image.new("RGB", (8, 8), (192, 192, 192)), "PNG")
    shades = []
    for nits in (1000, 4000):
        light = files.png_chunk(b"cLLI", struct.pack(">II", nits * 10_000, 0))
        outcome = run(colored.with_chunks(grey, colored.code_points(9, 16) + light), "image/png", tmp_path)
        shades.append(colored.seen(outcome.picture)[0][0])
    assert shades == pytest.approx([255, 226], abs=2)


@pytest.mark.parametrize("options", [None, SMALLER], ids=["as-is", "smaller"])
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("space", "rule"), [(0xFFFF, "R03"), (None, "R03"), (2, None)])
def test_adobe_rgb_of_exif_counts(
    format_name: str, space: int | None, rule: str | None, options: ProcessingOptions | None, tmp_path: Path
) -> None:
    lossless = {"lossless": True} if format_name == "WEBP" else {"quality": 80, "subsampling": 0}
    data = files.saved(colored.patches(), format_name, exif=colored.color_exif(space, rule), **lossless)
    outcome = run(data, f"image/{format_name.lower()}", tmp_path, options=options)
    check(outcome, ADOBE, within=8)
    assert b"R03" not in outcome.main


def test_adobe_rgb_of_a_jpeg_whose_pixels_are_kept(tmp_path: Path) -> None:
    data = files.saved(colored.patches(), "JPEG", quality=60, exif=ADOBE_EXIF)
    outcome = run(data, "image/jpeg", tmp_path)
    assert data[data.index(b"\xff\xda") :] == outcome.main[outcome.main.index(b"\xff\xda") :]
    check(outcome, ADOBE, within=24)


@pytest.mark.parametrize(("space", "rule"), [(1, "R03"), (0xFFFF, "R98"), (0xFFFF, None), (None, None)])
def test_other_exif_leaves_srgb(space: int | None, rule: str | None, tmp_path: Path) -> None:
    data = files.saved(colored.patches(), "JPEG", quality=90, subsampling=0, exif=colored.color_exif(space, rule))
    outcome = run(data, "image/jpeg", tmp_path)
    assert "icc_profile" not in outcome.picture.info
    assert "color" not in outcome.file.properties


def test_a_profile_goes_before_code_points_and_exif(tmp_path: Path) -> None:
    profile = files.swapping_profile()
    for mime_type, options in (("image/jpeg", {"exif": ADOBE_EXIF}), ("image/avif", {})):
        data = files.saved(colored.patches(), mime_type.removeprefix("image/").upper(), icc_profile=profile, **options)
        outcome = run(colored.patched_nclx(data, 9, 16), mime_type, tmp_path)
        assert outcome.picture.info["icc_profile"] == profile
        assert "hdr" not in outcome.file.properties


def test_the_properties_say_what_srgb_cannot_show(tmp_path: Path) -> None:
    hdr = run(colored.avif(9, 16), "image/avif", tmp_path).file.properties
    assert hdr["hdr"] is True
    assert hdr["color"] == {
        "stated_by": "nclx",
        "primaries": "bt2020",
        "transfer": "pq",
        "exceeds_srgb": True,
        "stored_as": "tone_mapped",
    }
    linear = run(colored.with_chunks(PNG, colored.gamma(55_556)), "image/png", tmp_path).file.properties
    assert linear["color"] == {
        "stated_by": "gamma",
        "primaries": "bt709",
        "transfer": "gamma",
        "gamma": 1.8,
        "exceeds_srgb": False,
        "stored_as": "icc_profile",
    }


@pytest.mark.parametrize("end", range(0, 420, 7))
def test_boxes_that_cannot_be_followed_are_no_statement(end: int) -> None:
    whole = colored.avif(12, 13)
    assert heif_colors.read(whole) == heif_colors.HeifColors(12, 13, None)
    for cut in (whole[:end], whole[:end] + b"\xff" * 8 + whole[end + 8 :], whole[:end] + bytes(8) + whole[end + 8 :]):
        said = heif_colors.read(cut)
        assert said is None or isinstance(said.primaries, int)


def test_hif_is_heic() -> None:
    assert [row.mime_type for row in by_extension("hif")] == ["image/heic"]
