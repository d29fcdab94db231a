"""Owns what is read out of a video: size as displayed, duration, codecs, tags, and a poster. The file itself stays.

Damage: no readable container or no stream of moving pictures in it is UnreadableFile, an index that does not fit into
memory FileTooComplex. A readable container whose frames do not decode (unknown codec, damage, frames beyond 8K) is a
video without poster and placeholder, with what its header says.
"""

from fractions import Fraction
from pathlib import Path

from PIL import Image

from app.core.errors import UnreadableFile
from app.core.media_types import FileType
from app.core.processing import pictures, placeholders
from app.core.processing.av import av_tags, frame_search, hdr, poster
from app.core.processing.av.av_container import (
    InputContainer,
    VideoFrame,
    VideoStream,
    audio_streams,
    codec_name,
    demuxer_for,
    frame_size,
    open_container,
    pixel_aspect,
    transfer_of,
    video_streams,
)
from app.core.processing.av.av_duration import duration_of
from app.core.processing.contract import Job, JsonObject, ProcessedFile, Rendition

_HEAD_BYTES = 512
_MAX_FRAME_RATE = 1_000
_MAX_BIT_RATE = 10**12
_CLOCKWISE = {"ROTATE_270": 90, "ROTATE_180": 180, "ROTATE_90": 270, "TRANSPOSE": 90, "TRANSVERSE": 270}


def process(job: Job, file_type: FileType) -> ProcessedFile:
    """Facts and pictures of the staged video; `main_path` is None: the file is stored byte for byte.

    `properties`: container, video_codec, audio_codecs, has_audio, audio_tracks, duration_s (rounded to milliseconds),
    frame_rate, bit_rate (of the whole file, bits/s), rotation (degrees clockwise that players apply), hdr, title,
    artist, taken_at, and the placeholder's; absent when unknown.
    Raises UnreadableFile and FileTooComplex as the module says.
    """
    with Path(job.source).open("rb") as staged:
        demuxer = demuxer_for(file_type.mime_type, head=staged.read(_HEAD_BYTES))
    with open_container(job.source, demuxer=demuxer) as container:
        stream = _main_stream(container)
        duration_s = duration_of(job.source, demuxer=demuxer, container=container)
        # Read before any frame is decoded, for a decoder overwrites them with whatever a damaged frame says.
        coded, aspect, transfer = frame_size(stream), pixel_aspect(stream), transfer_of(stream)
        facts = _facts(job.source, container, stream, demuxer=demuxer, duration_s=duration_s)
        frame = frame_search.best_frame(container, stream, duration_s=duration_s)
        if frame is not None:
            # A sound frame knows better than the header of the file, which some recorders get wrong.
            coded, aspect, transfer = (frame.width, frame.height), pixel_aspect(stream), frame.color_trc
        turn = poster.turned(frame) if frame is not None else None
        facts["rotation"] = _CLOCKWISE.get(turn.name, 0) if turn is not None else 0
        facts["hdr"] = hdr.is_hdr(transfer)
        width, height = _shown_size(coded, turn, pixel_aspect=aspect)
        large, small, placeholder = _pictures(job, frame, aspect=aspect)
    return ProcessedFile(
        mime_type=file_type.mime_type,
        extension=file_type.stored_extension(job.filename),
        width_px=width,
        height_px=height,
        duration_s=duration_s,
        properties=facts | placeholder,
        poster=large,
        thumbnail=small,
    )


def _main_stream(container: InputContainer) -> VideoStream:
    streams = video_streams(container)
    if not streams:
        raise UnreadableFile("The file contains no video that can be read.")
    best = container.streams.best("video")
    return next((stream for stream in streams if best is not None and stream.index == best.index), streams[0])


def _facts(
    path: str, container: InputContainer, stream: VideoStream, *, demuxer: str, duration_s: float | None
) -> JsonObject:
    sound = audio_streams(container)
    facts: JsonObject = {
        "container": demuxer,
        "video_codec": codec_name(stream),
        "audio_codecs": [codec_name(track) for track in sound],
        "has_audio": bool(sound),
        "audio_tracks": len(sound),
    }
    if duration_s is not None:
        facts["duration_s"] = round(duration_s, 3)
        facts["bit_rate"] = min(_MAX_BIT_RATE, round(container.size * 8 / duration_s))
    rate = stream.average_rate
    if rate is not None and 0 < rate <= _MAX_FRAME_RATE:
        facts["frame_rate"] = round(float(rate), 3)
    return facts | av_tags.video_tags(path, demuxer, container.metadata, stream.metadata)


def _shown_size(
    coded: tuple[int, int] | None, turn: Image.Transpose | None, *, pixel_aspect: Fraction | None
) -> tuple[int | None, int | None]:
    if coded is None:
        return None, None
    width, height = poster.shown_size(*coded, pixel_aspect=pixel_aspect)
    return (height, width) if turn in poster.SIDEWAYS else (width, height)


def _pictures(
    job: Job, frame: VideoFrame | None, *, aspect: Fraction | None
) -> tuple[Rendition | None, Rendition | None, JsonObject]:
    """Poster, thumbnail and placeholder; nothing of the three without a frame."""
    options, output = job.options, Path(job.output_dir)
    box = (options.poster_width_px, options.poster_height_px)
    image = None
    if frame is not None:
        image = poster.picture(frame, pixel_aspect=aspect, box=box)
    if image is None:
        return None, None, {}
    large = pictures.save_rendition(
        image, output / "poster.jpg", box=box, quality=options.image_quality, is_progressive=False
    )
    thumbnail_box = (options.thumbnail_width_px, options.thumbnail_height_px)
    small = pictures.save_rendition(image, output / "thumbnail.jpg", box=thumbnail_box)
    return large, small, placeholders.of(image)
