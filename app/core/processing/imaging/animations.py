"""Owns moving pictures: every frame through the same steps, durations and loop kept. Imports Pillow only."""

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from app.core.processing.imaging import gif_frames, image_codecs, image_steps
from app.core.processing.imaging.gif_blocks import GifFile
from app.core.processing.imaging.image_upload import UploadedPicture

_MAX_DURATION_MS = 0xFFFF * 10


@dataclass(frozen=True, slots=True)
class Animation:
    """Frames of one size and mode, each with its milliseconds; loop is 0 for ever, None when the file says nothing."""

    frames: list[Image.Image]
    durations_ms: list[int]
    loop: int | None

    @property
    def poster(self) -> Image.Image:
        """The first frame that shows more than one plain colour, else the first."""
        return next((frame for frame in self.frames if _shows_something(frame)), self.frames[0])


def read(upload: UploadedPicture, *, size: tuple[int, int], orientation: int, keep_alpha: bool) -> Animation:
    """Decode, shrink to `size` and orient every frame; all become RGBA when `keep_alpha`, else RGB on white.

    Raises UnreadableFile when a frame is damaged, FileTooComplex when memory does not suffice.
    """
    frames: list[Image.Image] = []
    durations: list[int] = []
    for picture, duration in _of_gif(upload.gif) if upload.gif is not None else _seen_by_pillow(upload):
        with image_codecs.refusing_damage():
            small = image_steps.shrink(picture, size=size)
            upright = image_steps.orient(small, orientation=orientation)
            if upload.stated is not None:
                upright = upload.stated.tone_mapped(upright)
            flat = image_steps.to_eight_bits(upright) if keep_alpha else image_steps.flatten(upright)
            frames.append(flat.convert("RGBA" if keep_alpha else "RGB"))
        durations.append(_milliseconds(duration))
    loop = upload.image.info.get("loop") if upload.gif is None else upload.gif.loop
    return Animation(frames, durations, loop if isinstance(loop, int) else None)


def poster_of_gif(gif: GifFile, *, keep_alpha: bool) -> Image.Image:
    """The first frame that shows more than one plain colour, else the first; RGBA when `keep_alpha`, else RGB on white.

    Raises UnreadableFile when a frame up to it is damaged.
    """
    first: Image.Image | None = None
    for frame in gif_frames.shown(gif):
        flat = frame if keep_alpha else image_steps.flatten(frame)
        if _shows_something(flat):
            return flat
        first = first or flat
    assert first is not None
    return first


def duration_s(gif: GifFile) -> float | None:
    """Seconds of one round; None for a still."""
    return sum(frame.delay_cs for frame in gif.frames) / 100 if len(gif.frames) > 1 else None


def _of_gif(gif: GifFile) -> Iterator[tuple[Image.Image, object]]:
    for frame, picture in zip(gif.frames, gif_frames.shown(gif), strict=True):
        yield picture, frame.delay_cs * 10


def _seen_by_pillow(upload: UploadedPicture) -> Iterator[tuple[Image.Image, object]]:
    for index in range(upload.first_frame, upload.frames):
        with image_codecs.refusing_damage():
            upload.image.seek(index)
            upload.image.load()
        yield upload.image, upload.image.info.get("duration")


def _milliseconds(value: object) -> int:
    return min(_MAX_DURATION_MS, max(0, round(value))) if isinstance(value, int | float) else 0


def _shows_something(frame: Image.Image) -> bool:
    darkest, brightest = frame.convert("L").getextrema()
    return darkest != brightest
