"""Decides whether bytes are text and in which encoding; the only importer of charset-normalizer."""

import codecs
import re
from dataclasses import dataclass

import charset_normalizer

_SAMPLE_BYTES = 256 * 1024
_MAX_CONTROL_SHARE = 0.01
# Tab, line ends, form feed, and ESC for terminal colours and ISO 2022 are layout; every other control is noise.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_CODEC_OF_BOM = (
    # UTF-32 first: its little-endian mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32", "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig", "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16"),
)
# What people's files are in; without the list a short note is as likely to be called EBCDIC.
_LEGACY = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874"),
    *("iso8859_2", "iso8859_5", "iso8859_7", "iso8859_9", "iso8859_15", "koi8_r", "koi8_u", "mac_roman"),
    *("cp437", "cp850", "cp852", "cp866", "cp932", "euc_jp", "gb18030", "big5", "cp949", "euc_kr"),
)
# Codecs are modules that Python reads on first use, which a worker confined to its staging folder no longer can.
for _codec in _LEGACY:
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
    """The text that `data` is, None when it is not text: undecodable, with NUL, or over 1 % control characters.

    A byte order mark decides; then UTF-8; then the likeliest of the common 8-bit and East Asian encodings, which is a
    guess. UTF-16 and UTF-32 are recognised by their mark only: without one they look like binary.
    Source: WHATWG Encoding section 6 (BOM sniffing); RFC 3629.
    """
    text = _by_mark(data) if data.startswith(tuple(mark for mark, _, _ in _CODEC_OF_BOM)) else _without_mark(data)
    if text is None or "\x00" in text.value:
        return None
    # DOS programs end a text with one Ctrl-Z.
    controls = len(_CONTROLS.findall(text.value.removesuffix("\x1a")))
    return text if controls <= _MAX_CONTROL_SHARE * len(text.value) else None


def _by_mark(data: bytes) -> Text | None:
    for mark, codec, charset in _CODEC_OF_BOM:
        if data.startswith(mark):
            try:
                return Text(data.decode(codec), charset)
            except UnicodeDecodeError:
                continue
    return None


def _without_mark(data: bytes) -> Text | None:
    if b"\x00" in data:
        return None
    try:
        return Text(data.decode("utf-8"), "us-ascii" if data.isascii() else "utf-8")
    except UnicodeDecodeError:
        return _legacy(data)


def _legacy(data: bytes) -> Text | None:
    sample = data[:_SAMPLE_BYTES]
    if len(sample) < len(data):
        # Not in the middle of a two-byte character.
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    best = charset_normalizer.from_bytes(sample, cp_isolation=list(_LEGACY)).best()
    if best is None:
        return None
    # Most Western texts read the same in several code pages; the usual one is then the better name.
    encoding = "cp1252" if "cp1252" in best.could_be_from_charset else best.encoding
    return Text(data.decode(encoding, errors="replace"), _http_name(encoding))


def _http_name(encoding: str) -> str:
    if encoding.startswith("cp125") or encoding == "cp874":
        return f"windows-{encoding[2:]}"
    if encoding.startswith("iso8859_"):
        return f"iso-8859-{encoding[8:]}"
    names = {"cp932": "shift_jis", "cp949": "euc-kr", "mac_roman": "macintosh", "cp437": "ibm437", "cp850": "ibm850"}
    return names.get(encoding, encoding.replace("cp", "ibm", 1).replace("_", "-"))
