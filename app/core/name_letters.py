"""Which characters of a name a reader sees. Imports nothing of ours.

Invisible characters hide an extension, turn text around or carry a hidden message, and go. Those that shape what is
seen beside them stay, where they do: joiners in the scripts that join, the glue of emoji, variation selectors.
Letters that are younger than the interpreter's tables are letters. Source: Unicode 16, chapters 9, 12, 23; UTS 51.
"""

import re
import unicodedata
from typing import Final

_ZWNJ: Final = "\u200c"
_ZWJ: Final = "\u200d"
_MONGOLIAN_JOINER: Final = "\u180e"
_EMOJI_SELECTOR: Final = "\ufe0f"
_BLACK_FLAG: Final = "\U0001f3f4"
_LAST_TAG: Final = "\U000e007f"
# The flag of a subdivision: its code (ISO 3166-2, without the hyphen) in tag characters, and the tag that ends it.
# Nothing longer: a run of tags is the usual way to hide a text from people and not from programs.
_FLAG_TAGS: Final = re.compile("[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
# Default_Ignorable_Code_Point of letters and marks that are no selectors, and the blank cell of Braille.
_BLANK_LETTERS: Final = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
_MONGOLIAN_SELECTORS: Final = "\u180b\u180c\u180d\u180f"
_PRINTABLE_YET_UNSEEN: Final = re.compile(f"[{_BLANK_LETTERS}{_MONGOLIAN_SELECTORS}\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# Prepended_Concatenation_Mark and the controls of hieroglyphs: of category Cf, and yet they have a shape.
_VISIBLE_FORMATS: Final = re.compile(
    "[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001343f]"
)
_UNSEEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# What is not assigned here may be in a later Unicode, but for non-characters and what is reserved for ignorables.
_NEVER_LETTERS: Final = re.compile(
    "[\u2065\ufdd0-\ufdef\ufff0-\ufff8\U000e0000-\U000e0fff"
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))
    + "]"
)
# Scripts whose letters take another shape beside a joiner: Arabic, Syriac, N'Ko; those of India and South-East Asia;
# Mongolian; and their extensions and presentation forms.
_JOINING_SCRIPTS: Final = re.compile(
    "[\u0600-\u109f\u1700-\u1cff\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00011fff\U0001e900-\U0001e95f]"
)


def visible_text(text: str) -> str:
    """`text` without what cannot be seen; line ends and tabs become blanks. What was seen before is seen after."""
    if _is_plain(text):
        return text
    kept: list[str] = []
    position = 0
    while position < len(text):
        if _is_plain(text[position]):
            kept.append(text[position])
            position += 1
            continue
        piece = _visible(text, position, kept[-1] if kept else "")
        kept += piece
        position += max(1, len(piece))
    return "".join(kept)


def is_attached(character: str) -> bool:
    """Whether `character` belongs to what is written before it, so that a cut between the two would spoil that."""
    return (
        character in {_ZWNJ, _ZWJ}
        or unicodedata.category(character).startswith("M")
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
    )


def joins_next(character: str) -> bool:
    """Whether `character` asks for what comes after it."""
    return character == _ZWJ or "\U0001f1e6" <= character <= "\U0001f1ff"


def _is_plain(text: str) -> bool:
    # Printable is what is assigned and of no unseen category: it settles almost every name in one step of C.
    return text.isprintable() and not _PRINTABLE_YET_UNSEEN.search(text)


def _visible(text: str, position: int, before: str) -> str:
    """What stays of the character at `position`: itself, a blank in its place, nothing; or a whole run of flag tags."""
    character = text[position]
    if character in "\t\n\v\f\r":
        return " "
    if character in {_ZWNJ, _ZWJ, _MONGOLIAN_JOINER}:
        return character if _is_used_joiner(character, before, text[position + 1 : position + 2]) else ""
    if text[position - 1 : position] == _BLACK_FLAG and (tags := _FLAG_TAGS.match(text, position)):
        return tags[0]
    if _is_selector(character):
        return character if _may_be_selected(character, before) else ""
    return character if _has_shape(character) else ""


def _is_used_joiner(joiner: str, before: str, after: str) -> bool:
    if _JOINING_SCRIPTS.match(before):
        # Also at the end of a word: after a virama it makes a form of its own (Malayalam, Bengali), after an Arabic
        # letter it shows the joined one.
        return unicodedata.category(before)[0] in "LM" or unicodedata.category(before) == "Cn"
    return joiner == _ZWJ and _is_emoji(before) and _is_emoji(after)


def _is_emoji(character: str) -> bool:
    # Arrows are of category Sm, new emoji of none. The last two end one that was begun.
    return bool(character) and (
        unicodedata.category(character) in {"So", "Sm"}
        or "\U0001f000" <= character <= "\U0001fbff"
        or character in {_EMOJI_SELECTOR, _LAST_TAG}
    )


def _is_selector(character: str) -> bool:
    return (
        "\ufe00" <= character <= "\ufe0f"
        or "\U000e0100" <= character <= "\U000e01ef"
        or character in _MONGOLIAN_SELECTORS
    )


def _may_be_selected(selector: str, before: str) -> bool:
    if not before or before.isspace() or _is_selector(before) or before in {_ZWNJ, _ZWJ}:
        return False
    if selector >= "\U000e0100":
        return before >= "\u2e80" and unicodedata.category(before) in {"Lo", "Cn"}  # ideographs alone have these
    if selector < "\ufe00":
        return "\u1800" <= before <= "\u18af"
    # None is registered for a letter of Europe, so one there is a mark that nobody sees.
    return not (before < "\u0600" and before.isalpha())


def _has_shape(character: str) -> bool:
    if character in _BLANK_LETTERS or _NEVER_LETTERS.match(character):
        return False
    return unicodedata.category(character) not in _UNSEEN_CATEGORIES or _VISIBLE_FORMATS.match(character) is not None
