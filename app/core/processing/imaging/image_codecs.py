"""Owns which decoder reads a picture and how each format is written; the only importer of pillow-heif."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import pillow_heif
from PIL import AvifImagePlugin, Image, PngImagePlugin

from app.core.errors import FileTooComplex, InvalidUpload, UnreadableFile, UnsupportedFileType
from app.core.media_types import FileType
from app.core.processing.imaging import vips_codec

# A thread of its own per core would reserve 128 MiB of address space each, out of the sandbox's one GiB.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# Unpacked bytes of a profile or a text in a PNG, beyond which Pillow calls the picture damaged; its own one MiB is less
# than the XMP of an edited photo and the profile of a scanner may have. The sum of the texts stays at its 64 MiB.
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 1024 * 1024
pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)

_FAULTS: Final = (
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    struct.error,
    zlib.error,
    ArithmeticError,
    RuntimeError,
    NotImplementedError,
)
"""What the decoders raise, beside OSError, over bytes that are not what they expect."""


@dataclass(frozen=True, slots=True)
class Codec:
    """decoder: the one Pillow plug-in that may read the file.  stored_as: the format it is written in."""

    decoder: str
    stored_as: str
    mime_type: str
    extension: str
    keeps_alpha: bool = True
    keeps_palette: bool = False


_CODECS: Final = {
    "image/jpeg": Codec("JPEG", "JPEG", "image/jpeg", "jpg", keeps_alpha=False),
    "image/png": Codec("PNG", "PNG", "image/png", "png", keeps_palette=True),
    "image/gif": Codec("GIF", "GIF", "image/gif", "gif", keeps_palette=True),
    "image/webp": Codec("WEBP", "WEBP", "image/webp", "webp"),
    "image/avif": Codec("AVIF", "AVIF", "image/avif", "avif"),
    "image/heic": Codec("HEIF", "JPEG", "image/jpeg", "jpg", keeps_alpha=False),
}


def codec_for(file_type: FileType, *, accept_heic: bool) -> Codec:
    """The codec of a row of the type table. Raises UnsupportedFileType for anything that is no picture of ours."""
    codec = _CODECS.get(file_type.mime_type)
    if codec is None or (codec.decoder == "HEIF" and not accept_heic):
        raise UnsupportedFileType(f"Images of type {file_type.mime_type} are not accepted.")
    return codec


def open_image(source: Path | BinaryIO, codec: Codec, *, max_pixels: int) -> Image.Image:
    """The picture with its header read and nothing decoded, by exactly the decoder that was chosen.

    Raises UnreadableFile for damage, FileTooComplex above `max_pixels` (width x height).
    """
    with refusing_damage():
        # Pillow refuses above twice this number; WebP allocates its canvas on opening, so a check afterwards is late.
        Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2
        try:
            return Image.open(source, formats=[codec.decoder])
        except Image.DecompressionBombError as exc:
            raise FileTooComplex(f"The image exceeds the limit of {max_pixels} pixels.") from exc


@contextmanager
def refusing_damage() -> Iterator[None]:
    """Turn what decoders raise over bad bytes into UnreadableFile or FileTooComplex; warnings of theirs are dropped.

    An OSError with a number comes from the disk, not from the file, and passes through.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InvalidUpload:
        raise
    except (MemoryError, Image.DecompressionBombError) as exc:
        raise FileTooComplex("The image needs more memory than one upload may have.") from exc
    except OSError as exc:
        if exc.errno is not None:
            raise
        raise UnreadableFile("The image is damaged or incomplete.") from exc
    except _FAULTS as exc:
        raise UnreadableFile("The image is damaged or incomplete.") from exc


def is_lossless_webp(data: bytes) -> bool:
    """Whether the first picture of a WebP file is stored without loss. Source: RFC 9649 section 2."""
    position = 12
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        if name in (b"VP8L", b"VP8 "):
            return bool(name == b"VP8L")
        # A frame of an animation holds its picture behind 16 bytes of its own; other chunks are skipped whole.
        position += 8 + (16 if name == b"ANMF" else length + (length & 1))
    return False


def encode(
    frames: list[Image.Image],
    path: Path,
    *,
    format_name: str,
    quality: int,
    icc_profile: bytes | None = None,
    lossless: bool = False,
    durations_ms: list[int] | None = None,
    loop: int | None = None,
) -> None:
    """Write one picture, or an animation when there are more frames, with this colour profile and no other metadata.

    quality: 1-100 for JPEG and WebP; AVIF has a scale of its own.  durations_ms: one a frame.  loop: 0 for ever.
    Raises FileTooComplex when the encoder's memory does not suffice.
    """
    if format_name == "PNG" and len(frames) == 1:
        packed = vips_codec.packed_png(frames[0], icc_profile=icc_profile)
        if packed is not None:
            path.write_bytes(packed)
            return
    settings: dict[str, object] = _SETTINGS[format_name](quality, lossless, len(frames) > 1)
    if icc_profile is not None and format_name != "GIF":
        settings["icc_profile"] = icc_profile
    if len(frames) > 1:
        settings |= {"save_all": True, "append_images": frames[1:], "duration": durations_ms}
        settings |= {} if loop is None else {"loop": loop}
        if any(frame.mode == "RGBA" for frame in frames) and format_name == "GIF":
            # Without it the previous frame would shine through the transparent places of the next one.
            settings["disposal"] = 2
    for frame in frames:
        # Comments, text chunks and EXIF would travel through `info` into the new file.
        frame.info = {}
    try:
        frames[0].save(path, format_name, **settings)
    except MemoryError as exc:
        raise FileTooComplex("The image needs more memory than one upload may have.") from exc


def _jpeg(quality: int, _lossless: bool, _animated: bool) -> dict[str, object]:
    # Of three megapixels a progressive file was 7 % smaller and took 76 ms instead of 13 to write (2026-11).
    return {"quality": quality, "subsampling": "4:2:0"}


def _png(_quality: int, _lossless: bool, _animated: bool) -> dict[str, object]:
    return {"compress_level": 6}


def _gif(_quality: int, _lossless: bool, _animated: bool) -> dict[str, object]:
    return {}


def _webp(quality: int, lossless: bool, animated: bool) -> dict[str, object]:
    return {"quality": quality, "lossless": lossless, "method": 2 if animated else 4}


def _avif(_quality: int, _lossless: bool, _animated: bool) -> dict[str, object]:
    # Three megapixels took 0.7 s at speed 9, 3.3 s at 8 and 6.0 s at 6, for files within 2 % of one another (2026-11).
    return {"quality": 75, "speed": 9, "max_threads": 1}


_SETTINGS: Final = {"JPEG": _jpeg, "PNG": _png, "GIF": _gif, "WEBP": _webp, "AVIF": _avif}
