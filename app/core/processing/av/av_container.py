"""Opens uploaded video and audio for reading; the only importer of PyAV, whose types and errors it narrows.

An FFmpeg that may guess would follow a playlist named `.mp4` to other files and hosts. Here it never guesses: the
demuxer comes from the type already decided, no other may start inside it, no protocol but `file` exists, and a
QuickTime file cannot name another as its data. Only decoders of the list below run; a stream of any other codec keeps
its facts and is never decoded. Vendor errors end here as `UnreadableFile` or `FileTooComplex`.
"""

import errno
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, cast

import av
import av.logging
from av import AudioFrame, AudioStream, CodecContext, ExitError, FFmpegError, VideoFrame, VideoStream
from av.audio.fifo import AudioFifo
from av.audio.resampler import AudioResampler
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition, Stream
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, ColorTrc, Interpolation

from app.core.errors import FileTooComplex, UnreadableFile

__all__ = [
    "AV_DEMUXERS",
    "MAX_FRAME_PIXELS",
    "AudioFifo",
    "AudioFrame",
    "AudioResampler",
    "AudioStream",
    "ColorRange",
    "ColorTrc",
    "FFmpegError",
    "InputContainer",
    "Interpolation",
    "PictureType",
    "Stream",
    "StreamFacts",
    "StreamPacket",
    "VideoFrame",
    "VideoStream",
    "attached_pictures",
    "audio_streams",
    "can_decode",
    "codec_name",
    "demuxer_for",
    "display_matrix",
    "frame_size",
    "open_container",
    "pixel_aspect",
    "prepare_decoder",
    "probe_streams",
    "sample_rate",
    "skip_unreferenced_frames",
    "transfer_of",
    "video_streams",
]

StreamPacket: TypeAlias = "Packet[Stream]"

AV_DEMUXERS: Mapping[str, tuple[str, ...]] = {
    "video/mp4": ("mov",),
    "video/quicktime": ("mov",),
    "audio/mp4": ("mov",),
    "video/webm": ("matroska",),
    "audio/webm": ("matroska",),
    "video/x-msvideo": ("avi",),
    "video/mpeg": ("mpeg", "mpegvideo", "mpegts"),
    "audio/mpeg": ("mp3",),
    "audio/wav": ("wav",),
    "audio/ogg": ("ogg",),
    "audio/aac": ("aac",),
}
"""MIME type -> the names of the demuxers that may read it, the usual one first. See `demuxer_for`."""

_DECODER_NAMES = (
    "h264 hevc libdav1d av1 vp8 vp9 libvpx libvpx-vp9 mpeg1video mpeg2video mpegvideo mpeg4 h263 h263p flv msmpeg4v1 "
    "msmpeg4v2 msmpeg4 wmv1 wmv2 vc1 theora mjpeg png prores dnxhd dvvideo cinepak qtrle rawvideo huffyuv ffvhuff ffv1 "
    "svq1 svq3 indeo3 indeo5 "
    "aac aac_latm mp1 mp1float mp2 mp2float mp3 mp3float vorbis opus libopus flac alac ac3 eac3 dca amrnb amrwb speex "
    "libspeex gsm gsm_ms wmav1 wmav2 wavpack adpcm_ms adpcm_ima_wav adpcm_ima_qt pcm_alaw pcm_mulaw pcm_u8 pcm_s8 "
    "pcm_s16le pcm_s16be pcm_s24le pcm_s24be pcm_s32le pcm_s32be pcm_f32le pcm_f32be pcm_f64le pcm_f64be pcm_dvd "
    "pcm_bluray"
)
"""Decoders of what cameras, phones, browsers and recorders write; the other 400 in the library stay closed."""
_DECODERS = frozenset(_DECODER_NAMES.split())

MAX_FRAME_PIXELS = 8192 * 4352
"""8K: a decoder holds up to a dozen frames of 1.5 bytes a pixel at once, and must stay within the worker's memory."""

# The decoder itself refuses a larger frame, also when the size changes in mid-stream.
_DECODER_OPTIONS = {"max_pixels": str(MAX_FRAME_PIXELS)}
# The headers of these state the size of the pictures, so opening the file need not decode any to find it out, which
# would cost as much as the poster (14 of 15 ms at 720p, 35 of 38 ms at 1080p, measured 2026-11).
_SELF_DESCRIBING = frozenset({"mov", "matroska"})
_DECODE_NO_PICTURE = {"skip_frame": "all"}
_OPEN_TIMEOUT_S = 10.0
_READ_TIMEOUT_S = 10.0
_MAX_STREAMS = 64
_MATRIX = struct.Struct("=9i")

# PyAV discards FFmpeg's own log lines unless asked; stated here because a vendor text could carry a path of ours.
av.logging.set_level(None)


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """Which kinds of streams a container holds. Cover art (an attached picture) does not count as video."""

    has_video: bool
    has_audio: bool
    video_codecs: tuple[str, ...]
    audio_codecs: tuple[str, ...]


def probe_streams(path: str, *, demuxer: str) -> StreamFacts:
    """What the file really holds, so that an audio-only WebM, MP4 or MOV is not taken for video.

    demuxer: a name out of `AV_DEMUXERS`.  Reads the headers and at most 5 MB of packets.
    Raises UnreadableFile when that demuxer cannot read the file or finds neither video nor audio in it,
    FileTooComplex when its index would not fit into memory.
    """
    with open_container(path, demuxer=demuxer) as container:
        video, audio = video_streams(container), audio_streams(container)
        if not video and not audio:
            raise UnreadableFile("The file contains neither video nor audio that can be read.")
        return StreamFacts(
            has_video=bool(video),
            has_audio=bool(audio),
            video_codecs=tuple(codec_name(stream) for stream in video),
            audio_codecs=tuple(codec_name(stream) for stream in audio),
        )


