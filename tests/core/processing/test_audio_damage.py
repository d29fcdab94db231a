"""Covers and damage: what a hostile or broken sound file costs, which is never more than that part of it."""

import struct
from pathlib import Path

import pytest

from app.core.errors import InvalidUpload, UnreadableFile
from app.core.processing.contract import ProcessingOptions
from tests.fixtures.av_files import id3, jpeg, write_audio, write_video
from tests.fixtures.av_results import heard, shown


def _covered_mp3(tmp_path: Path, cover: bytes, *, tail: bytes = b"") -> Path:
    path = write_audio(tmp_path / "a", container="mp3", codec="libmp3lame", seconds=0.5)
    path.write_bytes(id3(texts={"TIT2": b"\x00Song"}, cover=cover) + path.read_bytes() + tail)
    return path


def test_the_cover_of_an_mp3_is_its_thumbnail(tmp_path: Path) -> None:
    result = heard(_covered_mp3(tmp_path, jpeg((600, 400), (20, 160, 40))))
    assert result.properties["has_cover"] is True
    assert {"blurhash", "dominant_color"} <= result.properties.keys()
    picture = shown(result.thumbnail)
    assert picture.size == (300, 200)
    assert picture.getpixel((150, 100)) == pytest.approx((20, 160, 40), abs=6)
    assert result.waveform is not None
    assert result.duration_s == pytest.approx(0.5, abs=0.05)


def test_the_cover_of_an_m4a_is_its_thumbnail(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a", container="mp4", codec="aac", seconds=0.3, cover=jpeg())
    assert shown(heard(path, "audio/mp4").thumbnail).size == (64, 64)


@pytest.mark.parametrize(
    "cover",
    [
        jpeg()[:200],
        b"\xff\xd8\xff\xe0" + bytes(300),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"not a picture",
    ],
)
def test_a_cover_that_cannot_be_read_costs_only_the_cover(tmp_path: Path, cover: bytes) -> None:
    result = heard(_covered_mp3(tmp_path, cover))
    assert (result.properties["has_cover"], result.properties["title"]) == (False, "Song")
    assert shown(result.thumbnail).size == (300, 150)


def test_a_cover_with_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    path = _covered_mp3(tmp_path, jpeg((200, 200)))
    for limit, is_shown in ((39_999, False), (40_000, True)):
        result = heard(path, options=ProcessingOptions(max_image_pixels=limit))
        assert result.properties["has_cover"] is is_shown


def test_video_alone_is_no_sound(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no sound"):
        heard(write_video(tmp_path / "v", frames=5), "audio/mp4")


def test_frames_of_noise_leave_a_sound_without_waveform_or_are_refused(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a", container="ipod", codec="alac", seconds=1)
    data = path.read_bytes()
    at = data.index(b"mdat") + 4
    path.write_bytes(data[:at] + b"\xff" * 5_000 + data[at + 5_000 :])
    result = heard(path, "audio/mp4")
    assert result.duration_s == pytest.approx(1.0, abs=0.01)
    assert result.properties["audio_codec"] == "alac"


def test_damage_in_the_middle_does_not_end_the_sound(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a", container="mp3", codec="libmp3lame", seconds=4)
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + b"\x00" * 1_500 + data[middle + 1_500 :])
    assert heard(path).duration_s == pytest.approx(4.0, abs=0.25)


@pytest.mark.parametrize(
    ("offset", "form", "value"),
    [
        (4, "<I", 0xFFFFFFFF),
        (16, "<I", 0xFFFFFFF0),
        (22, "<H", 0),
        (22, "<H", 65_535),
        (24, "<I", 0),
        (24, "<I", 0xFFFFFFFF),
        (28, "<I", 0),
        (32, "<H", 0),
        (34, "<H", 65_535),
    ],
)
def test_absurd_wav_headers_are_bounded(tmp_path: Path, offset: int, form: str, value: int) -> None:
    path = write_audio(tmp_path / "a", container="wav", codec="pcm_s16le", seconds=0.5)
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, offset, value)
    path.write_bytes(data)
    try:
        result = heard(path, "audio/wav")
    except InvalidUpload:
        return
    assert result.duration_s is None or 0 < result.duration_s < 2**31


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_with_a_lying_data_size_is_as_long_as_its_samples(tmp_path: Path, size: int) -> None:
    path = write_audio(tmp_path / "a", container="wav", codec="pcm_s16le", seconds=1.0)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"data") + 4, size)
    path.write_bytes(data)
    assert heard(path, "audio/wav").duration_s == pytest.approx(1.0, abs=0.05)
