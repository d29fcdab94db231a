"""Sound: exact durations, facts, peaks and tags of every container."""

import math
from pathlib import Path

import pytest

from app.core.media_types import by_mime_type
from app.core.processing.av import audio
from tests.fixtures.av_files import id3, tone, write_audio
from tests.fixtures.av_results import heard, peaks, shown

KINDS = [
    ("audio/mpeg", "mp3", "libmp3lame", 44_100, "mp3", "mp3", 2.0),
    ("audio/aac", "adts", "aac", 44_100, "aac", "aac", 88 * 1_024 / 44_100),
    ("audio/mp4", "ipod", "aac", 44_100, "mov", "aac", 2.0),
    ("audio/mp4", "ipod", "alac", 44_100, "mov", "alac", 2.0),
    ("audio/ogg", "ogg", "vorbis", 44_100, "ogg", "vorbis", 2.0),
    ("audio/ogg", "ogg", "libopus", 48_000, "ogg", "opus", 2.0),
    ("audio/ogg", "ogg", "flac", 44_100, "ogg", "flac", 2.0),
    ("audio/webm", "webm", "libopus", 48_000, "matroska", "opus", 2.0),
    ("audio/wav", "wav", "pcm_s16le", 44_100, "wav", "pcm_s16le", 2.0),
    ("audio/wav", "wav", "pcm_u8", 8_000, "wav", "pcm_u8", 2.0),
    ("audio/wav", "wav", "pcm_s24le", 96_000, "wav", "pcm_s24le", 2.0),
    ("audio/wav", "wav", "pcm_f32le", 44_100, "wav", "pcm_f32le", 2.0),
]


@pytest.mark.parametrize(("mime", "muxer", "codec", "rate", "container", "name", "seconds"), KINDS)
def test_facts_of_every_container(
    tmp_path: Path, *, mime: str, muxer: str, codec: str, rate: int, container: str, name: str, seconds: float
) -> None:
    path = write_audio(tmp_path / "a", container=muxer, codec=codec, rate=rate, layout="stereo")
    result = heard(path, mime)
    facts = result.properties
    assert (result.mime_type, result.main_path) == (mime, None)
    assert result.extension == by_mime_type(mime).extensions[0]
    assert (result.width_px, result.height_px, result.poster) == (None, None, None)
    assert result.duration_s == pytest.approx(seconds, abs=0.01)
    assert facts["duration_s"] == pytest.approx(seconds, abs=0.01)
    assert (facts["container"], facts["audio_codec"]) == (container, name)
    assert (facts["sample_rate"], facts["channels"], facts["has_cover"]) == (rate, 2, False)
    assert facts["bit_rate"] == pytest.approx(path.stat().st_size * 8 / seconds, rel=0.4)
    assert result.waveform is not None
    assert result.waveform.sample_rate == rate
    assert result.waveform.length * result.waveform.samples_per_pixel == pytest.approx(seconds * rate, rel=0.05)
    middle = peaks(result)[5:-10]
    assert all(low == pytest.approx(-64, abs=8) and high == pytest.approx(64, abs=8) for low, high in middle)
    assert shown(result.thumbnail).size == (300, 150)


def test_the_peaks_follow_the_sound(tmp_path: Path) -> None:
    loud, quiet = tone(0.9), tone(0.1)
    path = write_audio(
        tmp_path / "a", container="mp3", codec="libmp3lame", seconds=4, sound=lambda at: (quiet if at < 2 else loud)(at)
    )
    highs = [high for _, high in peaks(heard(path))]
    half = len(highs) // 2
    assert max(highs[: half - 10]) == pytest.approx(13, abs=4)
    assert min(highs[half + 10 : -10]) == pytest.approx(115, abs=6)


@pytest.mark.parametrize(("muxer", "mime"), [("mp3", "audio/mpeg"), ("adts", "audio/aac")])
def test_a_bit_rate_that_changes_does_not_distort_the_duration(tmp_path: Path, muxer: str, mime: str) -> None:
    # Without an index FFmpeg divides the size by the bit rate of the beginning; silence at first makes that wrong.
    def sound(at: float) -> float:
        return 0.0 if at < 1 else 0.3 * (math.sin(at * 9_000) + math.sin(at * 23_000) + math.sin(at * 51_000))

    codec = "libmp3lame" if muxer == "mp3" else "aac"
    options = {"write_xing": "0"} if muxer == "mp3" else {}
    path = write_audio(
        tmp_path / "a", container=muxer, codec=codec, seconds=6, rate=44_100, sound=sound, muxer_options=options
    )
    assert heard(path, mime).duration_s == pytest.approx(6.05, abs=0.06)