def demuxer_for(mime_type: str, *, head: bytes) -> str:
    """The demuxer that reads a file of this MIME type whose first bytes are `head` (376 of them are enough).

    Raises KeyError for a MIME type that is neither video nor audio of the table.
    Source: ISO/IEC 11172-1 and 13818-1: start codes of the pack header and the sequence header, sync byte of a TS.
    """
    if mime_type == "video/mpeg" and head[:4] == b"\x00\x00\x01\xb3":
        return "mpegvideo"
    if mime_type == "video/mpeg" and head[:1] == b"G" and head[188:189] == b"G":
        return "mpegts"
    return AV_DEMUXERS[mime_type][0]


@contextmanager
def open_container(path: str, *, demuxer: str) -> Iterator[InputContainer]:
    """The file opened for reading by exactly this demuxer; closed on the way out.

    An FFmpegError of the body is treated like one of the opening: UnreadableFile, or FileTooComplex when memory ran
    out. OSError when the staged file itself is missing or closed to us, which is no fault of the client.
    """
    # After this an error number out of FFmpeg is about the content, whatever it claims.
    os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    try:
        with av.open(
            f"file:{path}",
            mode="r",
            format=demuxer,
            options=_DECODE_NO_PICTURE if demuxer in _SELF_DESCRIBING else {},
            container_options=_options(demuxer),
            metadata_errors="surrogateescape",
            timeout=(_OPEN_TIMEOUT_S, _READ_TIMEOUT_S),
        ) as container:
            yield container
    except FFmpegError as exc:
        if exc.errno == errno.ENOMEM:
            raise FileTooComplex("Reading this file would need more memory than one upload may have.") from exc
        if isinstance(exc, ExitError):
            raise FileTooComplex("Reading this file takes too long.") from exc
        raise UnreadableFile("The file cannot be read: it is damaged, cut off or not of its type.") from exc


def video_streams(container: InputContainer) -> tuple[VideoStream, ...]:
    """The streams that are moving pictures of a known size, never cover art or timed thumbnails."""
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    return tuple(stream for stream in container.streams.video if not stream.disposition & still and _has_size(stream))


def attached_pictures(container: InputContainer) -> tuple[VideoStream, ...]:
    """The streams that are cover art."""
    return tuple(stream for stream in container.streams.video if stream.disposition & Disposition.attached_pic)


def audio_streams(container: InputContainer) -> tuple[AudioStream, ...]:
    """The streams of sound that state a rate and channels; a demuxer that met noise makes up streams without."""
    return tuple(stream for stream in container.streams.audio if _has_sound(stream))


def codec_name(stream: VideoStream | AudioStream) -> str:
    """FFmpeg's name of the format ('h264', 'mp3'), not of the decoder; 'unknown' when the library has none."""
    context = _context_of(stream)
    return context.codec.canonical_name if context is not None else "unknown"


def can_decode(stream: VideoStream | AudioStream) -> bool:
    """Whether a decoder for this stream exists and is on our list."""
    context = _context_of(stream)
    return context is not None and context.codec.name in _DECODERS


def prepare_decoder(stream: VideoStream | AudioStream) -> None:
    """Bound the decoder of `stream` to the calling thread and to 8K frames; call before its first packet is decoded.

    Each thread would reserve its stack and a malloc arena of 64 MB against the address space limit of the worker.
    """
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = ThreadType.NONE
    stream.codec_context.options = dict(_DECODER_OPTIONS)


def skip_unreferenced_frames(stream: VideoStream) -> None:
    """From now on decode only frames that later ones build upon, where the codec tells; the others cost time alone."""
    stream.codec_context.skip_frame = "NONREF"


def frame_size(stream: VideoStream) -> tuple[int, int] | None:
    """Width and height in pixels as coded, cropped by the codec; None for a codec that the library does not know."""
    return None if _context_of(stream) is None else (stream.width, stream.height)


def pixel_aspect(stream: VideoStream) -> Fraction | None:
    """Width of a pixel over its height: what the container says, else what the frames decoded so far say."""
    if _context_of(stream) is None:
        return None
    return stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio


def transfer_of(stream: VideoStream) -> int:
    """The transfer characteristic of ITU-T H.273 that the file states; 2 (unspecified) when it does not."""
    return ColorTrc.UNSPECIFIED if _context_of(stream) is None else stream.color_trc


def sample_rate(stream: AudioStream) -> int:
    """Samples per second; 0 for a codec that the library does not know."""
    return 0 if _context_of(stream) is None else stream.sample_rate


def display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    """The nine numbers of the container's display matrix (the first two columns are 16.16); None without one."""
    for data in cast("Iterable[SideData]", frame.side_data):
        if data.type is SideDataType.DISPLAYMATRIX and data.buffer_size >= _MATRIX.size:
            return _MATRIX.unpack(bytes(data)[: _MATRIX.size])
    return None


def _has_size(stream: VideoStream) -> bool:
    size = frame_size(stream)
    return size is None or min(size) > 0


def _has_sound(stream: AudioStream) -> bool:
    context = _context_of(stream)
    return context is None or (stream.sample_rate > 0 and stream.channels > 0)


def _context_of(stream: VideoStream | AudioStream) -> CodecContext | None:
    # PyAV types it as always present, yet it is None for a codec without decoder, and asking the stream then crashes.
    return stream.codec_context


def _options(demuxer: str) -> dict[str, str]:
    options = {
        "format_whitelist": demuxer,
        "protocol_whitelist": "file",
        "codec_whitelist": ",".join(sorted(_DECODERS)),
        "max_streams": str(_MAX_STREAMS),
    }
    if demuxer == "mov":
        options |= {"enable_drefs": "0", "use_absolute_path": "0"}
    return options
