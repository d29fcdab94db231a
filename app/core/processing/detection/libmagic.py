"""Asks libmagic what a file looks like; the only importer of `magic`.

One voice among several: it calls a DOCX a ZIP and some MP3 plain data, so nobody is refused on its word alone.
"""

import ctypes
import importlib.util
from pathlib import Path

from app.core.processing.detection.signatures import HEAD_BYTES


def _bundled() -> Path:
    # pylibmagic carries the library and its database; importing it would patch ctypes for the whole process.
    spec = importlib.util.find_spec("pylibmagic")
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        raise ImportError("pylibmagic is not installed")
    return Path(folders[0])


# The loader of python-magic asks for libmagic.so.1 by its bare name, and the dynamic linker answers with the library
# of that name that is already in the process: ours, whatever the system has.
_LIBRARY = ctypes.CDLL(str(_bundled() / "libmagic.so.1"), mode=ctypes.RTLD_GLOBAL)

import magic  # noqa: E402 - the library above must be in the process first

# Loaded with the module: a worker that reads hostile files may no longer open this one.
_MAGIC = magic.Magic(mime=True, magic_file=str(_bundled() / "magic.mgc"))

# What libmagic may be believed about when no signature of ours spoke: formats that are never one of ours.
_FOREIGN_LABELS = {
    "application/x-dosexec": "a Windows program",
    "application/vnd.microsoft.portable-executable": "a Windows program",
    "application/x-executable": "a Linux program",
    "application/x-pie-executable": "a Linux program",
    "application/x-sharedlib": "a Linux program",
    "application/x-mach-binary": "a macOS program",
    "application/java-archive": "a Java archive",
    "application/x-java-applet": "a Java class",
    "application/x-tar": "a tar archive",
    "application/x-iso9660-image": "a disc image",
    "application/x-lzma": "an LZMA archive",
    "application/x-bytecode.python": "a compiled Python module",
    "image/x-tga": "a TGA image",
    "image/x-portable-pixmap": "a Netpbm image",
    "image/x-portable-greymap": "a Netpbm image",
    "image/x-portable-bitmap": "a Netpbm image",
}
_TEXT_LABELS = {
    "text/html": "an HTML page",
    "text/xml": "an XML document",
    "image/svg+xml": "an SVG image",
    "application/json": "a JSON document",
}


def foreign_label(head: bytes) -> str | None:
    """What libmagic takes `head` for when that is a format none of ours can be mistaken for, else None."""
    return _FOREIGN_LABELS.get(_mime_type(head))


def text_label(head: bytes) -> str:
    """A name for content that is known to be text: 'an HTML page', or 'plain text' when nothing is more telling."""
    return _TEXT_LABELS.get(_mime_type(head), "plain text")


def _mime_type(head: bytes) -> str:
    return str(_MAGIC.from_buffer(head[:HEAD_BYTES]))