def test_an_mp3_that_was_cut_is_as_long_as_what_is_left(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a", container="mp3", codec="libmp3lame", seconds=4)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert heard(path).duration_s == pytest.approx(2.0, abs=0.1)


def test_tags_become_properties(tmp_path: Path) -> None:
    tags = {
        "title": "A\x00 title\r\nin two  lines",
        "artist": "Ægir",
        "album": "Deep",
        "album_artist": "Various",
        "track": "3/12",
        "date": "2021-05-06",
        "genre": "Jazz",
        "comment": "not asked for",
    }
    path = write_audio(tmp_path / "a", container="ipod", codec="aac", seconds=0.3, tags=tags)
    facts = heard(path, "audio/mp4").properties
    assert (facts["artist"], facts["album"], facts["album_artist"]) == ("Ægir", "Deep", "Various")
    assert (facts["track"], facts["track_count"], facts["year"], facts["genre"]) == (3, 12, 2021, "Jazz")
    assert "comment" not in facts


def test_tags_of_an_ogg_stream_are_found(tmp_path: Path) -> None:
    path = write_audio(
        tmp_path / "a", container="ogg", codec="libopus", rate=48_000, seconds=0.3, tags={"title": "In the stream"}
    )
    assert heard(path, "audio/ogg").properties["title"] == "In the stream"


def test_id3_text_of_every_encoding_is_cleaned_and_bounded(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a", container="mp3", codec="libmp3lame", seconds=0.3)
    texts = {
        "TIT2": b"\x01" + "Lone \ud800 half, bell \x07, \u2028line".encode("utf-16", "surrogatepass"),
        "TPE1": b"\x00Caf\xe9",
        "TALB": b"\x03" + b"long " * 900,
        "TRCK": b"\x00seven",
        "TYER": b"\x001999",
    }
    path.write_bytes(id3(texts=texts) + path.read_bytes())
    facts = heard(path).properties
    title, album = facts.get("title", ""), facts["album"]
    assert isinstance(title, str)
    assert isinstance(album, str)
    title.encode("utf-8")
    assert not any(ord(char) < 32 for char in title)
    assert (facts["artist"], facts["year"]) == ("Café", 1999)
    assert 490 < len(album) <= 500
    assert "track" not in facts


def test_a_wav_tag_from_before_unicode_is_repaired(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a", container="wav", codec="pcm_s16le", seconds=0.3, tags={"title": "Cafe!"})
    path.write_bytes(path.read_bytes().replace(b"Cafe!", b"Caf\xe9\x80"))
    assert heard(path, "audio/wav").properties["title"] == "Café€"


def test_a_long_recording_is_decoded_in_parts_and_its_peaks_stay_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "_WHOLE_UP_TO_S", 4)
    loud, quiet = tone(0.8), tone(0.2)
    path = write_audio(
        tmp_path / "a",
        container="mp3",
        codec="libmp3lame",
        seconds=16,
        rate=22_050,
        sound=lambda at: (quiet if at < 8 else loud)(at),
    )
    result = heard(path)
    assert result.duration_s == pytest.approx(16.0, abs=0.06)
    assert result.waveform is not None
    spanned_s = result.waveform.length * result.waveform.samples_per_pixel / 22_050
    assert spanned_s == pytest.approx(16.0, rel=0.1)
    highs = [high for _, high in peaks(result)]
    assert max(highs[2 : len(highs) * 2 // 5]) == pytest.approx(26, abs=5)
    assert min(highs[len(highs) * 3 // 5 : -8]) == pytest.approx(102, abs=8)


def test_the_extension_stays_when_the_type_allows_it(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a", container="ogg", codec="libopus", rate=48_000, seconds=0.2)
    assert heard(path, "audio/ogg", filename="a.OPUS").extension == "opus"
    assert heard(path, "audio/ogg", filename="a.mp3").extension == "ogg"


def test_an_extension_that_means_video_first_is_not_kept_for_sound(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.m4a", container="ipod", codec="aac", seconds=0.5)
    for name, kept in (("a.m4b", "m4b"), ("a.mp4", "m4a"), ("a.aac", "m4a")):
        assert heard(path, "audio/mp4", filename=name).extension == kept
