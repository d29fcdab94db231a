"""Reads the two header fields a form lives on: the request's Content-Type and a part's Content-Disposition.

Pure functions on text; they raise UnsupportedForm and MalformedMultipart and nothing else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.core.errors import MalformedMultipart, UnsupportedForm

MAX_CONTENT_TYPE_LENGTH = 1024

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 section 5.6.2, not a password
# Every alternative starts with another character and none can match the empty string twice: linear time on any input,
# unlike the pattern behind CVE-2024-24762.
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*(?:({_TOKEN})=(?:"((?:[^"\\]|\\.)*)"|([^";\s]*)))?', re.DOTALL)
# RFC 2046 section 5.1.1: 1 to 70 of these, the last one no blank.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
# What browsers put in place of a quote or a line end in a name, and nothing else (WHATWG HTML, multipart/form-data
# encoding algorithm): a file called `100%25.txt` keeps its name.
_BROWSER_ESCAPES = re.compile(r"%(22|0[dD]|0[aA])")
_PLAIN_ENCODINGS = frozenset({"", "7bit", "8bit", "binary"})
_UTF8_CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})


@dataclass(frozen=True, slots=True)
class PartHead:
    """What the headers of one part say. `filename` is None when the part is a text field, as sent otherwise."""

    name: str
    filename: str | None
    headers: Mapping[str, str]
    is_utf8: bool


def read_boundary(content_type: str | None) -> bytes:
    """The boundary of a multipart/form-data body. Raises UnsupportedForm for every other Content-Type."""
    if content_type is None or len(content_type) > MAX_CONTENT_TYPE_LENGTH:
        raise UnsupportedForm
    media_type, parameters = _read_options(content_type)
    boundary = parameters.get("boundary") if parameters is not None else None
    if media_type != "multipart/form-data" or boundary is None or not _BOUNDARY.fullmatch(boundary):
        raise UnsupportedForm
    return boundary.encode("ascii")


def read_part_head(headers: Mapping[str, str]) -> PartHead:
    """Read a part's headers (names in lower case). Raises MalformedMultipart when a form part cannot have them.

    `filename*` is ignored: RFC 7578 section 4.2 forbids it here, and it would smuggle a second name past a proxy.
    """
    disposition, parameters = _read_options(headers.get("content-disposition", ""))
    if disposition != "form-data" or parameters is None or "name" not in parameters:
        raise MalformedMultipart("Every part of the form needs a Content-Disposition of form-data with a name.")
    if headers.get("content-transfer-encoding", "").strip().lower() not in _PLAIN_ENCODINGS:
        raise MalformedMultipart("The form must be sent without a Content-Transfer-Encoding.")
    part_type, type_parameters = _read_options(headers.get("content-type", ""))
    if part_type.startswith("multipart/"):
        raise MalformedMultipart("Nested multipart bodies are not supported; send one file per request.")
    filename = parameters.get("filename")
    return PartHead(
        name=_unescape(parameters["name"]),
        filename=None if filename is None else _unescape(filename),
        headers=headers,
        is_utf8=(type_parameters or {}).get("charset", "").lower() in _UTF8_CHARSETS,
    )


def decode_header(raw: bytes) -> str:
    """Header bytes as text: UTF-8 as browsers send it, Latin-1 from older clients."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _read_options(value: str) -> tuple[str, Mapping[str, str] | None]:
    """`type; name=value` in lower case and its parameters; None for parameters that are malformed or repeated."""
    main, semicolon, _ = value.partition(";")
    parameters: dict[str, str] = {}
    position = len(main) if semicolon else len(value)
    while position < len(value):
        match = _PARAMETER.match(value, position)
        if match is None:
            # White space at the very end is the one rest that means nothing.
            return main.strip().lower(), None if value[position:].strip(" \t") else parameters
        name, quoted, plain = match.groups()
        if name is not None:
            # Two readers may disagree on which of two values counts, so neither does.
            if name.lower() in parameters:
                return main.strip().lower(), None
            parameters[name.lower()] = re.sub(r'\\(["\\])', r"\1", quoted) if quoted is not None else plain
        position = match.end()
    return main.strip().lower(), parameters


def _unescape(name: str) -> str:
    return _BROWSER_ESCAPES.sub(lambda match: chr(int(match[1], 16)), name)
