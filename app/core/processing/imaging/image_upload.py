"""Owns the reading of an uploaded picture: bytes, header, limits, decoding. Imports no encoder."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.core.errors import UnreadableFile
from app.core.media_types import FileType
from app.core.processing.contract import ProcessingOptions
from app.core.processing.imaging import (
    color_profiles,
    exif,
    ffmpeg_codec,
    gif_blocks,
    image_codecs,
    image_limits,
    image_steps,
    jpeg_damage,
    jpeg_segments,
    png_chunks,
    png_transparency,
    stated_colors,
    vips_codec,
)


@dataclass(frozen=True, slots=True)
class UploadedPicture:
    """A picture whose header was read and found within the limits; `image` is decoded only when `decode` is called.

    data: the file.  size: as stored, before orientation.  frames: what is shown one after the other, 1 for a still.
    is_header_complete: nothing behind the pixels adds to `image.info`.
    stated: the colours that the file states and that go before an ICC profile, None when there are none.
    profile: of the file or, for stated colours, one that says the same; None when there is none worth keeping.
    """

    data: bytes
    image: Image.Image
    codec: image_codecs.Codec
    size: tuple[int, int]
    mode: str
    frames: int
    is_lossless: bool
    is_header_complete: bool
    stated: stated_colors.StatedColors | None
    profile: color_profiles.ColorProfile | None
    jpeg: jpeg_segments.JpegSegments | None
    png: png_chunks.PngFile | None
    gif: gif_blocks.GifFile | None

    @property
    def exif(self) -> Image.Exif:
        """Complete only after decoding where the header is not: PNG may carry it behind the pixels."""
        return exif.read(self.image, is_header_complete=self.is_header_complete)

    @property
    def first_frame(self) -> int:
        """Index of the first frame of the animation: an APNG may begin with a picture for old viewers only."""
        return 1 if self.frames > 1 and self.image.info.get("default_image") else 0


def open_upload(source: Path, file_type: FileType, *, options: ProcessingOptions) -> UploadedPicture:
    """Read the header of the file and check every limit; nothing is decoded.

    Raises UnsupportedFileType, UnreadableFile, FileTooComplex; OSError when the disk fails.
    """
    codec = image_codecs.codec_for(file_type, accept_heic=options.accept_heic)
    data = source.read_bytes()
    segments, png, gif = None, None, None
    if codec.decoder == "JPEG":
        segments = jpeg_segments.parse(data)
        data = jpeg_segments.with_end(data, segments)
    elif codec.decoder == "GIF":
        image_limits.check_gif(data, options=options)
        gif = gif_blocks.read(data)
    elif codec.decoder == "PNG":
        image_limits.check_png(data)
        png = png_chunks.read(data)
        data = png.data
    try:
        image = image_codecs.open_image(io.BytesIO(data), codec, max_pixels=options.max_image_pixels)
    except UnreadableFile:
        if codec.decoder in ("AVIF", "HEIF"):
            image_limits.check_iso(data, options=options)
        raise
    if png is not None and png.key_of_eight_bits is not None:
        image.info["transparency"] = png.key_of_eight_bits
    frames = _frame_count(image, codec) if gif is None else len(gif.frames)
    image_limits.check(width_px=image.width, height_px=image.height, frames=frames, options=options)
    is_header_complete = png is None or png.is_header_complete
    profile = color_profiles.read(image.info.get("icc_profile"))
    stated = stated_colors.read(
        data,
        image,
        decoder=codec.decoder,
        has_profile=profile is not None,
        is_header_complete=is_header_complete,
    )
    if stated is not None:
        # Every frame of an animation is written as RGB.
        profile = stated.profile(mode=image.mode if frames == 1 else "RGB")
    return UploadedPicture(
        data=data,
        image=image,
        codec=codec,
        size=image.size,
        mode=image.mode,
        frames=frames,
        is_lossless=codec.decoder == "WEBP" and image_codecs.is_lossless_webp(data),
        is_header_complete=is_header_complete,
        stated=stated,
        profile=profile,
        jpeg=segments,
        png=png,
        gif=gif,
    )


def decode(upload: UploadedPicture, *, at_least: tuple[int, int] | None = None) -> Image.Image:
    """Decode the first frame; a JPEG may come at a half, a quarter or an eighth of its size, which is then `at_least`.

    Raises UnreadableFile when the data are damaged or cut off, FileTooComplex when memory does not suffice.
    """
    with image_codecs.refusing_damage():
        if at_least is not None:
            upload.image.draft(None, at_least)
        upload.image.load()
        if upload.png is not None and upload.png.bits == 16 and isinstance(upload.png.transparent_key, tuple):
            png_transparency.keep_apart(upload.image, upload.data, key=upload.png.transparent_key)
    if upload.jpeg is not None:
        jpeg_damage.check(upload.data, upload.jpeg, upload.image, size=upload.size)
    return upload.image


def reduce(upload: UploadedPicture, *, sizes: Sequence[tuple[int, int]], keep_alpha: bool) -> list[Image.Image] | None:
    """The picture at each of `sizes`, L, YCbCr or RGB, on white, decoded once; the largest size comes first.

    None when it is no ordinary still of eight bits, or is damaged: then `decode` gives the picture or the refusal.
    """
    if not _is_ordinary(upload):
        return None
    # What shows through is laid on white in its stored numbers here, which are to be those of sRGB.
    if (keep_alpha or upload.stated is not None) and upload.image.has_transparency_data:
        return None
    if upload.codec.decoder == "JPEG" and _has_luma(upload):
        pictures = ffmpeg_codec.reduced(upload.data, mode=upload.mode, size=upload.size, sizes=sizes)
        if pictures is not None:
            return pictures
    if upload.jpeg is not None and upload.jpeg.end is not None:
        return None  # libvips does not mind when the last rows are missing
    return vips_codec.reduced(upload.data, upload.codec.decoder, size=upload.size, sizes=sizes)


def target_size(upload: UploadedPicture, *, orientation: int, options: ProcessingOptions) -> tuple[int, int]:
    """The size to store, before orientation is applied: within the box as it will be displayed."""
    width, height = options.max_image_width_px, options.max_image_height_px
    if image_steps.swaps_sides(orientation):
        width, height = height, width
    return image_steps.fitted_size(upload.size, max_width_px=width, max_height_px=height)


def _is_ordinary(upload: UploadedPicture) -> bool:
    """Whether others than Pillow may read it.

    What is left out here, they would show in other colours, or accept with a part cut.
    """
    if upload.frames != 1 or not upload.is_header_complete:
        return False
    match upload.codec.decoder:
        case "JPEG":
            return upload.mode in ("L", "RGB") and upload.jpeg is not None and upload.jpeg.is_plain
        case "PNG":
            # The tile names the bits of the file: Pillow reads pictures of 16 and of 2 bits into the same modes.
            tiles = getattr(upload.image, "tile", [])
            is_plain = "interlace" not in upload.image.info and "transparency" not in upload.image.info
            return (
                is_plain
                and upload.mode in ("L", "LA", "RGB", "RGBA")
                and [tile.args for tile in tiles] == [upload.mode]
            )
        case "WEBP":
            return True
    return False


def _has_luma(upload: UploadedPicture) -> bool:
    """Whether nobody could take the components of this JPEG for RGB: libjpeg and FFmpeg go by different signs."""
    segments = upload.jpeg
    if segments is None:
        return False
    ids = [row[0] for row in getattr(upload.image, "layer", [])]
    by_ids = segments.adobe_transform is None and ids == [1, 2, 3]
    return upload.mode == "L" or segments.has_jfif or segments.adobe_transform == 1 or by_ids


def _frame_count(image: Image.Image, codec: image_codecs.Codec) -> int:
    # A JPEG may hold a second eye or a gain map, a HEIC a burst: the picture is the first one.
    if codec.decoder in ("JPEG", "HEIF"):
        return 1
    with image_codecs.refusing_damage():
        count = getattr(image, "n_frames", 1)
    return count if isinstance(count, int) else 1
