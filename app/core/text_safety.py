"""Makes text that was found inside a file safe to keep in JSON, in PostgreSQL and in a log. Imports no library."""

import re

_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Everything that is neither text nor layout: C0 except tab and newline, DEL, C1, lone surrogates, the two code
# points that end every plane's file as non-characters, and the byte order mark.
_UNSAFE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\ufeff]")


def clean_text(value: str, *, max_chars: int) -> str:
    """`value` without control characters, NUL, lone surrogates and outer white space, at most `max_chars` long.

    Line ends of every kind become a newline; newline and tab stay. Nothing is composed or re-ordered: a fact is kept
    as the file spells it (and canonical ordering takes quadratic time on a long run of combining marks).
    Returns '' when nothing is left.
    Source: PostgreSQL refuses U+0000 in text and jsonb; RFC 8259 section 8.2 on lone surrogates.
    """
    # Twice the room before cleaning bounds the work on a hostile string and seldom costs an honest one a character.
    head = value[: 2 * max_chars + 1024]
    return _UNSAFE.sub("", _LINE_ENDS.sub("\n", head)).strip()[:max_chars].rstrip()
