"""The form of an upload while it streams: parts, fields and their limits; the only importer of python_multipart.

File bytes are handed on as they pass and never kept here; text fields are kept up to their limits.
"""

import ctypes
import re
from collections.abc import Callable
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState

from app.core.errors import DuplicateField, InvalidField, MalformedMultipart, MissingField
from app.core.media_types import MediaType
from app.core.uploads.multipart_headers import FormType, PartHead, decode_header, read_part_head
from app.core.uploads.part_charsets import codec_of, decode_strictly, form_codec_of
from app.core.uploads.part_names import read_file_name

MAX_PARTS: Final = 16
MAX_PART_HEADERS: Final = 8
MAX_PART_HEADER_BYTES: Final = 8 * 1024
MAX_METADATA_BYTES: Final = 64 * 1024
MAX_FIELD_BYTES: Final = 1024
MAX_PREAMBLE_BYTES: Final = 8 * 1024
MAX_EPILOGUE_BYTES: Final = 8 * 1024
# All bytes that are no content: delimiters, their padding, preamble. The parser walks padding byte by byte.
_MAX_FRAMING_BYTES: Final = 256 * 1024

_FILE = "file"
# HTML, "Constructing the form data set": a hidden field of this name tells the charset that the form was sent in.
_CHARSET = "_charset_"
_FIELD_LIMITS: Final = {
    "media_type": MAX_FIELD_BYTES,
    "content_id": MAX_FIELD_BYTES,
    "metadata": MAX_METADATA_BYTES,
    "checksum_sha256": MAX_FIELD_BYTES,
}
_KEPT_FIELDS: Final = {*_FIELD_LIMITS, _CHARSET}
_CUT_SHORT = "The form ends before its final boundary."
_BROKEN = "The multipart body is malformed."
_libc = ctypes.CDLL(None)
_libc.memmem.restype = ctypes.c_void_p
_libc.memmem.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class MultipartForm:
    """Feed it the body; it calls `on_file_data(data, start, end)` for the file's bytes and collects the rest.

    Every method raises MalformedMultipart, MissingField, DuplicateField or InvalidField; afterwards throw it away.
    """

    def __init__(self, form_type: FormType, on_file_data: Callable[[bytes | memoryview, int, int], None]) -> None:
        self.file: PartHead | None = None
        self.file_is_complete = False
        self.file_bytes = 0
        self.fields: dict[str, str] = {}
        self.media_type: MediaType | None = None
        self._on_file_data = on_file_data
        self._codec = form_type.codec
        self._delimiter = b"\r\n--" + form_type.boundary
        self._delimiters_seen = 0
        self._received = 0
        self._content = 0
        self._epilogue = 0
        self._ended = False
        self._parts = 0
        self._head: PartHead | None = None
        self._header_count = 0
        self._header_bytes = 0
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._headers: dict[str, str] = {}
        self._text = bytearray()
        self._text_limit = 0
        self._undecoded: dict[str, bytes] = {}
        self._parser = MultipartParser(
            form_type.boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_begin": self._on_header_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=MAX_PART_HEADERS,
            max_header_size=MAX_PART_HEADER_BYTES,
        )

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes of the body, in any cut; a view is of writable memory and is handed on as it is."""
        if self._ended:
            # The rest after the final boundary means nothing (RFC 2046 section 5.1.1) and must not go on for ever.
            self._epilogue += len(chunk)
            if self._epilogue > MAX_EPILOGUE_BYTES:
                raise MalformedMultipart("The form goes on after its final boundary.")
            return
        self._received += len(chunk)
        if self._is_all_file(chunk):
            self._on_part_data(chunk, 0, len(chunk))
            return
        chunk = bytes(chunk)
        # A body that repeats `CRLF--boundary` without ending the line makes the parser step through it byte by byte:
        # 10 MB of it with a one-letter boundary took 2.7 s (measured 2026-11). No honest part holds its own delimiter
        # (RFC 2046 section 5.1).
        self._delimiters_seen += chunk.count(self._delimiter)
        if self._delimiters_seen > 2 * MAX_PARTS:
            raise MalformedMultipart(_BROKEN)
        try:
            self._parser.write(chunk)
        except FormParserError as exc:
            raise MalformedMultipart(_BROKEN) from exc
        if self._received - self._content > (_MAX_FRAMING_BYTES if self._parts else MAX_PREAMBLE_BYTES) + (
            len(chunk) if self._ended else 0
        ):
            raise MalformedMultipart(_BROKEN)

    def finish(self) -> tuple[PartHead, MediaType]:
        """The two parts that every upload has, once the body has ended: the file's head and the declared type."""
        if not self._ended:
            raise MalformedMultipart(_CUT_SHORT)
        for name, data in self._undecoded.items():
            self.fields[name] = self._decode(name, data, self._codec)
        # A browser sends an empty file input as a part with an empty name and no bytes.
        if self.file is None or (self.file_bytes == 0 and not self.file_name):
            raise MissingField(_FILE)
        if self.media_type is None:
            raise MissingField("media_type")
        return self.file, self.media_type

    @property
    def file_name(self) -> str:
        """The file's name as its client means it, not yet cleaned; '' before it is known."""
        return "" if self.file is None else read_file_name(self.file.parameters, codec=self._codec)

    def _is_all_file(self, chunk: bytes | memoryview) -> bool:
        """Whether the parser would hand the whole chunk on: no delimiter is in it, and none may span one of its ends.

        Most of a large file is such chunks, and one search is all they need instead of two (10 % of the CPU of a large
        upload, measured 2026-11).
        """
        parser = self._parser
        if self._head is None or self._head is not self.file:
            return False
        if parser.state != MultipartState.PART_DATA or parser.index != 0 or _holds(chunk, self._delimiter):
            return False
        # A delimiter begins with the only CR that it has, so only the last one can be the beginning of one.
        tail = bytes(chunk[max(0, len(chunk) - len(self._delimiter) + 1) :])
        last_cr = tail.rfind(b"\r")
        return last_cr < 0 or not self._delimiter.startswith(tail[last_cr:])

    # -- callbacks, in the order in which the parser calls them ----------------------------------------------------

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MalformedMultipart(f"The form has more than {MAX_PARTS} parts.")
        self._head = None
        self._headers = {}
        self._header_bytes = 0
        self._text = bytearray()

    def _on_header_begin(self) -> None:
        self._header_name = bytearray()
        self._header_value = bytearray()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_header_bytes(end - start)
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header_bytes(end - start)
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        value = bytes(self._header_value)
        # The parser ends a value at CR only, so a bare LF (or NUL) would sit inside it, and another reader of the same
        # body would see two headers where we see one.
        if _CONTROLS.search(value):
            raise MalformedMultipart("A part of the form has a header with control characters.")
        name = self._header_name.decode("ascii").lower()
        if name in self._headers:
            raise MalformedMultipart("A part of the form repeats a header.")
        self._headers[name] = decode_header(value).strip(" \t")

    def _on_headers_finished(self) -> None:
        head = read_part_head(self._headers)
        if head.name == _FILE:
            self._begin_file(head)
        elif head.name in _FIELD_LIMITS:
            # Some clients send every part with a file name (curl's `-F metadata=@meta.json`): it is text all the same.
            if head.name in self.fields:
                raise DuplicateField(head.name)
            if head.charset is not None and codec_of(head.charset) is None:
                raise InvalidField(head.name, "is in a charset that this service does not know; send it as UTF-8 text.")
            self._text_limit = _FIELD_LIMITS[head.name]
        elif head.is_file:
            # Refused before its bytes: a file under a wrong name would only be found missing at the very end.
            raise InvalidField(_FILE, "is the name of the form field that takes the file; another one was sent.")
        else:
            # Forms in the wild carry buttons and tokens; they are no reason to refuse a file. Their bytes are counted
            # like a field's and dropped, and nothing can be set through them.
            self._text_limit = MAX_METADATA_BYTES
        self._head = head

    def _on_part_data(self, data: bytes | memoryview, start: int, end: int) -> None:
        self._content += end - start
        if self._head is self.file:
            self.file_bytes += end - start
            self._on_file_data(data, start, end)
            return
        self._text_limit -= end - start
        if self._text_limit < 0:
            self._refuse_long_field()
        if self._head is not None and self._head.name in _KEPT_FIELDS:
            self._text += data[start:end]

    def _on_part_end(self) -> None:
        head = self._head
        if head is None:
            raise MalformedMultipart(_BROKEN)
        if head is self.file:
            self.file_is_complete = True
        elif head.name == _CHARSET:
            self._codec = form_codec_of(self._text.decode("ascii", "replace").strip()) or self._codec
        elif head.name in _FIELD_LIMITS:
            self._keep_field(head)

    def _on_end(self) -> None:
        self._ended = True

    # -- rules -----------------------------------------------------------------------------------------------------

    def _begin_file(self, head: PartHead) -> None:
        if self.file is not None:
            raise DuplicateField(_FILE)
        if not head.is_file:
            raise InvalidField(_FILE, "must be sent as a file, with a file name.")
        self.file = head

    def _keep_field(self, head: PartHead) -> None:
        name, data = head.name, bytes(self._text)
        codec = self._codec if head.charset is None else codec_of(head.charset)
        if codec is None and name != "media_type" and not data.isascii():
            self._undecoded[name] = data  # the field that tells the charset may be the last one
            self.fields[name] = ""
            return
        self.fields[name] = value = self._decode(name, data, codec)
        if name == "media_type":
            try:
                self.media_type = MediaType(value.strip())
            except ValueError as exc:
                raise InvalidField(name, f"must be one of {', '.join(MediaType)}.") from exc

    def _decode(self, name: str, data: bytes, codec: str | None) -> str:
        if (text := decode_strictly(data, codec or "utf-8")) is not None:
            return text
        if codec is None:
            raise InvalidField(name, "must be UTF-8 text, or say its charset.")
        raise InvalidField(name, "is not text in the charset that it is said to be in.")

    def _refuse_long_field(self) -> None:
        name = self._head.name if self._head is not None else ""
        if name in _FIELD_LIMITS:
            raise InvalidField(name, f"is longer than {_FIELD_LIMITS[name]} bytes.")
        raise MalformedMultipart("A field of the form that this service does not know is too long.")

    def _count_header_bytes(self, count: int) -> None:
        self._content += count
        self._header_bytes += count
        if self._header_bytes > MAX_PART_HEADER_BYTES:
            raise MalformedMultipart("A part of the form has too many header bytes.")


def _holds(chunk: bytes | memoryview, wanted: bytes) -> bool:
    if isinstance(chunk, bytes):
        return wanted in chunk
    # A view cannot be searched, and a copy to search in would cost more than the search.
    length = len(chunk)
    return (
        length > 0
        and _libc.memmem(ctypes.byref(ctypes.c_char.from_buffer(chunk)), length, wanted, len(wanted)) is not None
    )
