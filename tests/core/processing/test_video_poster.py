"""Which frame stands for a video when its keyframes are few, blurred, wrongly marked or surrounded by damage."""

import struct
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from PIL import Image, ImageFilter, ImageStat

from tests.fixtures.av_files import BLUE, GREEN, RED, WHITE, quarters, with_atom, write_video
from tests.fixtures.av_results import corners, distance, seen, shown

BOARD_PX = 8
SIZE = (320, 240)
QUARTERS = [RED, GREEN, BLUE, WHITE]


def board(_: int, size: tuple[int, int]) -> Image.Image:
    """Black and white squares: as sharp and as contrasted as a picture can be."""
    small = Image.new("L", (size[0] // BOARD_PX, size[1] // BOARD_PX))
    small.putdata([255 * ((x + y) % 2) for y in range(small.height) for x in range(small.width)])
    return small.resize(size, Image.Resampling.NEAREST).convert("RGB")


def halves(_: int, size: tuple[int, int]) -> Image.Image:
    """Dark left, bright right, the border out of focus: contrast enough, but nothing to see."""
    image = Image.new("RGB", size, (20, 20, 20))
    image.paste((235, 235, 235), (size[0] // 2, 0, *size))
    return image.filter(ImageFilter.GaussianBlur(size[0] / 8))


def _out_of_focus_until(first: int) -> Callable[[int, tuple[int, int]], Image.Image]:
    return lambda number, size: (board if number >= first else halves)(number, size)


def _is_board(image: Image.Image) -> bool:
    edges = ImageStat.Stat(image.convert("L").filter(ImageFilter.FIND_EDGES))
    return edges.stddev[0] > 60


@pytest.mark.parametrize("gop", [5, 500])
def test_a_sharp_frame_is_preferred_to_one_out_of_focus(tmp_path: Path, gop: int) -> None:
    path = write_video(tmp_path / "v", size=SIZE, frames=120, scene=_out_of_focus_until(15), gop=gop)
    assert _is_board(shown(seen(path).poster))


def test_a_video_out_of_focus_throughout_has_a_poster(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", size=SIZE, frames=60, scene=_out_of_focus_until(10**6), gop=500)
    poster = shown(seen(path).poster)
    assert distance((20, 20, 20), poster.getpixel((2, 120))) < 60


def test_damage_between_keyframes_does_not_reach_the_poster(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", size=SIZE, frames=100, gop=20, codec_options={"x264-params": "scenecut=0"})
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        between = [(packet.pos, packet.size) for packet in container.demux() if packet.size and not packet.is_keyframe]
    assert len(between) == 95
    for at, size in between:
        assert at is not None
        data[at : at + size] = bytes((number * 7919) % 251 for number in range(size))
    path.write_bytes(data)
    assert corners(shown(seen(path).poster)) == QUARTERS


def test_a_difference_that_claims_to_be_a_keyframe_is_no_poster(tmp_path: Path) -> None:
    def scene(number: int, size: tuple[int, int]) -> Image.Image:
        image = quarters(number, size)
        image.paste((2 * number, 255 - 2 * number, 90), (0, 0, size[0] // 3, size[1] // 3))
        return image

    path = write_video(tmp_path / "v", codec="mpeg4", size=SIZE, frames=100, gop=100, scene=scene)
    data = path.read_bytes()
    assert b"stss" in data, "the table of keyframes; without it all frames count as such"
    path.write_bytes(data.replace(b"stss", b"free"))
    assert corners(shown(seen(path).poster))[1:] == QUARTERS[1:]


def test_a_picture_only_near_the_end_is_found_by_its_keyframe(tmp_path: Path) -> None:
    def scene(number: int, size: tuple[int, int]) -> Image.Image:
        return quarters(number, size) if number >= 1_900 else Image.new("RGB", size)

    path = write_video(tmp_path / "v", frames=2_000, scene=scene, gop=50)
    assert corners(shown(seen(path).poster)) == QUARTERS


@pytest.mark.parametrize("size", [(322, 182), (321, 181), (1_302, 732)])
def test_the_last_pixels_of_a_row_are_part_of_the_poster(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_video(tmp_path / "v", container="avi", codec="mjpeg", size=size, pix_fmt="yuvj420p", frames=3)
    poster = shown(seen(path, "video/x-msvideo").poster)
    for x in (1, 2, 3):
        assert distance(GREEN, poster.getpixel((poster.width - x, poster.height // 4))) < 60


def test_the_shape_of_pixels_is_found_in_the_frames_when_the_container_is_silent(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", codec_options={"x264-params": "sar=2/1"}, frames=10)
    assert b"pasp" not in path.read_bytes()
    result = seen(path)
    assert (result.width_px, result.height_px) == (128, 48)
    assert shown(result.poster).size == (128, 48)


def test_the_size_is_the_one_of_the_frames_when_the_container_is_wrong(tmp_path: Path) -> None:
    movie = write_video(tmp_path / "v", frames=10).read_bytes()
    wrong = with_atom(
        movie, "moov/trak/mdia/minf/stbl/stsd", lambda body: body[:40] + struct.pack(">HH", 64, 96) + body[44:]
    )
    (tmp_path / "v").write_bytes(wrong)
    result = seen(tmp_path / "v")
    assert result.height_px == 48
    assert shown(result.poster).size == (result.width_px, result.height_px)
    assert corners(shown(result.poster)) == QUARTERS
