"""What goes into a worker process and what comes out: plain data that survives a JSON round trip. Imports no library.

The server sends one `Job` a time down a worker's pipe and reads one `ProcessedFile`, `Refusal` or `Fault` back.
JSON rather than pickle, because a worker that a hostile file has taken over must not be able to run code in the server.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from app.core.media_types import MediaType

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"
JsonObject: TypeAlias = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class ProcessingOptions:
    """The settings that a worker needs; never anything secret."""

    max_image_width_px: int = 2048
    max_image_height_px: int = 2048
    thumbnail_width_px: int = 300
    thumbnail_height_px: int = 300
    poster_width_px: int = 1280
    poster_height_px: int = 1280
    image_quality: int = 85
    keep_alpha: bool = False
    accept_heic: bool = True
    max_image_pixels: int = 128_000_000
    """Width x height x frames, read from the header before anything is decoded."""
    max_image_frames: int = 1_000
    max_unpacked_bytes: int = 200 * 1024 * 1024
    """Sum of the declared and of the really unpacked sizes of the members of an Office file."""
    max_archive_members: int = 5_000
    max_text_chars: int = 1_000_000
    draw_preview: bool = True
    """Whether drawings and PDF pages are drawn; not for a file that took a worker too long, see `previews`."""


@dataclass(frozen=True, slots=True)
class Job:
    """One staged file to check and process; outputs go into `output_dir`, which holds nothing else than the source."""

    source: str
    output_dir: str
    filename: str
    media_type: MediaType
    options: ProcessingOptions


@dataclass(frozen=True, slots=True)
class Rendition:
    """A picture derived from the file: its path inside `output_dir`, MIME type and size in pixels."""

    path: str
    mime_type: str
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class Waveform:
    """Peaks as BBC audiowaveform version 2 has them, mono: `data_base64` is `length` pairs (min, max) of int8."""

    sample_rate: int
    samples_per_pixel: int
    length: int
    data_base64: str


@dataclass(frozen=True, slots=True)
class ProcessedFile:
    """What the file is and what was made of it.

    mime_type: of the stored file, a row of the type table.  extension: of the stored file, lower case, no dot.
    main_path: the file to store, inside `output_dir`; None means the staged file is stored byte for byte.
    width_px, height_px: as displayed.  duration_s: exact seconds.  properties: facts read from the file, JSON-safe,
    no NUL, no lone surrogate, no location and no serial number.  text: extracted plain text, bounded.
    """

    mime_type: str
    extension: str
    main_path: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    duration_s: float | None = None
    properties: JsonObject = field(default_factory=dict)
    thumbnail: Rendition | None = None
    poster: Rendition | None = None
    waveform: Waveform | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The file is at fault: an `InvalidUpload` by its code, with the sentence for the client."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something broke while the file was read: text for the log, `errno` when the operating system refused."""

    message: str
    errno: int | None = None
