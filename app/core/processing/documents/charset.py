"""Decides whether bytes are text and in which encoding. Imports no library."""

import codecs
import re
import unicodedata
from dataclasses import dataclass

from app.core.processing.documents import legacy_text

_MAX_CONTROL_SHARE = 0.01
_MAX_WRONG_SHARE = 0.01
# Tab, line ends, form feed, and ESC for terminal colours and ISO 2022 are layout; every other control is noise.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_CODEC_OF_BOM = (
    # UTF-32 first: its little-endian mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32-le", "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "utf-32"),
    (codecs.BOM_UTF8, "utf-8", "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16"),
)
_WIDE = (("utf-32-le", "utf-32le"), ("utf-32-be", "utf-32be"), ("utf-16-le", "utf-16le"), ("utf-16-be", "utf-16be"))
_ISO_2022 = (
    (re.compile(rb"\x1b\$[@B]|\x1b\([IJ]|\x1b\$\([D]"), "iso2022_jp_ext", "iso-2022-jp"),
    (re.compile(rb"\x1b\$\)C"), "iso2022_kr", "iso-2022-kr"),
)
_SHORTEST_WIDE_CHARS = 4
_WIDE_SAMPLE_BYTES = 16 * 1024
_ASCII_WORDS = tuple(bytes((byte,)) for byte in b" \t\r\nabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_HTTP_NAMES = {"cp932": "shift_jis", "cp949": "euc-kr", "mac_roman": "macintosh", "mac_cyrillic": "x-mac-cyrillic"}
# Codecs are modules that Python reads on first use, which a worker confined to its staging folder no longer can.
for _codec in ("iso2022_jp_ext", "iso2022_kr", "utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
    codecs.lookup(_codec)


@dataclass(frozen=True, slots=True)
class Text:
    """Decoded text with the name of its encoding as HTTP writes it ('utf-8', 'us-ascii', 'windows-1252')."""

    value: str
    charset: str

    @property
    def is_utf8(self) -> bool:
        """Whether a reader that assumes UTF-8 gets it right."""
        return self.charset in ("utf-8", "us-ascii")


def decode(data: bytes) -> Text | None:
    """The text that `data` is, None when it is not text: with NUL, or over 1 % control characters.

    A byte order mark decides; then what only one encoding can be (UTF-8, ISO-2022, UTF-16 and UTF-32 by their zeros);
    then the likeliest reading, which is a guess and may have a few wrong bytes: they become U+FFFD.
    Source: WHATWG Encoding section 6 (BOM sniffing); RFC 3629; RFC 1468; RFC 1557.
    """
    for mark, codec, charset in _CODEC_OF_BOM:
        if data.startswith(mark):
            text = _nearly(data[len(mark) :], codec, charset)
            if text is not None and _is_clean(text):
                return text
    if b"\x00" in data:
        return _wide(data)
    text = _narrow(data)
    # Chinese in UTF-16 without a single space or line end has no zeros, but bytes that are controls elsewhere.
    return text if _is_clean(text) else _wide(data)


def _narrow(data: bytes) -> Text:
    if data.isascii():
        for escape, codec, charset in _ISO_2022:
            if escape.search(data) and (text := _nearly(data, codec, charset)) is not None:
                return text
        return Text(data.decode("ascii"), "us-ascii")
    try:
        return Text(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        encoding = legacy_text.likeliest(data)
        return Text(data.decode(encoding, errors="replace"), _http_name(encoding))


def _nearly(data: bytes, codec: str, charset: str) -> Text | None:
    """`data` in this encoding with at most 1 % of wrong characters, besides one that the end cuts off."""
    value = data.decode(codec, errors="replace")
    wrong = value.count("\ufffd") - data.count("\ufffd".encode(codec)) if "\ufffd" in value else 0
    is_cut = value.endswith("\ufffd") and len(value) > 1
    return Text(value, charset) if wrong - is_cut <= _MAX_WRONG_SHARE * len(value) else None


def _is_clean(text: Text) -> bool:
    # DOS programs end a text with one Ctrl-Z.
    controls = len(_CONTROLS.findall(text.value.removesuffix("\x1a")))
    return "\x00" not in text.value and controls <= _MAX_CONTROL_SHARE * len(text.value)


def _wide(data: bytes) -> Text | None:
    """UTF-16 or UTF-32 without a mark, when the reading is of one kind of writing; the one with more ASCII in it."""
    texts = [text for codec, charset in _WIDE if (text := _nearly(data, codec, charset)) is not None]
    # Two letters of ASCII make one Chinese character.
    is_pairs = sum(map(data[:_WIDE_SAMPLE_BYTES].count, _ASCII_WORDS)) > 0.8 * len(data[:_WIDE_SAMPLE_BYTES])
    if is_pairs:
        return None
    plausible = [text for text in texts if len(text.value) >= _SHORTEST_WIDE_CHARS and _is_clean(text)]
    plausible = [text for text in plausible if _is_one_writing(text.value[:_WIDE_SAMPLE_BYTES])]
    return max(plausible, key=lambda text: sum(map(str.isascii, text.value[:_WIDE_SAMPLE_BYTES])), default=None)


def _is_one_writing(sample: str) -> bool:
    """Whether nearly all letters beyond ASCII are of one script; noise read as UTF-16 is of all of them at once."""
    scripts: dict[str, int] = {}
    strange = 0
    for char in sample:
        if char.isascii():
            continue
        category = unicodedata.category(char)
        if category[0] == "C":
            strange += category != "Cf"
        elif category[0] in "LM":
            script = unicodedata.name(char, "?").split(" ", 1)[0].split("-", 1)[0]
            script = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "HANGUL": "CJK", "IDEOGRAPHIC": "CJK"}.get(script, script)
            scripts[script] = scripts.get(script, 0) + 1
    letters = sum(scripts.values())
    return strange <= 0.02 * len(sample) and (not letters or max(scripts.values()) >= 0.9 * letters)


def _http_name(encoding: str) -> str:
    if encoding.startswith("cp125") or encoding == "cp874":
        return f"windows-{encoding[2:]}"
    if encoding.startswith("iso8859_"):
        return f"iso-8859-{encoding[8:]}"
    return _HTTP_NAMES.get(encoding, encoding.replace("cp", "ibm", 1).replace("_", "-"))
