"""Owns the cover inside an audio file: which picture it is, and that only Pillow's safe decoders read it."""

import io

from PIL import Image, ImageOps

from app.core.processing.av.av_container import VideoStream

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
_MAX_BYTES = 16 * 1024 * 1024
_MAX_PIXELS = 64_000_000
_FRONT = "Cover (front)"


class CoverArt:
    """Takes the attached pictures of a file as they come and keeps the front cover, else the first."""

    def __init__(self) -> None:
        self._data: bytes | None = None
        self._is_front = False

    def add(self, stream: VideoStream, data: bytes) -> None:
        """stream: the attached picture's, whose tag `comment` says what it shows.  data: the encoded picture."""
        is_front = stream.metadata.get("comment") == _FRONT
        if 0 < len(data) <= _MAX_BYTES and (self._data is None or (is_front and not self._is_front)):
            self._data, self._is_front = data, is_front

    def image(self, *, max_pixels: int) -> Image.Image | None:
        """The cover upright and decoded; None when there is none, it is damaged, or larger than `max_pixels`."""
        if self._data is None:
            return None
        try:
            with Image.open(io.BytesIO(self._data), formats=_FORMATS) as picture:
                if picture.width * picture.height > min(max_pixels, _MAX_PIXELS):
                    return None
                return ImageOps.exif_transpose(picture)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            # A broken cover costs the cover, never the song.
            return None
