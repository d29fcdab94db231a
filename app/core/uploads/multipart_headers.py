"""Reads the two header fields a form lives on: the request's Content-Type and a part's Content-Disposition.

Pure functions on text; they raise UnsupportedForm and MalformedMultipart and nothing else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.core.errors import MalformedMultipart, UnsupportedForm
from app.core.uploads.part_charsets import form_codec_of
from app.core.uploads.part_names import is_file_name

MAX_CONTENT_TYPE_LENGTH = 1024

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 section 5.6.2, not a password
# Every alternative starts with another character and none can match the empty string twice: linear time on any input,
# unlike the pattern behind CVE-2024-24762.
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*(?:({_TOKEN})=(?:"((?:[^"\\]|\\.)*)"|([^";]*)))?', re.DOTALL)
# RFC 2046 section 5.1.1: 1 to 70 of these, the last one no blank.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_PLAIN_ENCODINGS = frozenset({"", "7bit", "8bit", "binary"})


@dataclass(frozen=True, slots=True)
class PartHead:
    """What the headers of one part say. parameters: of its Content-Disposition.  charset: as named, None where not."""

    name: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    charset: str | None

    @property
    def is_file(self) -> bool:
        """Whether it comes with a file name, in whatever form; an empty one counts."""
        return any(is_file_name(parameter) for parameter in self.parameters)


@dataclass(frozen=True, slots=True)
class FormType:
    """What the request says of its form. codec: of what does not say its charset, where the form names one."""

    boundary: bytes
    codec: str | None


def read_form_type(content_type: str | None) -> FormType:
    """Boundary and charset of a multipart/form-data body. Raises UnsupportedForm for every other Content-Type."""
    if content_type is None or len(content_type) > MAX_CONTENT_TYPE_LENGTH:
        raise UnsupportedForm
    media_type, parameters = _read_options(content_type)
    boundary = parameters.get("boundary") if parameters is not None else None
    if media_type != "multipart/form-data" or boundary is None or not _BOUNDARY.fullmatch(boundary):
        raise UnsupportedForm
    # Apache HttpClient writes its charset here; no standard knows it, so one that is unknown is no fault.
    return FormType(boundary.encode("ascii"), form_codec_of((parameters or {}).get("charset", "")))


def read_part_head(headers: Mapping[str, str]) -> PartHead:
    """Read a part's headers (names in lower case). Raises MalformedMultipart when a form part cannot have them."""
    disposition, parameters = _read_options(headers.get("content-disposition", ""))
    if disposition != "form-data" or parameters is None or "name" not in parameters:
        raise MalformedMultipart("Every part of the form needs a Content-Disposition of form-data with a name.")
    if headers.get("content-transfer-encoding", "").strip().lower() not in _PLAIN_ENCODINGS:
        raise MalformedMultipart(
            "A part of the form has a Content-Transfer-Encoding, such as base64 or quoted-printable, that this service "
            "does not undo; send its bytes as they are, as 'binary', '8bit', '7bit' or without that header."
        )
    part_type, type_parameters = _read_options(headers.get("content-type", ""))
    if part_type.startswith("multipart/"):
        raise MalformedMultipart("Nested multipart bodies are not supported; send one file per request.")
    charset = (type_parameters or {}).get("charset")
    return PartHead(name=parameters["name"], parameters=parameters, headers=headers, charset=charset or None)


def decode_header(raw: bytes) -> str:
    """Header bytes as text: UTF-8 as browsers send it; other bytes as lone surrogates, so that none is lost."""
    return raw.decode("utf-8", "surrogateescape")


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
            parameters[name.lower()] = _unquoted(quoted) if quoted is not None else plain.strip(" \t")
        position = match.end()
    return main.strip().lower(), parameters


def _unquoted(quoted: str) -> str:
    # A backslash before anything else is one: old browsers send whole paths of Windows.
    return re.sub(r'\\(["\\])', r"\1", quoted)
