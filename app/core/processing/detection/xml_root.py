"""Reads the name of an XML document's root element and nothing behind it. Standard library only."""

from xml.parsers import expat

_SVG_NAMESPACES = ("http://www.w3.org/2000/svg", "")
_SEPARATOR = "\n"


class _RootFound(Exception):
    """Ends the parser at the first start tag."""


def is_svg(head: bytes) -> bool:
    """Whether `head`, the first bytes of a file, is XML whose root element is `svg`.

    A byte order mark, UTF-16, comments and a document type may come first. No entity of the document is expanded
    before the root and none is ever fetched; the rest of the file is the sanitiser's business.
    Source: SVG 2 section 5.1.1; a root without a namespace is what people paste out of web pages.
    """
    return root_name(head) in {f"{namespace}{_SEPARATOR}svg".lstrip(_SEPARATOR) for namespace in _SVG_NAMESPACES}


def root_name(head: bytes) -> str | None:
    """Namespace, newline and name of the root element (the bare name without a namespace), None for anything else."""
    found: list[str] = []

    def on_start(name: str, _attributes: dict[str, str]) -> None:
        found.append(name)
        raise _RootFound

    parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
    parser.StartElementHandler = on_start
    try:
        # Careless generators leave white space before the declaration, which the sanitiser forgives as well.
        parser.Parse(head.lstrip(b" \t\r\n"), False)
    except _RootFound:
        return found[0]
    except expat.ExpatError:
        return None
    return None
