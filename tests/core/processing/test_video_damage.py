"""Damaged, lying and absurd videos: refused or bounded, never a crash, never a number that no row holds."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.errors import InvalidUpload, UnreadableFile
from tests.fixtures.av_files import BLUE, GREEN, RED, WHITE, atom, with_atom, write_audio, write_video
from tests.fixtures.av_results import corners, seen, shown


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a", container="mp4", codec="aac", seconds=0.3)
    with pytest.raises(UnreadableFile, match="no video"):
        seen(path)


def test_a_video_cut_off_before_its_index_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", frames=50)
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(UnreadableFile):
        seen(path)


def test_a_video_cut_off_after_its_index_keeps_what_is_there(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", frames=100, muxer_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    result = seen(path)
    assert (result.width_px, result.height_px, result.duration_s) == (64, 48, 4.0)
    assert corners(shown(result.poster)) == [RED, GREEN, BLUE, WHITE]


def test_frames_of_noise_leave_a_video_without_poster(tmp_path: Path) -> None:
    movie = write_video(tmp_path / "v", frames=20).read_bytes()
    noise = bytes((number * 7919) % 251 for number in range(len(atom(movie, "mdat"))))
    (tmp_path / "v").write_bytes(with_atom(movie, "mdat", lambda _: noise))
    result = seen(tmp_path / "v")
    assert (result.width_px, result.height_px, result.poster, result.thumbnail) == (64, 48, None, None)
    assert "blurhash" not in result.properties


def test_an_unknown_codec_leaves_a_video_with_what_is_known(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", frames=20)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zz99").replace(b"avcC", b"zzzC"))
    result = seen(path)
    assert (result.properties["video_codec"], result.poster, result.width_px) == ("unknown", None, None)
    assert result.duration_s == pytest.approx(0.8)


def _stated_size(width: int, height: int) -> Callable[[bytes], bytes]:
    # The sample description: 8 bytes, then size and 'avc1', then 24 bytes before the two 16-bit sides.
    return lambda body: body[:40] + struct.pack(">HH", width, height) + body[44:]


def _words(offset: int, *values: int) -> Callable[[bytes], bytes]:
    return lambda body: (
        body[:offset] + b"".join(struct.pack(">I", value) for value in values) + body[offset + 4 * len(values) :]
    )


ABSURD: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "65535x65535": ("moov/trak/mdia/minf/stbl/stsd", _stated_size(65_535, 65_535)),
    "0x0": ("moov/trak/mdia/minf/stbl/stsd", _stated_size(0, 0)),
    "136 years": ("moov/mvhd", _words(12, 1, 0xFFFFFFFF)),
    "time scale 0": ("moov/mvhd", _words(12, 0, 0xFFFFFFFF)),
    "track time scale 0": ("moov/trak/mdia/mdhd", _words(12, 0, 0)),
    "track time scale huge": ("moov/trak/mdia/mdhd", _words(12, 0xFFFFFFFF, 0xFFFFFFFF)),
    "track of 136 years": ("moov/trak/mdia/mdhd", _words(12, 1, 0xFFFFFFFF)),
    "sample of 136 years": ("moov/trak/mdia/minf/stbl/stts", _words(8, 0xFFFFFFFF)),
    "samples without length": ("moov/trak/mdia/minf/stbl/stts", _words(4, 1, 50, 0)),
    "4 billion samples": ("moov/trak/mdia/minf/stbl/stsz", _words(4, 1, 0xFFFFFFFF)),
    "4 billion chunks": ("moov/trak/mdia/minf/stbl/stco", _words(4, 0xFFFFFFFF)),
    "4 billion samples a chunk": ("moov/trak/mdia/minf/stbl/stsc", _words(8, 1, 0xFFFFFFFF)),
    "matrix of noise": ("moov/trak/tkhd", _words(40, *[0x7FFFFFFF] * 9)),
    "empty matrix": ("moov/trak/tkhd", _words(40, *[0] * 9)),
    "edit list of noise": ("moov/trak/edts/elst", _words(4, 1, 0xFFFFFFFF, 0x80000000, 0xFFFFFFFF)),
}


@pytest.mark.parametrize("kind", sorted(ABSURD))
def test_absurd_headers_are_bounded(tmp_path: Path, kind: str) -> None:
    movie = write_video(tmp_path / "v", frames=50, muxer_options={"movflags": "faststart"}).read_bytes()
    path, change = ABSURD[kind]
    (tmp_path / "v").write_bytes(with_atom(movie, path, change))
    _assert_bounded(tmp_path / "v", "video/mp4")


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (32, 0xFFFFFFFF),
        (32, 0),
        (48, 0xFFFFFFFF),
        (64, 0xFFFFFFFF),
        (68, 0xFFFFFFFF),
        (128, 0),
        (132, 0),
        (140, 0xFFFFFFFF),
    ],
)
def test_absurd_avi_headers_are_bounded(tmp_path: Path, offset: int, value: int) -> None:
    path = write_video(tmp_path / "v", container="avi", codec="mpeg4", frames=25)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, offset, value)
    path.write_bytes(data)
    _assert_bounded(path, "video/x-msvideo")


def test_an_avi_that_claims_49_days_is_measured_by_its_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", container="avi", codec="mpeg4", frames=25)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 48, 106_000_000)
    struct.pack_into("<I", data, 140, 106_000_000)
    path.write_bytes(data)
    assert seen(path, "video/x-msvideo").duration_s == pytest.approx(1.0, abs=0.05)


def test_a_webm_that_claims_a_thousand_years_is_measured_by_its_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", container="webm", codec="libvpx", frames=25)
    data = path.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3
    path.write_bytes(data[:at] + struct.pack(">d", 3.2e13) + data[at + 8 :])
    assert seen(path, "video/webm").duration_s == pytest.approx(1.0, abs=0.05)


def _assert_bounded(path: Path, mime_type: str) -> None:
    try:
        result = seen(path, mime_type)
    except InvalidUpload:
        return
    assert result.duration_s is None or 0 < result.duration_s < 2**31
    for side in (result.width_px, result.height_px):
        assert side is None or 0 < side < 2**31


def test_a_frame_beyond_8k_is_not_decoded(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", container="avi", codec="mjpeg", pix_fmt="yuvj420p", frames=5)
    data = bytearray(path.read_bytes())
    struct.pack_into("<II", data, data.index(b"strf") + 12, 16_000, 16_000)
    at = data.index(b"\xff\xc0\x00\x11")
    while at >= 0:
        struct.pack_into(">HH", data, at + 5, 16_000, 16_000)
        at = data.find(b"\xff\xc0\x00\x11", at + 1)
    path.write_bytes(data)
    result = seen(path, "video/x-msvideo")
    assert (result.width_px, result.height_px, result.poster) == (16_000, 16_000, None)
    assert result.duration_s == pytest.approx(0.2)
