"""Videos: what is read out of real ones, also turned and stretched ones, and the frame that stands for them."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from app.core.media_types import by_mime_type
from app.core.processing.contract import ProcessingOptions
from tests.fixtures.av_files import BLUE, GREEN, RED, WHITE, quarters, write_video
from tests.fixtures.av_results import Color, corners, distance, seen, shown

KINDS = [
    ("video/mp4", "mp4", "libx264", "aac", "mov", "h264", "aac", 2.0),
    ("video/mp4", "mp4", "mpeg4", None, "mov", "mpeg4", None, 2.0),
    ("video/quicktime", "mov", "mjpeg", "pcm_s16le", "mov", "mjpeg", "pcm_s16le", 2.0),
    ("video/webm", "webm", "libvpx", "libopus", "matroska", "vp8", "opus", 2.008),
    ("video/webm", "webm", "libvpx-vp9", None, "matroska", "vp9", None, 2.0),
    ("video/x-msvideo", "avi", "mpeg4", "libmp3lame", "avi", "mpeg4", "mp3", 2.04),
    ("video/mpeg", "mpeg", "mpeg2video", "mp2", "mpeg", "mpeg2video", "mp2", 2.016),
    ("video/mpeg", "mpeg1video", "mpeg1video", None, "mpegvideo", "mpeg1video", None, 2.0),
    ("video/mpeg", "mpegts", "mpeg2video", None, "mpegts", "mpeg2video", None, 2.0),
]


@pytest.mark.parametrize(("mime", "muxer", "codec", "sound", "container", "name", "sound_name", "seconds"), KINDS)
def test_facts_of_every_container(
    tmp_path: Path,
    *,
    mime: str,
    muxer: str,
    codec: str,
    sound: str | None,
    container: str,
    name: str,
    sound_name: str | None,
    seconds: float,
) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(tmp_path / "v", container=muxer, codec=codec, audio_codec=sound, pix_fmt=pix_fmt)
    result = seen(path, mime)
    facts = result.properties
    assert (result.mime_type, result.main_path) == (mime, None)
    assert result.extension == by_mime_type(mime).extensions[0]
    assert (result.width_px, result.height_px) == (64, 48)
    assert result.duration_s == pytest.approx(seconds, abs=0.001)
    assert facts["duration_s"] == pytest.approx(seconds, abs=0.001)
    assert (facts["container"], facts["video_codec"], facts["frame_rate"]) == (container, name, 25.0)
    assert facts["audio_codecs"] == ([sound_name] if sound_name else [])
    assert (facts["has_audio"], facts["audio_tracks"]) == (bool(sound), int(bool(sound)))
    assert (facts["rotation"], facts["hdr"]) == (0, False)
    assert facts["bit_rate"] == pytest.approx(path.stat().st_size * 8 / seconds, rel=0.01)
    assert corners(shown(result.poster)) == [RED, GREEN, BLUE, WHITE]
    assert corners(shown(result.thumbnail)) == [RED, GREEN, BLUE, WHITE]
    assert {"blurhash", "dominant_color"} <= facts.keys()


@pytest.mark.parametrize(
    ("counter_clockwise", "mirrored", "rotation", "expected"),
    [
        (0, False, 0, [RED, GREEN, BLUE, WHITE]),
        (-90, False, 90, [BLUE, RED, WHITE, GREEN]),
        (180, False, 180, [WHITE, BLUE, GREEN, RED]),
        (90, False, 270, [GREEN, WHITE, RED, BLUE]),
        (0, True, 0, [GREEN, RED, WHITE, BLUE]),
        (180, True, 0, [BLUE, WHITE, RED, GREEN]),
    ],
)
def test_a_turned_video_is_measured_and_shown_upright(
    tmp_path: Path, *, counter_clockwise: float, mirrored: bool, rotation: int, expected: list[Color]
) -> None:
    path = write_video(tmp_path / "v", rotation=counter_clockwise, mirrored=mirrored, frames=10)
    result = seen(path)
    sideways = rotation in (90, 270)
    assert result.properties["rotation"] == rotation
    assert (result.width_px, result.height_px) == ((48, 64) if sideways else (64, 48))
    assert shown(result.poster).size == (result.width_px, result.height_px)
    assert corners(shown(result.poster)) == expected


def test_pixels_that_are_not_square_stretch_the_width(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "v", container="mpeg", codec="mpeg2video", size=(72, 48), pixel_aspect=Fraction(32, 27), frames=10
    )
    result = seen(path, "video/mpeg")
    assert (result.width_px, result.height_px) == (85, 48)
    assert shown(result.poster).size == (85, 48)


def test_turned_and_stretched_exchanges_the_sides_after_stretching(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", size=(64, 48), pixel_aspect=Fraction(2), rotation=-90, frames=10)
    result = seen(path)
    assert (result.width_px, result.height_px) == (48, 128)
    assert corners(shown(result.poster)) == [BLUE, RED, WHITE, GREEN]


@pytest.mark.parametrize("size", [(33, 17), (2, 2), (130, 2), (1, 1)])
def test_odd_and_tiny_sizes_survive(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_video(tmp_path / "v", container="avi", codec="mjpeg", size=size, pix_fmt="yuvj444p", frames=5)
    result = seen(path, "video/x-msvideo")
    assert (result.width_px, result.height_px) == size
    assert shown(result.poster).size == size


def test_poster_and_thumbnail_fit_their_boxes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", size=(640, 360), frames=5)
    options = ProcessingOptions(
        poster_width_px=320, poster_height_px=320, thumbnail_width_px=50, thumbnail_height_px=40
    )
    result = seen(path, options=options)
    assert shown(result.poster).size == (320, 180)
    assert shown(result.thumbnail).size == (50, 28)


def _after(first: int, before: Color) -> Callable[[int, tuple[int, int]], Image.Image]:
    return lambda number, size: quarters(number, size) if number >= first else Image.new("RGB", size, before)


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255)])
@pytest.mark.parametrize("gop", [10, 500])
def test_a_blank_intro_is_not_the_poster(tmp_path: Path, color: Color, gop: int) -> None:
    path = write_video(tmp_path / "v", frames=150, scene=_after(60, color), gop=gop)
    assert corners(shown(seen(path).poster)) == [RED, GREEN, BLUE, WHITE]


def test_a_picture_after_a_very_long_black_intro_is_found(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", frames=300, scene=_after(270, (0, 0, 0)), gop=500)
    assert corners(shown(seen(path).poster)) == [RED, GREEN, BLUE, WHITE]


def test_a_sharp_frame_is_preferred_to_a_cross_fade(tmp_path: Path) -> None:
    def scene(number: int, size: tuple[int, int]) -> Image.Image:
        gray = Image.new("RGB", size, (128, 128, 128))
        return Image.blend(gray, quarters(number, size), 0.2 if number < 35 else 1.0)

    path = write_video(tmp_path / "v", frames=200, scene=scene, gop=10)
    assert distance(RED, shown(seen(path).poster).getpixel((8, 8))) < 90


def test_the_poster_is_taken_near_a_tenth_when_all_frames_are_good(tmp_path: Path) -> None:
    def scene(number: int, size: tuple[int, int]) -> Image.Image:
        image = quarters(number, size)
        image.paste((number, 255 - number, 0), (0, 0, 24, 24))
        return image

    path = write_video(tmp_path / "v", frames=200, scene=scene, gop=5)
    pixel = shown(seen(path).poster).getpixel((8, 8))
    assert isinstance(pixel, tuple)
    assert pixel[0] == pytest.approx(20, abs=12)


def test_a_black_video_has_a_black_poster(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", frames=20, scene=_after(10**6, (0, 0, 0)))
    assert shown(seen(path).poster).getextrema()[0][1] < 20  # type: ignore[index, unused-ignore]


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_told_and_shown_in_ordinary_brightness(tmp_path: Path, transfer: int, name: str) -> None:
    def gray(_: int, size: tuple[int, int]) -> Image.Image:
        level = 148 if name == "PQ" else 191  # diffuse white: 58 % of PQ, 75 % of HLG
        image = Image.new("RGB", size, (level, level, level))
        image.paste((0, 0, 0), (0, 0, size[0] // 2, size[1]))
        return image

    path = write_video(tmp_path / "v", codec="libx264", pix_fmt="yuv420p10le", transfer=transfer, scene=gray, frames=10)
    result = seen(path)
    assert result.properties["hdr"] is True
    white = shown(result.poster).getpixel((56, 24))
    assert isinstance(white, tuple)
    assert all(180 <= level <= 195 for level in white), "what a browser shows while the film plays"


def test_a_recording_without_duration_is_walked(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "v", container="webm", codec="libvpx", audio_codec="libopus", muxer_options={"live": "1"}
    )
    assert seen(path, "video/webm").duration_s == pytest.approx(2.0, abs=0.03)


def test_a_fragmented_recording_has_its_whole_duration(tmp_path: Path) -> None:
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    path = write_video(tmp_path / "v", frames=250, muxer_options=flags)
    assert seen(path).duration_s == pytest.approx(10.0, abs=0.05)


def test_tags_are_cleaned_and_the_place_is_left_out(tmp_path: Path) -> None:
    tags = {
        "title": "  A\u202ffine\r\nday\x07 " + "x" * 2_000,
        "artist": "Zoë",
        "creation_time": "2024-05-06T07:08:09.000000Z",
        "location": "+48.2082+016.3738/",
        "com.apple.quicktime.location.ISO6709": "+48.2082+016.3738/",
        "com.apple.quicktime.make": "Acme",
        "comment": "secret",
    }
    path = write_video(tmp_path / "v", frames=5, tags=tags, muxer_options={"movflags": "use_metadata_tags"})
    facts = seen(path).properties
    title = facts["title"]
    assert isinstance(title, str)
    assert title.startswith("A fine day xxx")
    assert len(title) <= 500
    assert (facts["artist"], facts["taken_at"]) == ("Zoë", "2024-05-06T07:08:09Z")
    assert "48.2" not in str(facts)
    assert "secret" not in str(facts)


def test_the_place_in_the_classic_atom_is_left_out(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", container="mov", frames=5, tags={"location": "+48.2082+016.3738/"})
    assert b"+48.2082" in path.read_bytes()
    assert "48.2" not in str(seen(path, "video/quicktime").properties)


def test_a_clock_that_was_never_set_is_no_date(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", frames=5, tags={"creation_time": "1904-01-01T00:00:00.000000Z"})
    assert "taken_at" not in seen(path).properties


@pytest.mark.parametrize(("name", "extension"), [("a.M4V", "m4v"), ("a.mp4", "mp4"), ("a.mov", "mp4"), ("a", "mp4")])
def test_the_extension_stays_when_the_type_allows_it(tmp_path: Path, name: str, extension: str) -> None:
    assert seen(write_video(tmp_path / "v", frames=5), filename=name).extension == extension


def test_the_file_itself_is_not_touched(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", frames=5)
    before = path.read_bytes()
    seen(path)
    assert path.read_bytes() == before
