"""GIF frames show what they showed, whatever palettes and places they have, and keep their colours when they fit."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from app.core.errors import UnreadableFile
from app.core.processing.contract import ProcessingOptions
from app.core.processing.imaging import gif_blocks, gif_frames
from tests.core.processing.image_jobs import decoded, near, run
from tests.fixtures import gif_files as gifs
from tests.fixtures import image_files as files
from tests.fixtures.gif_files import COLORS, GREYS, Frame, Gif, plain

KEEP = ProcessingOptions(keep_alpha=True)
SMALLER = ProcessingOptions(max_image_width_px=30, max_image_height_px=30)
RED_FRAME = Frame(plain(60, 40, 0))
GRADIENT = [[x * 4 for x in range(60)] for _ in range(40)]


def pictures_of(data: bytes) -> list[Image.Image]:
    return [gifs.on_white(picture) for picture in gif_frames.shown(gif_blocks.read(data))]


@pytest.mark.parametrize("seed", range(25))
def test_any_animation_shows_the_same_flat_and_see_through(seed: int, tmp_path: Path) -> None:
    gif = gifs.shuffled(seed)
    wanted = [picture.tobytes() for picture in gifs.drawn(gif)]
    flat = run(gif.data(), "image/gif", tmp_path).main
    # FFmpeg clears to the background colour, which browsers do not: so it judges only what is flat.
    assert [picture.tobytes() for picture in gifs.seen(flat)] == wanted
    kept = run(gif.data(), "image/gif", tmp_path, options=KEEP).main
    assert [picture.tobytes() for picture in pictures_of(kept)] == wanted


FILES: dict[str, Gif] = {
    "transparent index outside the palette": Gif((60, 40), [replace(RED_FRAME, transparent=200)]),
    "transparent index outside, and used": Gif(
        (60, 40), [Frame([[0] * 30 + [200] * 30 for _ in range(40)], transparent=200)]
    ),
    "transparent index outside, later": Gif((60, 40), [RED_FRAME, Frame(plain(60, 40, 1), transparent=255)]),
    "later frame of its own greys": Gif((60, 40), [RED_FRAME, Frame(GRADIENT, palette=GREYS)]),
    "later frame of its own greys, see-through": Gif(
        (60, 40), [RED_FRAME, Frame(GRADIENT, palette=GREYS, transparent=0), replace(RED_FRAME, rows=plain(60, 40, 1))]
    ),
    "greys first, then colours": Gif((60, 40), [Frame(GRADIENT, palette=GREYS), RED_FRAME], palette=b""),
    "no palette at all": Gif((60, 40), [Frame(GRADIENT), Frame(plain(60, 40, 90))], palette=b""),
    "index beyond the palette": Gif((60, 40), [Frame(plain(60, 40, 77))]),
    "frames of a part": Gif((60, 40), [Frame(plain(20, 20, 0), 8, 8), Frame(plain(10, 10, 1), 40, 20, disposal=2)] * 2),
    "frame over the edge": Gif((60, 40), [RED_FRAME, Frame(plain(30, 30, 1), 50, 30)]),
    "frame beside the canvas": Gif((60, 40), [RED_FRAME, Frame(plain(9, 9, 1), 70, 50), Frame(plain(60, 40, 2))]),
    "canvas of nothing": Gif((0, 0), [RED_FRAME]),
}


@pytest.mark.parametrize("options", [None, KEEP, SMALLER], ids=["as-is", "with alpha", "smaller"])
@pytest.mark.parametrize("name", FILES)
def test_odd_files_are_shown_as_browsers_do(name: str, options: ProcessingOptions | None, tmp_path: Path) -> None:
    gif = FILES[name]
    outcome = run(gif.data(), "image/gif", tmp_path, options=options)
    size = (60, 40) if options is not SMALLER else (30, 20)
    assert outcome.picture.size == size
    made, wanted = pictures_of(outcome.main), _drawn(replace(gif, size=(60, 40)))
    # Pillow, which writes what was shrunk, makes one frame of two that look alike.
    assert options is SMALLER or len(made) == len(wanted)
    for picture, right in ((made[0], wanted[0]), (made[-1], wanted[-1])):
        for spot in ((0.1, 0.1), (0.3, 0.4), (0.8, 0.6), (0.95, 0.9)):
            color = right.getpixel((int(spot[0] * 60), int(spot[1] * 40)))
            assert isinstance(color, tuple)
            assert near(picture, spot, color, within=3 if options is not SMALLER else 24)


def _drawn(gif: Gif) -> list[Image.Image]:
    """What a browser shows, also of frames that reach over the edge."""
    inside = replace(gif, size=(200, 200))
    return [picture.crop((0, 0, *gif.size)) for picture in gifs.drawn(inside)]


@pytest.mark.parametrize("end", [b"", b"!", b"!\xf9\x04\0", b"?" * 20, b";" + files.SECRET], ids=repr)
def test_the_end_of_a_gif_is_not_asked(end: bytes, tmp_path: Path) -> None:
    gif = Gif((60, 40), [RED_FRAME, Frame(plain(60, 40, 1))])
    outcome = run(gif.data(end=end), "image/gif", tmp_path)
    assert outcome.main.endswith(b"\0;")
    assert outcome.file.properties["frames"] == 2
    assert files.SECRET not in outcome.main


def test_only_the_end_code_may_be_missing(tmp_path: Path) -> None:
    whole = files.saved(files.photo(60, 40).quantize(64), "GIF")
    assert run(whole[:-2], "image/gif", tmp_path).picture.size == (60, 40)
    cut_heads = [whole[:-1] + b",\0\0\0\0", whole[:-1] + b",\0\0\0\0\x09\0\x09\0\0\x02"]
    for cut in (whole[:-8], whole[: len(whole) // 2], *cut_heads):
        with pytest.raises(UnreadableFile):
            run(cut, "image/gif", tmp_path)


@pytest.mark.parametrize("make", [lambda: files.animated("GIF", frames=5), files.see_through_gif])
def test_an_animation_whose_last_frame_is_cut_is_refused(make: Callable[[], bytes], tmp_path: Path) -> None:
    data = make()
    with pytest.raises(UnreadableFile):
        run(data[: data.rindex(b",\0") + 14], "image/gif", tmp_path)


SECRET_BLOCKS = {
    "comment": b"!\xfe" + gifs.blocked(files.SECRET),
    "application": b"!\xff\x0bXMP DataXMP" + gifs.blocked(files.SECRET),
    "plain text": b"!\x01\x0c" + bytes(12) + gifs.blocked(files.SECRET),
    "unknown": b"!\x77" + gifs.blocked(files.SECRET),
}


@pytest.mark.parametrize("options", [None, KEEP], ids=["flat", "with alpha"])
def test_nothing_but_frames_is_stored(options: ProcessingOptions | None, tmp_path: Path) -> None:
    noise = files.photo(200, 150).quantize(255)
    rows = [list(noise.crop((0, y, 200, y + 1)).tobytes()) for y in range(150)]
    luggage = files.SECRET * 9 + b"<script>"
    gif = Gif((200, 150), [Frame(rows, luggage=luggage)] * 2, palette=GREYS, blocks=list(SECRET_BLOCKS.values()))
    data = gif.data(end=b";" + luggage)
    assert data.count(files.SECRET) > 20
    outcome = run(data, "image/gif", tmp_path, options=options)
    assert files.SECRET[:6] not in outcome.main
    assert b"<script" not in outcome.main
    assert [picture.tobytes() for picture in pictures_of(outcome.main)] == [p.tobytes() for p in gifs.drawn(gif)]


def test_a_frame_that_would_grow_keeps_its_data(tmp_path: Path) -> None:
    """In the order of interlacing, rows of one colour follow one another here; shown, they alternate."""
    rows = [[index] * 300 for index, count in enumerate((25, 25, 50, 100)) for _ in range(count)]
    [parsed] = gif_blocks.read(Gif((300, 200), [Frame(rows, bits=2)]).data()).frames
    frame = replace(parsed, is_interlaced=True)
    data = gif_blocks.written(gif_blocks.GifFile((300, 200), COLORS, None, (frame,)), [frame])
    outcome = run(data, "image/gif", tmp_path)
    [kept] = gif_blocks.read(outcome.main).frames
    assert (kept.is_interlaced, kept.codes) == (True, parsed.codes)
    assert outcome.picture.tobytes() == decoded(data).tobytes()
    luggage = gifs.blocked(gif_blocks.unblocked(parsed.codes) + files.SECRET)
    data = gif_blocks.written(gif_blocks.GifFile((300, 200), COLORS, None, ()), [replace(frame, codes=luggage)])
    outcome = run(data, "image/gif", tmp_path)
    assert files.SECRET in data
    assert files.SECRET not in outcome.main
    assert outcome.picture.tobytes() == decoded(data).tobytes()


def test_colors_are_not_chosen_anew(tmp_path: Path) -> None:
    """An animation that fits costs at most twice what FFmpeg takes to decode and write it; it was three times."""
    frames = [files.photo(400, 300).rotate(3 * index).quantize(64) for index in range(12)]
    data = files.saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=40)
    start = time.process_time()
    outcome = run(data, "image/gif", tmp_path)
    spent_s = time.process_time() - start
    assert [p.tobytes() for p in gifs.seen(outcome.main)] == [p.tobytes() for p in gifs.seen(data)]
    assert len(outcome.main) < 1.02 * len(data)
    start = time.process_time()
    assert gifs.rewritten(data)
    assert spent_s < 2 * (time.process_time() - start)


@pytest.mark.parametrize(("loop", "plays"), [(0, 0), (3, 3), (None, None)])
def test_the_loop_is_kept(loop: int | None, plays: int | None, tmp_path: Path) -> None:
    block = [] if loop is None else [b"!\xff\x0bNETSCAPE2.0\x03\x01" + loop.to_bytes(2, "little") + b"\0"]
    gif = Gif((60, 40), [RED_FRAME, Frame(plain(60, 40, 1), delay_cs=13)], blocks=block)
    outcome = run(gif.data(), "image/gif", tmp_path)
    assert outcome.picture.info.get("loop") == plays
    assert outcome.file.properties["animation_duration_s"] == 0.2
