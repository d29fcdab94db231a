"""Owns the text of an SVG file: its encoding and its document type, out of the way before any parser sees them."""

import codecs
import re

from app.core.errors import FileTooComplex, UnreadableFile, UnsupportedFileType

MAX_CHARS = 10 * 1024 * 1024
_ENCODINGS = frozenset({"utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252", "utf-16"})
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DECLARATION = re.compile(r"\s*<\?xml\b([^>]*)\?>")
_ENCODING = re.compile(r"""\bencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_PROLOG = re.compile(r"(?:\s+|<!--.*?-->|<\?.*?\?>)*", re.DOTALL)
_DOCTYPE = re.compile(
    r"""<!DOCTYPE\s+[\w:.-]+(?:\s+(?:PUBLIC|SYSTEM)(?:\s*(?:"[^"]*"|'[^']*')){1,2})?\s*(?:\[(.*?)\]\s*)?>""", re.DOTALL
)
_ENTITY = re.compile(r"""\s*<!ENTITY\s+([\w.-]+)\s+(?:"([^"%&<]{0,200})"|'([^'%&<]{0,200})')\s*>\s*""")
_REFERENCE = re.compile(r"&([A-Za-z_][\w.-]*);")
_GZIP = b"\x1f\x8b"


def read(data: bytes) -> str:
    """The document as text, without byte order mark, XML declaration and document type.

    Plain text entities of an internal subset, which old Illustrator files use for their namespaces, are filled in.
    Raises UnsupportedFileType for SVGZ and unusual encodings, UnreadableFile for bytes that are not in the encoding
    they claim and for any other entity, FileTooComplex above 10 Mi characters.
    Source: XML 1.0 (fifth edition) sections 2.8, 4.2 and 4.3.3.
    """
    text = _decode(data)
    declaration = _DECLARATION.match(text)
    return _without_doctype(text[declaration.end() :] if declaration else text)


def _decode(data: bytes) -> str:
    if data.startswith(_GZIP):
        raise UnsupportedFileType("Compressed SVG (SVGZ) is not accepted; upload the plain SVG.")
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), None)
    if encoding is None:
        encoding = {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}.get(data[:2]) or _declared_encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as exc:
        raise UnreadableFile("The SVG file is not in the character encoding that it claims.") from exc
    if len(text) > MAX_CHARS:
        raise FileTooComplex("The SVG file is too long.")
    return text


def _declared_encoding(data: bytes) -> str:
    declaration = _DECLARATION.match(data[:400].decode("latin-1"))
    declared = _ENCODING.search(declaration.group(1)) if declaration else None
    if declared is None:
        return "utf-8"
    try:
        name = codecs.lookup(declared.group(1)).name
    except LookupError:
        name = ""
    if name not in _ENCODINGS:
        raise UnsupportedFileType("The SVG file uses a character encoding that is not accepted; save it as UTF-8.")
    # UTF-16 without its mark and without its zero bytes is really what the declaration is written in.
    return "utf-8" if name == "utf-16" else name


def _without_doctype(text: str) -> str:
    prolog = _PROLOG.match(text)
    start = prolog.end() if prolog else 0
    if not text.startswith("<!DOCTYPE", start):
        return text
    doctype = _DOCTYPE.match(text, start)
    if doctype is None:
        raise UnreadableFile("The document type of the SVG file cannot be read.")
    entities = _entities(doctype.group(1) or "")
    return _filled_in(text[:start] + text[doctype.end() :], entities)


def _entities(subset: str) -> dict[str, str]:
    entities: dict[str, str] = {}
    position = 0
    while subset[position:].strip():
        entity = _ENTITY.match(subset, position)
        if entity is None or len(entities) >= 64:
            raise UnreadableFile("The SVG file declares entities other than short plain text, which are not accepted.")
        entities.setdefault(entity.group(1), entity.group(2) or entity.group(3) or "")
        position = entity.end()
    return entities


def _filled_in(text: str, entities: dict[str, str]) -> str:
    if not entities:
        return text
    references = [name for name in _REFERENCE.findall(text) if name in entities]
    if len(text) + sum(len(entities[name]) for name in references) > MAX_CHARS:
        raise FileTooComplex("The SVG file is too long once its entities are filled in.")
    return _REFERENCE.sub(lambda found: entities.get(found.group(1), found.group(0)), text)
