"""Owns what becomes of an uploaded raster image: upright, fitted, clean, with thumbnail and properties.

The steps are in `image_steps`, the formats in `image_codecs`, the limits in `image_limits`; this is their order.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.core.media_types import FileType
from app.core.processing import pictures, placeholders
from app.core.processing.contract import Job, JsonObject, ProcessedFile, ProcessingOptions, Rendition
from app.core.processing.imaging import (
    animations,
    color_profiles,
    exif,
    gif_frames,
    image_codecs,
    image_steps,
    image_upload,
    jpeg_quality,
    jpeg_segments,
)
from app.core.processing.imaging.gif_blocks import GifFile
from app.core.processing.imaging.image_upload import UploadedPicture
from app.core.processing.workers import heavy_work

_BYTES_PER_PIXEL = 4
"""Pillow keeps RGB in four bytes, as it does RGBA."""
_DRAFT_GAP = 2
"""Shrinking on load stops at twice the wanted size: the rest is left to LANCZOS, which is sharper."""
_THUMBNAIL_DRAFT_GAP = 1.25
"""A thumbnail from a quarter of the pixels was within 45 dB of one from all of them, in half the time."""


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """What was written: its path and size as displayed, and a picture of it to derive others from.

    image: the poster frame, upright; may be smaller than the stored file when that kept its pixels.
    profile: of `image`.  duration_s: of one round of an animation.
    """

    path: Path
    width_px: int
    height_px: int
    image: Image.Image
    profile: color_profiles.ColorProfile | None
    duration_s: float | None = None


def process(job: Job, file_type: FileType) -> ProcessedFile:
    """Store the picture of `job` in its own format (HEIC as JPEG) with a thumbnail, a BlurHash and its properties.

    Raises UnsupportedFileType, UnreadableFile, FileTooComplex; OSError when the disk fails.
    Source: the founding document, "Image Processing".
    """
    upload = image_upload.open_upload(Path(job.source), file_type, options=job.options)
    with heavy_work.turn(math.prod(upload.size) * _BYTES_PER_PIXEL):
        stored = process_image(upload, Path(job.output_dir) / f"image.{upload.codec.extension}", options=job.options)
        properties = extract_metadata(upload)
        thumbnail, small = create_thumbnail(stored, Path(job.output_dir) / "thumbnail", options=job.options)
    if stored.duration_s is not None:
        properties["animation_duration_s"] = stored.duration_s
    return ProcessedFile(
        mime_type=upload.codec.mime_type,
        extension=upload.codec.extension,
        main_path=str(stored.path),
        width_px=stored.width_px,
        height_px=stored.height_px,
        properties=properties | placeholders.of(small),
        thumbnail=thumbnail,
    )


def process_image(upload: UploadedPicture, path: Path, *, options: ProcessingOptions) -> StoredPicture:
    """Write the picture to `path`: upright, within the box, without metadata; a JPEG keeps its pixels where it can.

    Raises UnreadableFile, FileTooComplex.
    """
    if upload.gif is not None:
        return _store_gif(upload, upload.gif, path, options=options)
    if upload.frames - upload.first_frame > 1:
        return _store_animation(upload, path, options=options)
    if upload.jpeg is not None:
        kept = _kept_jpeg(upload, upload.jpeg, options=options)
        if kept is not None:
            return _store_unchanged(upload, kept, path, options=options)
    return _store_still(upload, path, options=options)


def create_thumbnail(stored: StoredPicture, path: Path, *, options: ProcessingOptions) -> tuple[Rendition, Image.Image]:
    """Write the thumbnail (JPEG in sRGB, 300 x 300 pixels at most) and give its pixels as well.

    path: without suffix, inside the job's `output_dir`.
    """
    box = (options.thumbnail_width_px, options.thumbnail_height_px)
    small = pictures.as_shown(stored.image, box=box, profile=stored.profile, keep_alpha=options.keep_alpha)
    return pictures.save_rendition(small, path, box=box, keep_alpha=options.keep_alpha), small


def extract_metadata(upload: UploadedPicture) -> JsonObject:
    """What the file says of itself: format, mode, size as displayed, frames, profile, camera, exposure and date.

    Complete once the picture was decoded.  Never a place, a serial number, an owner or a comment.
    """
    directory = upload.exif
    width, height = upload.size
    if image_steps.swaps_sides(exif.orientation_of(directory)):
        width, height = height, width
    found: JsonObject = {
        "format": "HEIC" if upload.codec.decoder == "HEIF" else upload.codec.decoder,
        "mode": upload.mode,
        "original_width": width,
        "original_height": height,
        "has_alpha": upload.image.has_transparency_data,
    }
    frames = upload.frames - upload.first_frame
    if frames > 1:
        found |= {"animated": True, "frames": frames}
    if upload.stated is not None:
        found |= upload.stated.facts()
    elif upload.profile is not None:
        found["icc_profile"] = upload.profile.name
    return found | exif.facts(directory)


def _kept_jpeg(
    upload: UploadedPicture, segments: jpeg_segments.JpegSegments, *, options: ProcessingOptions
) -> bytes | None:
    """The cleaned file, when neither size nor orientation nor colours must change and it is compressed enough."""
    image, profile = upload.image, upload.profile
    orientation = exif.orientation_of(upload.exif)
    fits = image_upload.target_size(upload, orientation=orientation, options=options) == upload.size
    if not fits or orientation != 1 or image.mode not in ("L", "RGB"):
        return None
    layers = getattr(image, "layer", [])
    tables = getattr(image, "quantization", {})
    if not jpeg_quality.is_within(options.image_quality, tables=tables, table_of_component=[row[3] for row in layers]):
        return None
    usable = profile is not None and profile.mode == image.mode
    return jpeg_segments.clean_copy(segments, icc_profile=profile.data if profile is not None and usable else None)


def _store_unchanged(upload: UploadedPicture, data: bytes, path: Path, *, options: ProcessingOptions) -> StoredPicture:
    # Decoding proves that the file is whole, and a thumbnail needs no more pixels than these.
    width, height = image_steps.fitted_size(
        upload.size, max_width_px=options.thumbnail_width_px, max_height_px=options.thumbnail_height_px
    )
    enough = (math.ceil(width * _THUMBNAIL_DRAFT_GAP), math.ceil(height * _THUMBNAIL_DRAFT_GAP))
    image = image_upload.decode(upload, at_least=enough)
    path.write_bytes(data)
    return StoredPicture(path, *upload.size, image=image, profile=upload.profile)


def _store_still(upload: UploadedPicture, path: Path, *, options: ProcessingOptions) -> StoredPicture:
    picture, preview = _reduced(upload, options=options) or (_decoded(upload, options=options), None)
    picture, profile = _in_storable_colors(picture, upload, options=options)
    if preview is not None and upload.stated is not None:
        preview = upload.stated.tone_mapped(preview)
    image_codecs.encode(
        [picture],
        path,
        format_name=upload.codec.stored_as,
        quality=options.image_quality,
        icc_profile=profile.data if profile is not None else None,
        lossless=upload.is_lossless,
    )
    return StoredPicture(path, *picture.size, image=preview or picture, profile=profile)


def _reduced(upload: UploadedPicture, *, options: ProcessingOptions) -> tuple[Image.Image, Image.Image] | None:
    """The picture as it is stored and one in the size of the thumbnail, both upright, from one decoding.

    None when the picture keeps its size or `image_upload.reduce` leaves it to Pillow.
    """
    if not upload.is_header_complete:
        return None
    orientation = exif.orientation_of(upload.exif)
    size = image_upload.target_size(upload, orientation=orientation, options=options)
    if size == upload.size:
        return None
    box = (options.thumbnail_width_px, options.thumbnail_height_px)
    width, height = box[::-1] if image_steps.swaps_sides(orientation) else box
    small = image_steps.fitted_size(size, max_width_px=width, max_height_px=height)
    pictures_made = image_upload.reduce(upload, sizes=(size, small), keep_alpha=options.keep_alpha)
    if pictures_made is None:
        return None
    stored, thumbnail = (image_steps.orient(picture, orientation=orientation) for picture in pictures_made)
    return stored, thumbnail


def _decoded(upload: UploadedPicture, *, options: ProcessingOptions) -> Image.Image:
    """The picture in the size to store, upright, by Pillow."""
    enough = None
    if upload.jpeg is not None:
        size = image_upload.target_size(upload, orientation=exif.orientation_of(upload.exif), options=options)
        enough = (size[0] * _DRAFT_GAP, size[1] * _DRAFT_GAP)
    decoded = image_upload.decode(upload, at_least=enough)
    # Only now, because PNG may carry its orientation behind the pixels.
    orientation = exif.orientation_of(upload.exif)
    size = image_upload.target_size(upload, orientation=orientation, options=options)
    with image_codecs.refusing_damage():
        return image_steps.orient(image_steps.shrink(decoded, size=size), orientation=orientation)


def _store_gif(upload: UploadedPicture, gif: GifFile, path: Path, *, options: ProcessingOptions) -> StoredPicture:
    """Frames that need not shrink keep their colours: choosing new ones took ten times as long as all the rest."""
    fits = image_upload.target_size(upload, orientation=1, options=options) == gif.size
    data = gif_frames.stored(gif, keep_alpha=options.keep_alpha) if fits else None
    if data is None:
        return _store_animation(upload, path, options=options)
    path.write_bytes(data)
    poster = animations.poster_of_gif(gif, keep_alpha=options.keep_alpha)
    return StoredPicture(path, *gif.size, image=poster, profile=None, duration_s=animations.duration_s(gif))


def _store_animation(upload: UploadedPicture, path: Path, *, options: ProcessingOptions) -> StoredPicture:
    if upload.gif is None:
        image_upload.decode(upload)
    orientation = exif.orientation_of(upload.exif)
    size = image_upload.target_size(upload, orientation=orientation, options=options)
    animation = animations.read(upload, size=size, orientation=orientation, keep_alpha=options.keep_alpha)
    profile = _usable(upload.profile, mode="RGB")
    image_codecs.encode(
        animation.frames,
        path,
        format_name=upload.codec.stored_as,
        quality=options.image_quality,
        icc_profile=profile.data if profile is not None else None,
        lossless=upload.is_lossless,
        durations_ms=animation.durations_ms,
        loop=animation.loop,
    )
    poster = animation.poster
    duration_s = sum(animation.durations_ms) / 1000 if len(animation.frames) > 1 else None
    return StoredPicture(path, *poster.size, poster, profile, duration_s)


def _in_storable_colors(
    picture: Image.Image, upload: UploadedPicture, *, options: ProcessingOptions
) -> tuple[Image.Image, color_profiles.ColorProfile | None]:
    """Eight bits, CMYK as sRGB, transparency on white unless it is kept; with the profile that goes with the result."""
    profile = upload.profile
    keeps_alpha = options.keep_alpha and upload.codec.keeps_alpha and not image_steps.is_opaque(picture)
    if upload.stated is not None:
        picture = upload.stated.tone_mapped(picture)
        if not keeps_alpha and profile is not None and not image_steps.is_opaque(picture):
            # Browsers mix colours as sRGB: half of black on white is another grey in numbers of another curve.
            picture, profile = color_profiles.to_srgb_under_alpha(image_steps.to_eight_bits(picture), profile), None
    picture = image_steps.to_eight_bits(picture) if keeps_alpha else image_steps.flatten(picture)
    if not upload.codec.keeps_palette:
        picture = image_steps.to_eight_bits(picture)
    if picture.mode == "CMYK":
        return color_profiles.to_srgb(picture, profile), None
    if picture is upload.image:
        picture = picture.copy()  # its metadata are read later, and those of what is written go
    return picture, _usable(profile, mode="L" if picture.mode in ("1", "L", "LA") else "RGB")


def _usable(profile: color_profiles.ColorProfile | None, *, mode: str) -> color_profiles.ColorProfile | None:
    return profile if profile is not None and profile.mode == mode else None
