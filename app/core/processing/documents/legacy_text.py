"""Tells by language statistics which legacy encoding a text is in: the one whose reading looks most like a language.

Pure functions over bytes. Every reading is given a cost, about what it would take to write it down: little for the
letters that a language of that encoding uses, much for letters that none uses, for signs inside words, for capitals
after small letters, for two alphabets in one word, and most for bytes that mean nothing.
"""

import codecs
import re
from collections import Counter
from typing import Final

from app.core.processing.documents import languages

_SAMPLE_BYTES = 16 * 1024
_EAST_ASIAN: Final = {
    "cp932": (0x88, 0x97),
    "euc_jp": (0xB0, 0xCF),
    "gb18030": (0xB0, 0xD7),
    "big5": (0xA4, 0xC6),
    "cp949": (0xB0, 0xC8),
}
"""Each with the first bytes of its frequent characters: every standard has the rare ones in the rows behind them."""
_SELDOM = {
    **{"koi8_r": 0.3, "koi8_u": 0.6, "cp866": 2.0, "cp852": 2.0, "cp850": 3.0, "cp437": 3.0},
    **{"mac_roman": 4.0, "mac_cyrillic": 2.0, "cp1258": 6.0},
}
_USUAL, _TYPOGRAPHY, _UNUSUAL, _SIGN, _MEANINGLESS, _CAPITAL = 1.5, 3.0, 8.0, 9.0, 14.0, 0.5
_IN_WORD, _CASE, _MIXED = 6.0, 5.0, 8.0
_UTF8_CHARACTER, _CUT = 3.0, 3.0
_BOX_IN_LINE, _BOX = 1.0, 6.0
_EVERYDAY: Final = frozenset("’“”–—…€«»\xa0")
_TYPOGRAPHIC: Final = frozenset("‘‚„‹›°£§©®™²³½¼¾·•¿¡ºª×±¢¥µ´")
_BOXES = re.compile("[\u2500-\u259f]")
_LINE_OF_BOXES = re.compile(r"([\u2500-\u259f])\1+")
_THRICE = re.compile(r"([^\W\d_a-zA-Z])\1\1")
_FINAL_INSIDE = re.compile("[\u05da\u05dd\u05df\u05e3\u05e5](?=[\u05d0-\u05ea])")
# A Greek word of more than one syllable has an accent.
_UNACCENTED = re.compile("(?<![\u0370-\u03ff])[\u03b1-\u03c9]{4,}(?![\u0370-\u03ff])")
_LONG_ASCII = re.compile(rb"([A-Za-z]{3})[A-Za-z]+([A-Za-z]{3})")
_SIGN_IN_WORD = re.compile(
    r"(?<=[^\W\d_])[^\w\s\x00-\x7f\u0e31-\u0e4e\u0591-\u05c7\u064b-\u0655’´·\xad\u200c\u200d](?=[^\W\d_])"
)
_SMALL, _LARGE = "a-zß-öø-ÿ\u03ac-\u03ce\u0430-\u045f", "A-ZÀ-ÖØ-Þ\u0391-\u03ab\u0410-\u042f\u0401-\u040f"
_CASE_BROKEN = re.compile(
    f"(?:[{_SMALL}](?=[À-ÖØ-Þ\u0391-\u03ab\u0401-\u042f])|[ß-öø-ÿ\u03ac-\u03ce\u0430-\u045f](?=[A-Z]))"
)
_ALPHABETS = ("A-Za-zÀ-ɏ", "\u0370-\u03ff", "\u0400-\u04ff", "\u0590-\u05ff", "\u0600-\u06ff", "\u0e00-\u0e7f")
_MIXED_WORD = re.compile("|".join(f"[{one}](?=[{''.join(a for a in _ALPHABETS if a != one)}])" for one in _ALPHABETS))
_HIRAGANA, _KATAKANA, _HAN, _HANGUL = "\u3041-\u309f", "\u30a0-\u30ff", "\u3400-\u9fff", "\uac00-\ud7a3"
_INSIDE_LATIN = re.compile(f"[A-Za-z](?=[{_HAN}{_HANGUL}\uff61-\uff9f])|[{_HAN}{_HANGUL}\uff61-\uff9f](?=[a-z])")
_KANA = re.compile(f"[{_HIRAGANA}{_KATAKANA}]")
_CJK_PUNCTUATION = re.compile("[\u3000-\u3011\uff01-\uff5e]")

ENCODINGS: Final = (*languages.OF_ENCODING, *_EAST_ASIAN)
# Codecs are modules that Python reads on first use, which a worker confined to its staging folder no longer can.
for _codec in ENCODINGS:
    codecs.lookup(_codec)


