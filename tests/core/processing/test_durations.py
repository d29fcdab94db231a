"""How long files play whose headers, positions or last packets say something else; beside what a decoder counts."""

import struct
from pathlib import Path

import av
import pytest

from app.core.processing.av.av_packets import CpuBudget
from app.core.processing.av.ogg_duration import ogg_seconds
from tests.fixtures.av_files import with_atom, write_audio, write_video
from tests.fixtures.av_results import heard, seen
from tests.fixtures.ogg_files import joined, pages, position_of, with_position, with_serial

RATES = {"vorbis": 44_100, "libopus": 48_000, "flac": 44_100}


def _ogg(tmp_path: Path, codec: str, *, seconds: float = 1.0, rate: int | None = None) -> bytes:
    path = tmp_path / "part"
    write_audio(path, container="ogg", codec=codec, rate=rate or RATES[codec], layout="stereo", seconds=seconds)
    return path.read_bytes()


def _heard_s(tmp_path: Path, data: bytes, mime_type: str = "audio/ogg") -> float:
    path = tmp_path / "whole"
    path.write_bytes(data)
    duration_s = heard(path, mime_type).duration_s
    assert duration_s is not None
    return duration_s


def _decoded_s(path: Path) -> float:
    with av.open(str(path)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


@pytest.mark.parametrize("codec", RATES)
@pytest.mark.parametrize("position", [2**62, 2**40, 0, -1, -(2**40)])
def test_a_last_position_that_cannot_be_true_adds_no_more_than_its_packets(
    tmp_path: Path, codec: str, position: int
) -> None:
    *before, last = pages(_ogg(tmp_path, codec, seconds=3.0))
    assert _heard_s(tmp_path, joined([*before, with_position(last, position)])) == pytest.approx(3.0, abs=0.06)


@pytest.mark.parametrize("trimmed", [0, 100, 1_100, 2_000])
def test_the_end_that_an_encoder_trimmed_does_not_play(tmp_path: Path, trimmed: int) -> None:
    *before, last = pages(_ogg(tmp_path, "vorbis", seconds=3.0))
    data = joined([*before, with_position(last, position_of(last) - trimmed)])
    assert _heard_s(tmp_path, data) == pytest.approx(3.0 - trimmed / 44_100, abs=0.003)


def test_a_position_that_jumps_in_the_middle_adds_no_more_than_its_packets(tmp_path: Path) -> None:
    parts = pages(_ogg(tmp_path, "libopus", seconds=5.0))
    assert len(parts) > 5, "no page in the middle"
    parts[4] = with_position(parts[4], 2**40)
    assert _heard_s(tmp_path, joined(parts)) == pytest.approx(5.0, abs=0.05)


@pytest.mark.parametrize("codec", RATES)
def test_a_recording_that_joined_a_broadcast_late_starts_at_zero(tmp_path: Path, codec: str) -> None:
    parts = pages(_ogg(tmp_path, codec, seconds=3.0))
    late = [with_position(page, position_of(page) + 10**9) if position_of(page) > 0 else page for page in parts]
    assert _heard_s(tmp_path, joined(late)) == pytest.approx(3.0, abs=0.35)


@pytest.mark.parametrize("codec", RATES)
@pytest.mark.parametrize("serials", [(1, 2, 3), (1, 1, 1)])
def test_streams_one_after_the_other_add_up(tmp_path: Path, codec: str, serials: tuple[int, ...]) -> None:
    links = [
        with_serial(_ogg(tmp_path, codec, seconds=seconds), serial)
        for serial, seconds in zip(serials, (3.0, 1.0, 2.0), strict=True)
    ]
    assert _heard_s(tmp_path, joined(links)) == pytest.approx(6.0, abs=0.02)


def test_streams_of_different_rates_and_codecs_add_up(tmp_path: Path) -> None:
    links = [_ogg(tmp_path, "vorbis"), _ogg(tmp_path, "vorbis", seconds=2.0, rate=22_050), _ogg(tmp_path, "libopus")]
    data = joined(with_serial(link, serial) for serial, link in enumerate(links))
    assert _heard_s(tmp_path, data) == pytest.approx(4.0, abs=0.02)


def test_counting_pages_ends_with_its_budget(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(_ogg(tmp_path, "libopus"))
    assert ogg_seconds(str(path), budget=CpuBudget(9)) == pytest.approx(1.0)
    assert ogg_seconds(str(path), budget=CpuBudget(0)) is None


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("xing", ["0", "1"])
def test_an_mp3_is_as_long_as_a_decoder_plays_it(tmp_path: Path, rate: int, xing: str) -> None:
    path = write_audio(
        tmp_path / "a",
        container="mp3",
        codec="libmp3lame",
        rate=rate,
        seconds=3.0,
        muxer_options={"write_xing": xing},
    )
    assert heard(path).duration_s == pytest.approx(_decoded_s(path), abs=0.005)


def test_an_mp3_whose_tag_counts_frames_that_are_not_there(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a", container="mp3", codec="libmp3lame", seconds=3.0)
    data = bytearray(path.read_bytes())
    at = data.index(b"Info") + 8
    struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] * 10)
    path.write_bytes(data)
    assert heard(path).duration_s == pytest.approx(3.0, abs=0.06)


def test_two_mp3_files_joined_play_one_after_the_other(tmp_path: Path) -> None:
    data = write_audio(tmp_path / "a", container="mp3", codec="libmp3lame", seconds=2.0).read_bytes()
    assert _heard_s(tmp_path, data + data, "audio/mpeg") == pytest.approx(4.0, abs=0.1)


FILMS = [
    ("video/mp4", "mp4", "libx264", "aac"),
    ("video/quicktime", "mov", "libx264", "aac"),
    ("video/webm", "webm", "libvpx", "libopus"),
    ("video/x-msvideo", "avi", "mpeg4", "libmp3lame"),
    ("video/mpeg", "mpeg", "mpeg2video", "mp2"),
    ("video/mpeg", "mpegts", "mpeg2video", "mp2"),
]


@pytest.mark.parametrize(("mime_type", "container", "codec", "audio_codec"), FILMS)
@pytest.mark.parametrize("audio_s", [1.0, 5.0])
def test_a_film_lasts_as_long_as_its_longest_stream(
    tmp_path: Path, *, mime_type: str, container: str, codec: str, audio_codec: str, audio_s: float
) -> None:
    path = write_video(
        tmp_path / "v", container=container, codec=codec, audio_codec=audio_codec, frames=75, audio_s=audio_s
    )
    assert seen(path, mime_type).duration_s == pytest.approx(max(3.0, audio_s), abs=0.06)


@pytest.mark.parametrize("stated_ms", [100.0, 60_000.0])
def test_a_webm_whose_header_lies_is_as_long_as_its_packets(tmp_path: Path, stated_ms: float) -> None:
    path = write_video(tmp_path / "v", container="webm", codec="libvpx", audio_codec="libopus", frames=75)
    data = bytearray(path.read_bytes())
    struct.pack_into(">d", data, data.index(b"\x44\x89\x88") + 3, stated_ms)
    path.write_bytes(data)
    assert seen(path, "video/webm").duration_s == pytest.approx(3.0, abs=0.03)


def test_an_avi_that_was_cut_is_as_long_as_what_is_left(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", container="avi", codec="mpeg4", audio_codec="libmp3lame", frames=100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with av.open(str(path)) as container:
        count = sum(1 for _ in container.decode(video=0))
    assert seen(path, "video/x-msvideo").duration_s == pytest.approx(count / 25, abs=0.08)


@pytest.mark.parametrize("container", ["mpeg", "mpegts"])
def test_broadcast_recordings_joined_play_one_after_the_other(tmp_path: Path, container: str) -> None:
    path = tmp_path / "v"
    parts = [
        write_video(path, container=container, codec="mpeg2video", audio_codec="mp2", frames=frames).read_bytes()
        for frames in (50, 100)
    ]
    path.write_bytes(joined(parts))
    assert seen(path, "video/mpeg").duration_s == pytest.approx(6.0, abs=0.05)


def test_a_sample_that_states_a_day_does_not_make_a_film_of_a_day(tmp_path: Path) -> None:
    movie = write_video(tmp_path / "v", frames=50).read_bytes()
    longest = struct.pack(">IIIIII", 0, 2, 49, 512, 1, 0x7FFFFFFF)
    (tmp_path / "v").write_bytes(with_atom(movie, "moov/trak/mdia/minf/stbl/stts", lambda _: longest))
    assert seen(tmp_path / "v").duration_s == pytest.approx(2.0, abs=0.05)
