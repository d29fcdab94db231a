"""The forced demuxer: what it finds in real files, and that nothing makes it open another file."""

import os
import struct
from pathlib import Path

import av
import pytest

from app.core.errors import FileTooComplex, InvalidUpload, UnreadableFile
from app.core.media_types import FILE_TYPES, MediaType
from app.core.processing.av.av_container import AV_DEMUXERS, StreamFacts, demuxer_for, open_container, probe_streams
from tests.fixtures.av_files import atom, jpeg, with_atom, write_audio, write_video
from tests.fixtures.opened_files import opened_files

ALL_DEMUXERS = sorted({name for names in AV_DEMUXERS.values() for name in names})

VIDEOS = [
    ("mp4", "libx264", "aac", "mov", "h264", "aac"),
    ("mov", "mpeg4", "pcm_s16le", "mov", "mpeg4", "pcm_s16le"),
    ("webm", "libvpx", "libopus", "matroska", "vp8", "opus"),
    ("avi", "mpeg4", "libmp3lame", "avi", "mpeg4", "mp3"),
    ("mpeg", "mpeg2video", "mp2", "mpeg", "mpeg2video", "mp2"),
    ("mpegts", "mpeg2video", "mp2", "mpegts", "mpeg2video", "mp2"),
]
SOUNDS = [
    ("mp3", "libmp3lame", 44_100, "mp3", "mp3"),
    ("adts", "aac", 44_100, "aac", "aac"),
    ("ipod", "aac", 44_100, "mov", "aac"),
    ("mp4", "aac", 44_100, "mov", "aac"),
    ("mov", "pcm_s16le", 44_100, "mov", "pcm_s16le"),
    ("ogg", "libopus", 48_000, "ogg", "opus"),
    ("webm", "libopus", 48_000, "matroska", "opus"),
    ("wav", "pcm_s16le", 44_100, "wav", "pcm_s16le"),
]


def test_every_video_and_audio_type_has_a_demuxer() -> None:
    wanted = {row.mime_type for row in FILE_TYPES if row.media_type in (MediaType.VIDEO, MediaType.AUDIO)}
    assert set(AV_DEMUXERS) == wanted
    assert all(demuxer_for(mime_type, head=b"") == AV_DEMUXERS[mime_type][0] for mime_type in wanted)


@pytest.mark.parametrize(("container", "codec", "sound", "demuxer", "video_name", "audio_name"), VIDEOS)
def test_video_with_sound_is_recognised(
    tmp_path: Path, *, container: str, codec: str, sound: str, demuxer: str, video_name: str, audio_name: str
) -> None:
    path = write_video(tmp_path / "staged", container=container, codec=codec, audio_codec=sound, frames=10)
    assert probe_streams(str(path), demuxer=demuxer) == StreamFacts(True, True, (video_name,), (audio_name,))


@pytest.mark.parametrize(("container", "codec", "rate", "demuxer", "name"), SOUNDS)
def test_sound_alone_is_not_taken_for_video(
    tmp_path: Path, *, container: str, codec: str, rate: int, demuxer: str, name: str
) -> None:
    path = write_audio(tmp_path / "staged", container=container, codec=codec, rate=rate, seconds=0.5)
    assert probe_streams(str(path), demuxer=demuxer) == StreamFacts(False, True, (), (name,))


def test_cover_art_is_not_video(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "staged", container="mp4", codec="aac", seconds=0.5, cover=jpeg())
    assert not probe_streams(str(path), demuxer="mov").has_video


def test_video_alone_has_no_audio(tmp_path: Path) -> None:
    path = write_video(tmp_path / "staged", frames=5)
    assert probe_streams(str(path), demuxer="mov") == StreamFacts(True, False, ("h264",), ())


@pytest.mark.parametrize(
    ("container", "demuxer"), [("mpeg", "mpeg"), ("mpeg2video", "mpegvideo"), ("mpegts", "mpegts")]
)
def test_the_three_forms_of_mpeg_are_told_apart_by_their_first_bytes(
    tmp_path: Path, container: str, demuxer: str
) -> None:
    path = write_video(tmp_path / "staged", container=container, codec="mpeg2video", frames=10)
    assert demuxer_for("video/mpeg", head=path.read_bytes()[:512]) == demuxer
    assert probe_streams(str(path), demuxer=demuxer).has_video


