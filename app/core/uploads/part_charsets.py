"""The charsets that forms name, as browsers understand the names. No name of a client reaches the registry of codecs.

That one keeps every name it has ever been asked for, and it has codecs that take quadratic time or mean no charset.
"""

import codecs
import re
from typing import Final

_GROUPS: Final = {
    "utf-8": "utf8 unicode11utf8 usascii ascii ansix341968",
    "utf-16": "utf16 unicode ucs2",
    "utf-16-le": "utf16le",
    "utf-16-be": "utf16be",
    # What says Latin-1 is Windows-1252 (WHATWG Encoding, "Names and labels"): the same letters, and the typographic
    # ones that senders have in truth.
    "cp1252": "iso88591 latin1 l1 cp819 ibm819 windows1252 cp1252 xcp1252 ansi",
    "cp1254": "iso88599 latin5 l5 windows1254 cp1254",
    "cp874": "iso885911 tis620 windows874 cp874 dos874",
    "koi8-r": "koi8r koi8 koi",
    "koi8-u": "koi8u koi8ru",
    "mac-roman": "macintosh macroman xmacroman",
    "mac-cyrillic": "maccyrillic xmaccyrillic",
    "cp866": "ibm866 cp866",
    "cp850": "ibm850 cp850",
    "cp437": "ibm437 cp437",
    "cp932": "shiftjis sjis xsjis mskanji windows31j cp932 ms932 cswindows31j",
    "euc-jp": "eucjp xeucjp",
    "iso2022-jp": "iso2022jp csiso2022jp",
    "gb18030": "gb18030 gbk xgbk gb2312 cp936 ms936 windows936 euccn hzgb",
    "big5-hkscs": "big5 big5hkscs cnbig5 xxbig5 cp950",
    "cp949": "euckr ksc56011987 ksc5601 ks56011987 cp949 ms949 windows949 uhc",
}
_CODECS: Final = (
    {label: codec for codec, labels in _GROUPS.items() for label in labels.split()}
    | {f"{prefix}125{n}": f"cp125{n}" for n in range(9) if n not in {2, 4} for prefix in ("windows", "cp", "xcp")}
    | {f"iso8859{n}": f"iso8859-{n}" for n in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)}
    | {"latin2": "iso8859-2", "latin3": "iso8859-3", "latin4": "iso8859-4", "latin9": "iso8859-15"}
)
_NO_LABEL_CHARACTER: Final = re.compile(r"[^a-z0-9]")
_MAX_LABEL_CHARS: Final = 40
# What Japanese names have in Shift-JIS and names in Windows-1252 do not: two kana in a row, or two kanji of which one
# has no byte of ASCII.
_KANA: Final = rb"(?:\x82[\x9f-\xf1]|\x83[\x40-\x96]|\x81\x5b)"
_KANJI: Final = rb"[\x88-\x9f][\x40-\x7e\x80-\xfc]"
_WIDE_KANJI: Final = rb"[\x88-\x9f][\x80-\xfc]"
_JAPANESE_BYTES: Final = re.compile(b"%b{2}|%b%b|%b%b" % (_KANA, _WIDE_KANJI, _KANJI, _KANJI, _WIDE_KANJI))
_JAPANESE_TEXT: Final = re.compile("[\x20-\x7e\u00a7-\u00f7\u2010-\u2640\u3000-\u30ff\u4e00-\u9fff\uff01-\uff9f]*")


def codec_of(label: str) -> str | None:
    """The codec of a charset's name in whatever spelling; None for what is no charset of forms (UTF-7, IDNA)."""
    return _CODECS.get(_NO_LABEL_CHARACTER.sub("", label[:_MAX_LABEL_CHARS].lower()))


def form_codec_of(label: str) -> str | None:
    """The same for the charset of a whole form, which is a superset of ASCII (HTML, "multipart/form-data")."""
    codec = codec_of(label)
    return None if codec is not None and codec.startswith("utf-16") else codec


def decode_strictly(data: bytes, codec: str) -> str | None:
    """`data` as text of that codec, without a byte order mark; None when it is not."""
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        if codec != "cp1252":
            return None
        text = data.decode("latin-1")  # five bytes that Windows does not use, and Latin-1 has as controls
    return text.removeprefix("\ufeff")


def decode_name(data: bytes, codec: str | None) -> str:
    """The text of a file name: by `codec` where its form names one, UTF-8, else Shift-JIS or Windows-1252.

    Japanese systems and old Windows programs write the last two without saying so.
    """
    # Any bytes are Windows-1252, and many programs name it who write UTF-8: what is both is UTF-8.
    for candidate in (codec if codec != "cp1252" else None, "utf-8", codec):
        if candidate is not None and (text := decode_strictly(data, candidate)) is not None:
            return text
    if _JAPANESE_BYTES.search(data) and (text := decode_strictly(data, "cp932")) and _JAPANESE_TEXT.fullmatch(text):
        return text
    return decode_strictly(data, "cp1252") or ""


assert all(codecs.lookup(codec) for codec in _CODECS.values())  # ours are all there
