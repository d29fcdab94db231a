"""Owns what is read out of a sound file: duration, codec, tags, cover or drawn waveform, peaks. The file itself stays.

Damage: no readable container or no sound in it is UnreadableFile, an index that does not fit into memory
FileTooComplex. A readable container whose packets do not decode (unknown codec, damage) is a sound without waveform.
The whole file is walked once for all of it; decoding ends after eight seconds of processor time, walking after four
more. What plays longer than a quarter of an hour is decoded in parts (one stretch of so many); its length stays exact.
"""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.core.errors import UnreadableFile
from app.core.media_types import FileType
from app.core.processing import pictures, placeholders
from app.core.processing.av import av_tags, waveform
from app.core.processing.av.av_container import (
    AudioStream,
    InputContainer,
    attached_pictures,
    audio_streams,
    can_decode,
    codec_name,
    demuxer_for,
    open_container,
    prepare_decoder,
    sample_rate,
)
from app.core.processing.av.av_duration import PlayedSpan, header_seconds
from app.core.processing.av.av_packets import CpuBudget, PacketWalk, audio_frames
from app.core.processing.av.cover_art import CoverArt
from app.core.processing.av.ogg_duration import ogg_seconds
from app.core.processing.contract import Job, JsonObject, ProcessedFile, Waveform

_HEAD_BYTES = 512
_DECODE_CPU_S = 8.0
_WALK_CPU_S = _DECODE_CPU_S + 4.0
_WHOLE_UP_TO_S = 900
_STRETCH_PACKETS = 24
_WARM_UP_PACKETS = 8
"""After a gap a decoder lacks what it remembers of the packets before, and its first output rings (MP3: up to five)."""
_HEADER_TOLERANCE_S = 0.1
_PAGES_CPU_S = 2.0
_BARE_FRAMES, _TAGGED_FRAMES = frozenset({"mp3", "aac"}), frozenset({"mp3"})
_MOST_PADDING_S = 0.4
"""What an encoder adds before and behind the sound and a decoder leaves out: 2.7 frames of LAME, at 8 kHz."""
_DRAWN_ASPECT = 2


@dataclass(frozen=True, slots=True)
class _Heard:
    duration_s: float | None
    bit_rate: int | None
    peaks: Waveform | None
    cover: CoverArt


def process(job: Job, file_type: FileType) -> ProcessedFile:
    """Facts of the staged sound file; `main_path` is None: the file is stored byte for byte.

    `properties`: container, audio_codec, sample_rate (Hz), channels, duration_s (rounded to milliseconds), bit_rate (of
    the sound alone, bits/s), title, artist, album, album_artist, genre, track, track_count, year, has_cover, and the
    cover's placeholder; absent when unknown.  The thumbnail is the cover, else the drawn waveform.
    Raises UnreadableFile and FileTooComplex as the module says.
    """
    with Path(job.source).open("rb") as staged:
        demuxer = demuxer_for(file_type.mime_type, head=staged.read(_HEAD_BYTES))
    with open_container(job.source, demuxer=demuxer) as container:
        stream = _main_stream(container)
        tags = av_tags.audio_tags(job.source, demuxer, container.metadata, stream.metadata)
        heard = _listen(job.source, container, stream, demuxer=demuxer)
        facts = _facts(stream, heard, demuxer=demuxer) | tags
    cover = heard.cover.image(max_pixels=job.options.max_image_pixels)
    picture = cover or _drawn(job, heard.peaks)
    box = (job.options.thumbnail_width_px, job.options.thumbnail_height_px)
    thumbnail = pictures.save_rendition(picture, Path(job.output_dir) / "thumbnail.jpg", box=box) if picture else None
    facts["has_cover"] = cover is not None
    return ProcessedFile(
        mime_type=file_type.mime_type,
        extension=file_type.stored_extension(job.filename),
        duration_s=heard.duration_s,
        properties=facts | (placeholders.of(cover) if cover else {}),
        thumbnail=thumbnail,
        waveform=heard.peaks,
    )