def _playlists(target: Path) -> dict[str, bytes]:
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9.0,\n{target}\n#EXT-X-ENDLIST\n"
    return {
        "hls": hls.encode(),
        "hls behind a media name": hls.replace(str(target), f"file://{target}").encode(),
        "hls that nests concat": hls.replace(str(target), f"concat:{target}|{target}").encode(),
        "ffconcat": f"ffconcat version 1.0\nfile '{target}'\n".encode(),
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
        "dash": f'<?xml version="1.0"?><MPD><Period><BaseURL>{target}</BaseURL></Period></MPD>'.encode(),
        "asx": f'<asx version="3.0"><entry><ref href="{target}"/></entry></asx>'.encode(),
        "hls inside a RIFF AVI": b"RIFF\xff\xff\x00\x00AVI LIST" + hls.encode(),
    }


@pytest.mark.parametrize("kind", sorted(_playlists(Path())))
def test_a_playlist_is_refused_by_every_demuxer_and_opens_nothing_else(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "secret.ts"
    target.write_bytes(b"G" + bytes(187))
    staged = tmp_path / "staged"
    staged.write_bytes(_playlists(target)[kind])
    with opened_files(tmp_path) as names:
        for demuxer in ALL_DEMUXERS:
            with pytest.raises(UnreadableFile):
                probe_streams(str(staged), demuxer=demuxer)
    assert names == {"staged"}


def _with_external_data(movie: bytes, target: Path) -> bytes:
    """The movie with an alias record that says its samples are in `target`, as old QuickTime reference movies do."""
    name = str(target).encode()
    record = bytes(10) + b"\x00" + bytes(27) + bytes(12) + b"\x00" + bytes(63) + bytes(16) + struct.pack(">hh", 0, 1)
    record += bytes(16) + struct.pack(">hH", 2, len(name)) + name + b"\x00" * (len(name) % 2)
    record += struct.pack(">hH", 18, len(name)) + name + struct.pack(">hH", -1, 0) + bytes(64)
    alias = struct.pack(">I4sI", len(record) + 12, b"alis", 0) + record
    reference = struct.pack(">II", 0, 1) + alias
    return with_atom(movie, "moov/trak/mdia/minf/dinf/dref", lambda _: reference)


def test_a_movie_cannot_name_another_file_as_its_data(tmp_path: Path) -> None:
    target = write_audio(tmp_path / "secret", container="mov", codec="pcm_s16le", seconds=0.2)
    staged = tmp_path / "staged"
    staged.write_bytes(_with_external_data(target.read_bytes(), target))

    unsafe = {"enable_drefs": "1", "use_absolute_path": "1"}
    with opened_files(tmp_path) as names, av.open(str(staged), format="mov", container_options=unsafe):
        pass
    assert "secret" in names, "the reference does not work, so the test below would prove nothing"

    with opened_files(tmp_path) as names, open_container(str(staged), demuxer="mov") as container:
        for _ in container.demux():
            continue
    assert names == {"staged"}


@pytest.mark.parametrize("content", [b"", b"\x00", bytes(5_000), bytes(range(256)) * 400, b"plain text " * 500])
def test_what_is_no_media_is_refused_by_every_demuxer(tmp_path: Path, content: bytes) -> None:
    staged = tmp_path / "staged"
    staged.write_bytes(content)
    for demuxer in ALL_DEMUXERS:
        with pytest.raises(UnreadableFile) as refused:
            probe_streams(str(staged), demuxer=demuxer)
        assert str(tmp_path) not in str(refused.value)


def test_another_format_than_the_decided_one_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "staged", frames=5)
    for wrong in set(ALL_DEMUXERS) - {"mov"}:
        with pytest.raises(UnreadableFile):
            probe_streams(str(path), demuxer=wrong)


def test_a_name_with_a_scheme_or_a_pattern_is_only_a_file_name(tmp_path: Path) -> None:
    path = write_video(tmp_path / "concat:a|b%03d?x=1", frames=5)
    assert probe_streams(str(path), demuxer="mov").has_video


def test_a_missing_staged_file_is_not_the_fault_of_the_client(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        probe_streams(str(tmp_path / "gone"), demuxer="mov")


def test_a_hundred_streams_are_too_many(tmp_path: Path) -> None:
    movie = write_video(tmp_path / "staged", frames=5).read_bytes()
    body = atom(movie, "moov/trak")
    track = struct.pack(">I4s", len(body) + 8, b"trak") + body
    (tmp_path / "staged").write_bytes(with_atom(movie, "moov", lambda body: body + track * 99))
    with pytest.raises(InvalidUpload):
        probe_streams(str(tmp_path / "staged"), demuxer="mov")


def test_damage_writes_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_video(tmp_path / "staged", frames=20)
    os.truncate(path, path.stat().st_size - 900)
    with pytest.raises((UnreadableFile, FileTooComplex)):
        probe_streams(str(path), demuxer="mov")
    shown = capfd.readouterr()
    assert "moov" not in shown.err + shown.out