def likeliest(data: bytes) -> str:
    """The Python name of the encoding of `data`, which is not ASCII: 'utf-8' when that is the best reading in spite of
    bytes that are wrong in it, else one of ENCODINGS; 'cp1252' where nothing speaks for another.

    Looks at no more than the first 16 KiB of lines that hold something besides ASCII.
    """
    sample = _telling_lines(data)
    costs = {"utf-8": _cost_of_utf8(sample)}
    costs |= {encoding: _cost_of_letters(sample, encoding) for encoding in languages.OF_ENCODING}
    costs |= {encoding: _cost_of_characters(sample, encoding) for encoding in _EAST_ASIAN}
    return min(costs, key=lambda encoding: costs[encoding] + _SELDOM.get(encoding, 0.0))


def _telling_lines(data: bytes) -> bytes:
    if len(data) <= _SAMPLE_BYTES:
        return _LONG_ASCII.sub(rb"\1\2", data)
    sample, at = bytearray(), 0
    while len(sample) < _SAMPLE_BYTES and at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        line = data[at : min(end, at + _SAMPLE_BYTES)]
        if not line.isascii():
            sample += line
        at = at + len(line)
    # Nothing is told by the middle of an ASCII word.
    return _LONG_ASCII.sub(rb"\1\2", bytes(sample[:_SAMPLE_BYTES]))


def _cost_of_utf8(sample: bytes) -> float:
    text = sample.decode("utf-8", errors="replace")
    # A sample may end inside a letter; the text itself may as well.
    broken = text.removesuffix("\ufffd").count("\ufffd") - sample.count(b"\xef\xbf\xbd")
    letters = sum(not char.isascii() for char in text) - text.count("\ufffd")
    return _UTF8_CHARACTER * letters + _MEANINGLESS * (broken if letters else broken + 1)


def _cost_of_letters(sample: bytes, encoding: str) -> float:
    text = sample.decode(encoding, errors="replace")
    counts = Counter(char for char in text if not char.isascii())
    context = _IN_WORD * len(_SIGN_IN_WORD.findall(text))
    context += _CASE * len(_CASE_BROKEN.findall(text)) + _MIXED * len(_MIXED_WORD.findall(text))
    context += _CASE * (len(_THRICE.findall(text)) + len(_FINAL_INSIDE.findall(text)) + len(_UNACCENTED.findall(text)))
    in_lines = sum(found.end() - found.start() for found in _LINE_OF_BOXES.finditer(text))
    context -= (_BOX - _BOX_IN_LINE) * in_lines
    return context + min(
        sum(_cost(char, letters) * count for char, count in counts.items())
        for letters in languages.OF_ENCODING[encoding]
    )


def _cost(char: str, letters: str) -> float:
    small = char.lower()
    place = letters.find(small)
    if place >= 0:
        return _USUAL + place * 3.5 / len(letters) + (_CAPITAL if char != small else 0.0)
    if char in _EVERYDAY:
        return _USUAL
    if char in _TYPOGRAPHIC:
        return _TYPOGRAPHY
    if "\x80" <= char <= "\x9f" or char == "\ufffd" or "\ue000" <= char <= "\uf8ff":
        return _MEANINGLESS
    if char.isalpha():
        return _UNUSUAL
    return _BOX if _BOXES.match(char) else _SIGN


def _cost_of_characters(sample: bytes, encoding: str) -> float:
    text = sample.decode(encoding, errors="replace")
    cost = 0.0
    if text.endswith("\ufffd") and text.count("\ufffd") == 1 and not text[:-1].isascii():
        text, cost = text[:-1], _CUT
    for char, count in Counter(char for char in text if not char.isascii()).items():
        cost += _cost_of_one(char, encoding) * count
    # Kanji, kana and hangul stand beside Latin words, but not inside them: there it is a Western letter misread.
    return cost + _MIXED * len(_INSIDE_LATIN.findall(text))


def _cost_of_one(char: str, encoding: str) -> float:
    if char == "\ufffd" or "\ue000" <= char <= "\uf8ff":
        return _MEANINGLESS
    if _CJK_PUNCTUATION.match(char):
        return _TYPOGRAPHY
    if _KANA.match(char):
        return 2.0 if encoding in ("cp932", "euc_jp") else 12.0
    try:
        raw = char.encode(encoding)
    except UnicodeEncodeError:
        return _MEANINGLESS
    if len(raw) != 2:
        return _UNUSUAL
    first, last = _EAST_ASIAN[encoding]
    is_frequent = first <= raw[0] <= last and (raw[1] >= 0xA1 or encoding in ("cp932", "big5"))
    frequent = 3.5 if encoding == "cp949" else 5.0
    return frequent if is_frequent else 10.0