def _main_stream(container: InputContainer) -> AudioStream:
    streams = audio_streams(container)
    if not streams:
        raise UnreadableFile("The file contains no sound that can be read.")
    best = container.streams.best("audio")
    return next((stream for stream in streams if best is not None and stream.index == best.index), streams[0])


def _listen(path: str, container: InputContainer, stream: AudioStream, *, demuxer: str) -> _Heard:
    """One walk through the file: its true length, its peaks, its cover."""
    header_s = header_seconds(container) if demuxer != "ogg" else ogg_seconds(path, budget=CpuBudget(_PAGES_CPU_S))
    meter = waveform.PeakMeter(expected_samples=int(min(header_s or 0.0, _WHOLE_UP_TO_S) * sample_rate(stream)))
    part = max(1, round((header_s or 0.0) / _WHOLE_UP_TO_S))
    covers = {picture.index: picture for picture in attached_pictures(container)}
    span, art, decoding, is_whole = PlayedSpan(), CoverArt(), CpuBudget(_DECODE_CPU_S), can_decode(stream)
    decoded_s = 0.0
    if is_whole:
        prepare_decoder(stream)
    walk = PacketWalk(container, stream, *covers.values(), budget=CpuBudget(_WALK_CPU_S))
    for number, packet in enumerate(walk):
        if packet.stream_index in covers:
            art.add(covers[packet.stream_index], bytes(packet))
            continue
        span.add(packet)
        place = number % (_STRETCH_PACKETS * part)
        if is_whole and (part == 1 or place < _WARM_UP_PACKETS + _STRETCH_PACKETS):
            for frame in audio_frames(stream, packet):
                decoded_s += frame.samples / frame.sample_rate
                if part == 1 or place >= _WARM_UP_PACKETS:
                    meter.add(frame)
            is_whole = place != 0 or not decoding.is_spent
    duration_s = _settled(
        header_s,
        span.seconds if walk.is_complete else None,
        decoded_s if is_whole and part == 1 else None,
        demuxer=demuxer,
    )
    bit_rate = round(span.size_bytes * 8 / duration_s) if duration_s and walk.is_complete else None
    return _Heard(duration_s, bit_rate, meter.waveform(decoded_part=part) if is_whole else None, art)


def _settled(header_s: float | None, walked_s: float | None, decoded_s: float | None, *, demuxer: str) -> float | None:
    """The header's duration when the packets agree with it, for it knows of the padding that encoders add.

    Rows of bare frames have no header, or one that an encoder's tag only estimates: there the decoder knows better.
    """
    if demuxer == "ogg" and header_s is not None:
        return header_s
    if header_s is None or walked_s is None:
        return walked_s or header_s
    if demuxer in _BARE_FRAMES:
        heard_s = header_s if decoded_s is None and demuxer in _TAGGED_FRAMES else decoded_s
        return heard_s if heard_s and 0 <= walked_s - heard_s <= _MOST_PADDING_S else walked_s
    return walked_s if abs(header_s - walked_s) > _HEADER_TOLERANCE_S else header_s


def _facts(stream: AudioStream, heard: _Heard, *, demuxer: str) -> JsonObject:
    facts: JsonObject = {"container": demuxer, "audio_codec": codec_name(stream)}
    if sample_rate(stream):
        facts |= {"sample_rate": sample_rate(stream), "channels": stream.channels}
    if heard.duration_s is not None:
        facts["duration_s"] = round(heard.duration_s, 3)
    if heard.bit_rate is not None:
        facts["bit_rate"] = heard.bit_rate
    return facts


def _drawn(job: Job, peaks: Waveform | None) -> Image.Image | None:
    if peaks is None:
        return None
    width = job.options.thumbnail_width_px
    return waveform.draw(peaks, size=(width, max(1, min(job.options.thumbnail_height_px, width // _DRAWN_ASPECT))))
