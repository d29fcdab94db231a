"""File names for people: cleaning what a client sends and writing it into a header. Names on disk are never made here.

Imports nothing of ours.
"""

import re
import unicodedata
from typing import Literal
from urllib.parse import quote

MAX_NAME_CHARACTERS = 255
MAX_NAME_BYTES = 255
FALLBACK_NAME = "file"

_MAX_EXTENSION_BYTES = 32
_MAX_RAW_CHARACTERS = 4096
# Unicode categories without a glyph of their own: controls, format characters (zero-width, bidirectional overrides,
# byte order mark, tags), lone surrogates, private use, line and paragraph separators.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Blank-looking letters that Unicode files under "letter" or "mark"; they hide an extension as well as a space does.
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# Refused by Windows in a file name; ':' also opens an alternate data stream.
_RESERVED_CHARACTERS = str.maketrans(dict.fromkeys('<>:"|?*', "_"))
_RESERVED_STEM = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])[ .]*(\.|$)")
_SEPARATORS = re.compile(r"[/\\\u2044\u2215\u29f5\u29f8\uff0f\uff3c]")


def clean_display_name(raw: str) -> str:
    """Return `raw` as a name that is safe to show, to log and to save under: one path component, never empty.

    Directories of either kind of slash, control, zero-width and bidirectional characters go; the rest is NFC, at most
    255 characters and 255 bytes of UTF-8, cut before the extension; leading dots, dashes and blanks go, and names
    that Windows keeps for devices get an underscore. An empty name becomes `file`.
    Source: OWASP File Upload Cheat Sheet; RFC 7578 section 4.2; Windows "Naming Files, Paths, and Namespaces".
    """
    # The end counts, it holds the extension. Composing takes quadratic time on a long run of combining marks.
    last_component = _SEPARATORS.split(raw[-_MAX_RAW_CHARACTERS:].rstrip("/\\"))[-1]
    visible = "".join(_visible(character) for character in last_component)
    name = " ".join(unicodedata.normalize("NFC", visible).translate(_RESERVED_CHARACTERS).split())
    name = name.strip(" .").lstrip(" .-~")
    # NFC may produce a slash look-alike from nothing, but never a plain one: it only composes.
    if _RESERVED_STEM.match(name):
        name = f"_{name}"
    return _shorten(name) or FALLBACK_NAME


def with_extension(filename: str, extensions: tuple[str, ...]) -> str:
    """Return `filename` ending in one of `extensions` (lower case, without dot); the first is appended otherwise.

    So a renamed PDF cannot be downloaded as `.html`: `report.html` with ("pdf",) becomes `report.html.pdf`.
    """
    stem, dot, extension = filename.rpartition(".")
    if not extensions or (dot and stem and extension.lower() in extensions):
        return filename
    return _shorten(f"{filename.rstrip(' .')}.{extensions[0]}")


def content_disposition(disposition: Literal["inline", "attachment"], filename: str) -> str:
    """The value of a Content-Disposition header: one quoted ASCII `filename`, plus `filename*` when it is not ASCII.

    Never holds CR, LF, NUL or another control, whatever `filename` holds.
    Source: RFC 6266 sections 4.1 and 4.3, RFC 8187 section 3.2.
    """
    name = "".join(_visible(character) for character in filename) or FALLBACK_NAME
    value = f'{disposition}; filename="{_ascii_fallback(name)}"'
    if not name.isascii():
        value += f"; filename*=UTF-8''{quote(name, safe='!#$&+-.^_`|~')}"
    return value


def _visible(character: str) -> str:
    if character in "\t\n\v\f\r":
        return " "
    if character in _BLANK_LETTERS or unicodedata.category(character) in _INVISIBLE:
        return ""
    return character


def _ascii_fallback(name: str) -> str:
    # Accents are dropped where a base letter remains; a percent sign would be decoded by some browsers (RFC 6266
    # appendix D), a backslash or a quote would end or escape the quoted string.
    decomposed = unicodedata.normalize("NFKD", name)
    letters = (c for c in decomposed if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in letters)


def _shorten(name: str) -> str:
    if len(name) <= MAX_NAME_CHARACTERS and len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem or len(extension.encode()) > _MAX_EXTENSION_BYTES:
        stem, extension = name, ""
    tail = f".{extension}" if extension else ""
    room = MAX_NAME_BYTES - len(tail.encode())
    # Cutting bytes may split a character; what is left of it is dropped. A dangling dot or blank would be ugly.
    return stem.encode()[:room].decode(errors="ignore").rstrip(" .") + tail
