"""The bytes between server and worker: one frame is a JSON object and, beside it, the extracted text.

frame = u32 JSON bytes, u32 text bytes (both big endian), JSON, text. The text travels raw because parsing JSON holds
up the event loop: so bounded, the worst answer costs it milliseconds. What a worker says is hostile until
`answer_check` has looked at it.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TypeAlias

from app.core.media_types import MIB, MediaType
from app.core.processing.contract import (
    Fault,
    Job,
    JsonObject,
    JsonValue,
    ProcessedFile,
    ProcessingOptions,
    Refusal,
    Rendition,
    Waveform,
)

HEADER = struct.Struct(">II")
MAX_JSON_BYTES = MIB
MAX_SENTENCE_CHARS = 500
MAX_LOG_CHARS = 8_000

Frame: TypeAlias = tuple[bytes, bytes]
"""The JSON and the raw text of a frame."""

_Message: TypeAlias = Job | ProcessingOptions | ProcessedFile | Rendition | Waveform | Refusal | Fault
_KINDS = {ProcessedFile: "processed", Refusal: "refusal", Fault: "fault"}
_NAMES: Mapping[type[_Message], tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(kind))
    for kind in (Job, ProcessingOptions, ProcessedFile, Rendition, Waveform, Refusal, Fault)
}


class WireError(ValueError):
    """A frame that no honest worker sends; the message is for the log."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker says about one job, and what the job cost: CPU seconds, resident bytes after it."""

    outcome: ProcessedFile | Refusal | Fault
    cpu_s: float = 0.0
    rss_bytes: int = 0


class FrameReader:
    """Puts the bytes of a worker's pipe together: one frame each time that one is expected, and nothing else."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._is_expecting = False
        self._max_text_bytes = 0
        self.has_begun = False
        """Whether the worker has said, with an empty frame, that it took the job up."""

    def expect(self, max_text_bytes: int, *, has_begun: bool) -> None:
        """From now on one frame is welcome, after an empty one unless `has_begun`."""
        self._is_expecting, self._max_text_bytes, self.has_begun = True, max_text_bytes, has_begun

    def feed(self, data: bytes) -> Frame | None:
        """The frame once it is whole. Raises WireError for one that is too long, and for bytes nobody asked for."""
        self._buffer += data
        if not self._is_expecting:
            raise WireError("unasked")
        if not self.has_begun and len(self._buffer) >= HEADER.size:
            if HEADER.unpack_from(self._buffer) != (0, 0):
                raise WireError("the job was not taken up")
            del self._buffer[: HEADER.size]
            self.has_begun = True
        if not self.has_begun or len(self._buffer) < HEADER.size:
            return None
        json_bytes, text_bytes = HEADER.unpack_from(self._buffer)
        text_start = HEADER.size + json_bytes
        if not 0 < json_bytes <= MAX_JSON_BYTES or text_bytes > self._max_text_bytes:
            raise WireError("a frame over the limit")
        if len(self._buffer) > text_start + text_bytes:
            raise WireError("more than one frame")
        if len(self._buffer) < text_start + text_bytes:
            return None
        frame = bytes(self._buffer[HEADER.size : text_start]), bytes(self._buffer[text_start:])
        self._buffer.clear()
        self._is_expecting = False
        return frame


def encode_frame(value: JsonObject, text: str | None = None) -> bytes:
    """One frame. Raises WireError when it is over the limit, UnicodeEncodeError for lone surrogates in `text`."""
    body = json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    raw_text = (text or "").encode()
    if len(body) > MAX_JSON_BYTES:
        raise WireError(f"an answer of {len(body)} bytes is over the limit")
    return HEADER.pack(len(body), len(raw_text)) + body + raw_text


def decode_object(body: bytes) -> JsonObject:
    """The JSON object of a frame. Raises WireError for anything else."""
    try:
        value: JsonValue = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise WireError("not JSON") from exc
    if not isinstance(value, dict):
        raise WireError("not a JSON object")
    return value


def encode_job(job: Job) -> bytes:
    """The frame for `job`."""
    return encode_frame(_as_object(job))


def decode_job(body: bytes) -> Job:
    """What `encode_job` wrote; the server is trusted, so a wrong shape is a TypeError or KeyError of ours."""
    values = json.loads(body)
    options = ProcessingOptions(**values.pop("options"))
    return Job(media_type=MediaType(values.pop("media_type")), options=options, **values)


def encode_answer(answer: Answer) -> bytes:
    """The frame for `answer`. Raises as `encode_frame`, ValueError for NaN, TypeError for what JSON cannot hold."""
    outcome = answer.outcome
    text = outcome.text if isinstance(outcome, ProcessedFile) else None
    value: JsonObject = {
        "kind": _KINDS[type(outcome)],
        "value": _as_object(replace(outcome, text=None) if isinstance(outcome, ProcessedFile) else outcome),
        "has_text": text is not None,
        "cpu_s": answer.cpu_s,
        "rss_bytes": answer.rss_bytes,
    }
    return encode_frame(value, text)


def _as_object(value: _Message) -> JsonObject:
    # dataclasses.asdict copies every string and list on the way, which took a third of a small job's round trip.
    found = {name: getattr(value, name) for name in _NAMES[type(value)]}
    return {name: _as_object(member) if isinstance(member, _Message) else member for name, member in found.items()}


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
