"""File names for people: cleaning what a client sends and writing it into a header. Names on disk are never made here.

Imports nothing of ours but `name_letters`.
"""

import re
import unicodedata
from typing import Literal
from urllib.parse import quote

from app.core.name_letters import is_attached, joins_next, visible_text

MAX_NAME_CHARACTERS = 255
MAX_NAME_BYTES = 255
FALLBACK_NAME = "file"

_MAX_EXTENSION_BYTES = 32
_MAX_RAW_CHARACTERS = 4096
_MAX_GRAPHEME_CHARACTERS = 32
# Refused by Windows in a file name; ':' also opens an alternate data stream.
_RESERVED_CHARACTERS = str.maketrans(dict.fromkeys('<>:"|?*', "_"))
_RESERVED_STEM = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])[ .]*(\.|$)")
_SEPARATORS = re.compile(r"[/\\]")
# Compatibility forms and old code pages of Windows turn these into a slash. The big solidus looks like one and stays
# what it is everywhere; downloaders write it for a slash in a title (`AC⧸DC`).
_SLASH_LIKE = str.maketrans({"\u2044": "\u29f8", "\u2215": "\u29f8", "\uff0f": "\u29f8"})
_BACKSLASH_LIKE = str.maketrans({"\u29f5": "\u29f9", "\ufe68": "\u29f9", "\uff3c": "\u29f9"})


def clean_display_name(raw: str) -> str:
    """Return `raw` as a name that is safe to show, to log and to save under: one path component, never empty.

    As `clean_name`, and an empty name becomes `file`.
    """
    return clean_name(raw) or FALLBACK_NAME


def clean_name(raw: str) -> str:
    """The same, but '' when nothing of `raw` can be seen.

    Directories of either kind of slash, controls and what cannot be seen go (`visible_text`); the rest is NFC, at most
    255 characters and 255 bytes of UTF-8, cut before the extension; look-alikes of a slash become ⧸; leading dots,
    dashes and blanks go, and names that Windows keeps for devices get an underscore.
    Source: OWASP File Upload Cheat Sheet; RFC 7578 section 4.2; Windows "Naming Files, Paths, and Namespaces".
    """
    # The end counts, it holds the extension. Composing takes quadratic time on a long run of combining marks.
    last_component = _SEPARATORS.split(raw[-_MAX_RAW_CHARACTERS:].rstrip("/\\"))[-1]
    seen = visible_text(last_component).translate(_SLASH_LIKE).translate(_BACKSLASH_LIKE)
    name = " ".join(unicodedata.normalize("NFC", seen).translate(_RESERVED_CHARACTERS).split())
    name = name.strip(" .").lstrip(" .-~")
    # NFC may produce a slash look-alike from nothing, but never a plain one: it only composes.
    if _RESERVED_STEM.match(name):
        name = f"_{name}"
    return _shorten(name)


def with_extension(filename: str, extensions: tuple[str, ...]) -> str:
    """Return `filename` ending in one of `extensions` (lower case, without dot); the first is appended otherwise.

    So a renamed PDF cannot be downloaded as `.html`: `report.html` with ("pdf",) becomes `report.html.pdf`.
    """
    stem, dot, extension = filename.rpartition(".")
    if not extensions or (dot and stem and extension.lower() in extensions):
        return filename
    return _shorten(f"{filename.rstrip(' .')}.{extensions[0]}")


def content_disposition(disposition: Literal["inline", "attachment"], filename: str) -> str:
    """The value of a Content-Disposition header: one quoted ASCII `filename`, and `filename*` when that says less.

    Never holds CR, LF, NUL or another control, whatever `filename` holds.
    Source: RFC 6266 sections 4.1 and 4.3, RFC 8187 section 3.2.
    """
    name = visible_text(filename) or FALLBACK_NAME
    fallback = _ascii_fallback(name)
    value = f'{disposition}; filename="{fallback}"'
    if name != fallback:
        value += f"; filename*=UTF-8''{quote(name, safe='!#$&+-.^_`|~')}"
    return value


def _ascii_fallback(name: str) -> str:
    # Accents are dropped where a base letter remains; a percent sign would be decoded by some browsers (RFC 6266
    # appendix D), a backslash or a quote would end or escape the quoted string, a slash would begin a directory.
    decomposed = unicodedata.normalize("NFKD", name)
    letters = (c for c in decomposed if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" and c not in '"\\%/' else "_" for c in letters)


def _shorten(name: str) -> str:
    if len(name) <= MAX_NAME_CHARACTERS and len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem or len(extension.encode()) > _MAX_EXTENSION_BYTES:
        stem, extension = name, ""
    tail = f".{extension}" if extension else ""
    # What is left without a blank or a dot at its end would be ugly.
    return _cut(stem, MAX_NAME_BYTES - len(tail.encode())).rstrip(" .") + tail


def _cut(text: str, max_bytes: int) -> str:
    """The beginning of `text` that fits, cut between two characters as people count them, as far as is reasonable."""
    length = len(text.encode()[:max_bytes].decode(errors="ignore"))
    for end in range(length, max(0, length - _MAX_GRAPHEME_CHARACTERS), -1):
        if end == len(text) or not (is_attached(text[end]) or joins_next(text[end - 1])):
            return text[:end]
    return text[:length]  # nobody writes so many marks on one letter
