"""The files that are uploaded, made in code and kept in a cache directory between runs.

Photographs are simulated: smooth shapes, edges and sensor noise, because flat pictures decode and encode far faster
than real ones, and pure noise far slower.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
from av import VideoStream
from PIL import Image, ImageChops, ImageDraw, ImageFilter

VERSION = "3"
"""Part of the cache's file names: change it together with how a file is made."""

SMALL_JPEG_SIZE_PX = (1600, 1200)
SMALL_JPEG_BYTES = 200_000
LARGE_JPEG_SIZE_PX = (4000, 3000)
VIDEO_BYTES = 95_000_000
GROWTH_SIZES_PX = ((1000, 750), (2000, 1500), (3000, 2250), (4000, 3000), (5200, 3900))
"""0.75, 3, 6.75, 12 and 20 megapixels, for how the cost grows."""
GROWTH_VIDEO_BYTES = (10_000_000, 40_000_000)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Paths of the files; the two `growth_` tuples are in the order of the constants."""

    small_jpeg: Path
    large_jpeg: Path
    video: Path
    growth_jpegs: tuple[Path, ...]
    growth_videos: tuple[Path, ...]


def make_corpus(directory: Path) -> Corpus:
    """All files, made where they are missing; about 180 MB."""
    directory.mkdir(parents=True, exist_ok=True)
    return Corpus(
        small_jpeg=_cached(directory / f"small-{VERSION}.jpg", _write_small_jpeg),
        large_jpeg=_cached(directory / f"large-{VERSION}.jpg", partial(_write_photo, size_px=LARGE_JPEG_SIZE_PX)),
        video=_cached(directory / f"video-{VERSION}.mp4", partial(make_video, size_bytes=VIDEO_BYTES)),
        growth_jpegs=tuple(
            _cached(directory / f"{width}x{height}-{VERSION}.jpg", partial(_write_photo, size_px=(width, height)))
            for width, height in GROWTH_SIZES_PX
        ),
        growth_videos=tuple(
            _cached(directory / f"video-{size}-{VERSION}.mp4", partial(make_video, size_bytes=size))
            for size in GROWTH_VIDEO_BYTES
        ),
    )


def photo(size_px: tuple[int, int], *, noise_sigma: float) -> Image.Image:
    """A picture with the statistics of a photograph; noise_sigma in steps of 8 bits."""
    width, height = size_px
    sky = Image.linear_gradient("L").resize(size_px)
    glow = Image.radial_gradient("L").resize(size_px)
    picture = Image.merge("RGB", (sky, ImageChops.add(sky, glow, scale=2), ImageChops.invert(glow)))
    # Texture of several sizes: noise made small, then enlarged, looks like foliage, cloth and clouds.
    for share, strength in ((64, 0.35), (16, 0.2), (4, 0.08)):
        texture = Image.effect_noise((max(1, width // share), max(1, height // share)), 90).resize(
            size_px, Image.Resampling.BICUBIC
        )
        picture = Image.blend(picture, Image.merge("RGB", (texture, texture, texture)), strength)
    draw = ImageDraw.Draw(picture)
    for number in range(40):  # edges
        x, y = number * 997 % width, number * 613 % height
        side = 20 + number * 37 % (width // 8)
        colour = (number * 53 % 256, number * 97 % 256, number * 151 % 256)
        draw.ellipse((x, y, x + side, y + side * 2 // 3), outline=colour, width=1 + number % 7)
    picture = picture.filter(ImageFilter.GaussianBlur(0.6))  # no lens is sharper than this
    grain = Image.effect_noise(size_px, noise_sigma)
    return ImageChops.add(picture, Image.merge("RGB", (grain, grain, grain)), scale=1, offset=-128)


def _cached(path: Path, write: Callable[[Path], None]) -> Path:
    if not path.exists():
        unfinished = path.with_suffix(".new")
        write(unfinished)
        unfinished.rename(path)
    return path


def _write_photo(path: Path, *, size_px: tuple[int, int]) -> None:
    photo(size_px, noise_sigma=9).save(path, "JPEG", quality=90, exif=_camera_exif())


def _write_small_jpeg(path: Path) -> None:
    """1600 x 1200 within a tenth of 200 KB at quality 85 at most, as a website's own export is."""
    picture = photo(SMALL_JPEG_SIZE_PX, noise_sigma=5)
    low, high = 40, 85
    while low < high:  # the highest quality that is not above the wanted size
        quality = (low + high + 1) // 2
        picture.save(path, "JPEG", quality=quality)
        low, high = (quality, high) if path.stat().st_size <= SMALL_JPEG_BYTES else (low, quality - 1)
    picture.save(path, "JPEG", quality=low, exif=_camera_exif())


def _camera_exif() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Camera", "Model", 1
    return exif.tobytes()


def make_video(path: Path, *, size_bytes: int) -> None:
    """Ten seconds of H.264 at 1280 x 720, padded to its size by a `free` box, which every reader skips."""
    size_px = (1280, 720)
    background = photo(size_px, noise_sigma=3)
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as output:
        stream = output.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size_px, "yuv420p"
        for number in range(250):
            moved = ImageChops.offset(background, number * 4, 0).convert("RGBA")
            frame = av.VideoFrame.from_bytes(moved.tobytes(), *size_px, format="rgba").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with path.open("ab") as file:
        padding = size_bytes - file.tell()
        file.write(struct.pack(">I4s", padding, b"free"))
        # Not zeros: a file system that compresses or keeps holes would be given a present.
        block = Image.effect_noise((1024, 1024), 100).tobytes()
        left = padding - 8
        while left > 0:
            file.write(block[:left])
            left -= len(block)
