"""The package around a DOCX or XLSX: which part is the main one, of which kind, and the document's properties.

ZIP safety is `archive`'s, XML safety is `safe_xml`'s; the words and cells inside are `office`'s.
"""

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from app.core.errors import UnreadableFile
from app.core.processing.contract import JsonObject, ProcessingOptions
from app.core.processing.documents import safe_xml
from app.core.processing.documents.archive import Archive, open_archive
from app.core.text_safety import clean_text

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"

_SMALL_PART_BYTES = 4 * 1024 * 1024
_MAX_FACT_CHARS = 500
_MAX_COUNT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class MainPart:
    """The part that the package starts with: its member name and content type."""

    name: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Relationship:
    """A pointer from one part to another inside the package; `type` is the last word of its URI."""

    id: str
    type: str
    target: str


@contextmanager
def open_package(path: Path, options: ProcessingOptions) -> Iterator[Archive]:
    """The file's archive within the limits of `options`. Raises as `archive.open_archive` does."""
    limits = {"max_unpacked_bytes": options.max_unpacked_bytes, "max_members": options.max_archive_members}
    with open_archive(path, **limits) as package:
        yield package


def main_part(package: Archive) -> MainPart | None:
    """The main part by the package's own table of contents, None when this ZIP is no Office package.

    The order of the members means nothing. UnreadableFile when the package is one but its tables are broken.
    Source: ECMA-376 part 2 sections 6.5.3 (relationships) and 7.2.3 (content types).
    """
    if package.size_bytes("[Content_Types].xml") is None:
        return None
    types = safe_xml.parse(package.read("[Content_Types].xml", max_bytes=_SMALL_PART_BYTES))
    target = next((link.target for link in relationships(package, "") if link.type == "officeDocument"), None)
    if target is None or package.size_bytes(target) is None:
        raise UnreadableFile("The file is damaged: the main part of the document is missing.")
    extension = posixpath.splitext(target)[1].removeprefix(".").lower()
    default = None
    for entry in types:
        kind = entry.tag.rpartition("}")[2]
        if kind == "Override" and _slashed(entry.get("PartName", "")).removeprefix("/").lower() == target.lower():
            return MainPart(target, entry.get("ContentType", ""))
        if kind == "Default" and entry.get("Extension", "").lower() == extension:
            default = entry.get("ContentType", "")
    return MainPart(target, default or "")


def relationships(package: Archive, part: str) -> tuple[Relationship, ...]:
    """What `part` points at inside the package ('' for the package itself); links to the outside are left out."""
    folder, name = posixpath.split(part)
    member = posixpath.join(folder, "_rels", f"{name}.rels")
    if package.size_bytes(member) is None:
        return ()
    root = safe_xml.parse(package.read(member, max_bytes=_SMALL_PART_BYTES))
    return tuple(
        Relationship(
            id=entry.get("Id", ""),
            type=entry.get("Type", "").rpartition("/")[2],
            target=_member_at(folder, entry.get("Target", "")),
        )
        for entry in root
        if entry.get("TargetMode") != "External"
    )


def _member_at(folder: str, target: str) -> str:
    return posixpath.normpath(posixpath.join("/", folder, _slashed(unquote(target)))).lstrip("/")


def _slashed(name: str) -> str:
    # As `archive` does with the members' own names.
    return name.replace("\\", "/")


def document_properties(package: Archive) -> JsonObject:
    """Title, author, subject and the counts the document was saved with; only what is there and makes sense.

    `pages`, `words` and `characters` are the writer's claim, not counted by us. A broken properties part tells
    nothing and is no reason to refuse: Office itself repairs it.
    """
    facts: JsonObject = {}
    for part in relationships(package, ""):
        if part.type in ("core-properties", "extended-properties") and package.size_bytes(part.target) is not None:
            facts |= _facts_of(package, part.target)
    return facts


_TEXT_FACTS = {"title": "title", "creator": "author", "subject": "subject"}
_COUNT_FACTS = {"Pages": "pages", "Words": "words", "Characters": "characters"}


def _facts_of(package: Archive, name: str) -> JsonObject:
    facts: JsonObject = {}
    if (package.size_bytes(name) or 0) > _SMALL_PART_BYTES:
        return facts
    try:
        root = safe_xml.parse(package.read(name, max_bytes=_SMALL_PART_BYTES))
    except UnreadableFile:
        return facts
    for element in root:
        tag, value = element.tag.rpartition("}")[2], element.text or ""
        if tag in _TEXT_FACTS and (text := clean_text(value, max_chars=_MAX_FACT_CHARS)):
            facts[_TEXT_FACTS[tag]] = text
        elif tag in _COUNT_FACTS and value.isascii() and value.isdigit() and len(value) < 11:
            facts[_COUNT_FACTS[tag]] = min(int(value), _MAX_COUNT)
    return facts
