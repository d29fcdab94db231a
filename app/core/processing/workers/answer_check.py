"""Decides whether to believe what a worker says: a hostile file may have taken it over. Opens no file."""

import math
import os
import stat

from app.core.media_types import MIB, by_mime_type, extension_of
from app.core.processing.contract import Fault, Job, JsonValue, ProcessedFile, Refusal, Rendition, Waveform
from app.core.processing.workers.wire import (
    MAX_JSON_BYTES,
    MAX_LOG_CHARS,
    MAX_SENTENCE_CHARS,
    Answer,
    WireError,
    decode_object,
)

MAX_OUTPUT_BYTES = 256 * MIB
"""Most bytes of one file that a worker writes; the server starts it with this RLIMIT_FSIZE."""

_MAX_DEPTH = 16
_MAX_SIDE_PX = 2**31 - 1
_RENDITION_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"})


def read_answer(body: bytes, raw_text: bytes, *, job: Job) -> Answer:
    """Believe an answer to `job` only after every field was checked, and every file it names looked at.

    Raises WireError. The checks: known type of the same media type; numbers in range and finite; strings without NUL
    and lone surrogates; files that are plain, single-linked, non-empty, and directly inside `job.output_dir`.
    """
    frame = _Fields(decode_object(body))
    kind, value = frame.text("kind", longest=16), frame.child("value")
    outcome: ProcessedFile | Refusal | Fault
    if kind == "processed":
        text = _read_text(raw_text, limit=job.options.max_text_chars) if frame.value("has_text") is True else None
        outcome = _read_processed(value, text, job)
    elif kind == "refusal":
        outcome = Refusal(code=value.text("code", longest=64), detail=value.text("detail", longest=MAX_SENTENCE_CHARS))
    elif kind == "fault":
        outcome = Fault(message=value.text("message", longest=MAX_LOG_CHARS), errno=value.whole("errno", most=4095))
    else:
        raise WireError("unknown kind of answer")
    return Answer(outcome, cpu_s=frame.real("cpu_s") or 0.0, rss_bytes=frame.whole("rss_bytes", most=2**63) or 0)


class _Fields:
    """Typed access to one JSON object; every method raises WireError for a value of another type or range."""

    def __init__(self, value: JsonValue) -> None:
        if not isinstance(value, dict):
            raise WireError("an object was expected")
        self._fields = value

    def value(self, name: str) -> JsonValue:
        return self._fields.get(name)

    def child(self, name: str) -> "_Fields":
        return _Fields(self.value(name))

    def maybe(self, name: str) -> "_Fields | None":
        return None if self.value(name) is None else self.child(name)

    def text(self, name: str, *, longest: int) -> str:
        value = self.value(name)
        if not isinstance(value, str) or len(value) > longest:
            raise WireError(f"{name} is not a text of at most {longest} characters")
        _check_text(value)
        return value

    def whole(self, name: str, *, most: int) -> int | None:
        value = self.value(name)
        if value is None:
            return None
        if type(value) is not int or not 0 <= value <= most:
            raise WireError(f"{name} is not a whole number up to {most}")
        return value

    def size(self, name: str) -> int:
        value = self.whole(name, most=_MAX_SIDE_PX)
        if not value:
            raise WireError(f"{name} is not a size")
        return value

    def real(self, name: str) -> float | None:
        value = self.value(name)
        if value is None:
            return None
        if type(value) not in (int, float) or not isinstance(value, int | float) or not 0 <= value < 1e12:
            raise WireError(f"{name} is not a number in range")
        return float(value)


def _read_processed(fields: _Fields, text: str | None, job: Job) -> ProcessedFile:
    mime_type, extension = fields.text("mime_type", longest=128), fields.text("extension", longest=16)
    _check_type(mime_type, extension, job)
    properties = fields.value("properties")
    if not isinstance(properties, dict):
        raise WireError("properties is not an object")
    _check_json(properties, depth=0)
    has_main = fields.value("main_path") is not None
    return ProcessedFile(
        mime_type=mime_type,
        extension=extension,
        main_path=_read_path(fields, "main_path", job) if has_main else None,
        width_px=fields.whole("width_px", most=_MAX_SIDE_PX),
        height_px=fields.whole("height_px", most=_MAX_SIDE_PX),
        duration_s=fields.real("duration_s"),
        properties=properties,
        thumbnail=_read_rendition(fields.maybe("thumbnail"), job),
        poster=_read_rendition(fields.maybe("poster"), job),
        waveform=_read_waveform(fields.maybe("waveform")),
        text=text,
    )


def _read_rendition(fields: _Fields | None, job: Job) -> Rendition | None:
    if fields is None:
        return None
    mime_type = fields.text("mime_type", longest=128)
    if mime_type not in _RENDITION_TYPES:
        raise WireError("a rendition is not a raster image")
    path = _read_path(fields, "path", job)
    if extension_of(path) not in by_mime_type(mime_type).extensions:
        raise WireError("MIME type and extension of a rendition disagree")
    return Rendition(
        path=path, mime_type=mime_type, width_px=fields.size("width_px"), height_px=fields.size("height_px")
    )


def _read_waveform(fields: _Fields | None) -> Waveform | None:
    if fields is None:
        return None
    length, data = fields.size("length"), fields.text("data_base64", longest=MAX_JSON_BYTES)
    if len(data) != 4 * math.ceil(2 * length / 3) or not data.isascii():
        raise WireError("a waveform is not as long as it says")
    sample_rate, samples_per_pixel = fields.size("sample_rate"), fields.size("samples_per_pixel")
    return Waveform(sample_rate=sample_rate, samples_per_pixel=samples_per_pixel, length=length, data_base64=data)


def _read_path(fields: _Fields, name: str, job: Job) -> str:
    path = fields.text(name, longest=4096)
    directory, _, filename = path.rpartition("/")
    if directory != job.output_dir.rstrip("/") or filename in ("", ".", ".."):
        raise WireError(f"{name} is not directly inside the output directory")
    try:
        # Not in a thread: the file was written a moment ago, its inode is in the cache.
        found = os.lstat(path)
    except OSError as exc:
        raise WireError(f"{name} does not exist") from exc
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or not 0 < found.st_size <= MAX_OUTPUT_BYTES:
        raise WireError(f"{name} is not a plain file of a sane size")
    return path


def _check_type(mime_type: str, extension: str, job: Job) -> None:
    try:
        row = by_mime_type(mime_type)
    except KeyError as exc:
        raise WireError("a MIME type that the table does not know") from exc
    if row.media_type is not job.media_type or extension not in row.extensions:
        raise WireError("media type, MIME type and extension disagree")


def _read_text(raw_text: bytes, *, limit: int) -> str:
    try:
        text = raw_text.decode()
    except UnicodeDecodeError as exc:
        raise WireError("the text is not UTF-8") from exc
    if len(text) > limit or "\0" in text:
        raise WireError("the text is too long or has a NUL")
    return text


def _check_json(value: JsonValue, *, depth: int) -> None:
    """PostgreSQL's JSONB takes neither NUL nor lone surrogates; browsers read no integer beyond 2**63 sensibly."""
    if depth > _MAX_DEPTH:
        raise WireError("properties are nested too deeply")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise WireError("a number is not finite")
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise WireError("a number is too large")
    elif isinstance(value, list):
        for item in value:
            _check_json(item, depth=depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_json(item, depth=depth + 1)


def _check_text(value: str) -> None:
    if "\0" in value:
        raise WireError("a text has a NUL")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise WireError("a text has a lone surrogate") from exc
