"""The file name in a Content-Disposition, in each of the ways in which clients write letters that are not ASCII.

    filename="файл.jpg"                      bytes of UTF-8, as browsers send them, or of an older charset
    filename="=?utf-8?B?0YTQsNC50LsuanBn?="  RFC 2047 words (.NET, mail libraries)
    filename*=UTF-8''%D1%84.jpg              RFC 8187 (.NET, reqwest, older Python), also in pieces (RFC 2231)
    filename="%D1%84%D0%B0%D0%B9%D0%BB.jpg"  the whole name percent-encoded (aiohttp, encodeURIComponent)

A name that is percent-encoded cannot be told from one that has percent signs, unless it has only characters that such
an encoding leaves and spells a letter beyond ASCII in UTF-8: that is decoded, once. `100%25.jpg` and `my%20photo.jpg`
stay as they are.
"""

import base64
import quopri
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from app.core.uploads.part_charsets import codec_of, decode_name, decode_strictly

_MAX_PIECES: Final = 64
# charset, perhaps with a language (RFC 2231 section 5), B or Q, text. No part can match a `?`: linear time.
_WORD: Final = re.compile(r"=\?([^?*\s]{1,40})(?:\*[^?\s]{0,40})?\?([BbQq])\?([^?]*)\?=")
# What browsers put in place of a quote or a line end in a name, and nothing else (WHATWG HTML, multipart/form-data
# encoding algorithm).
_BROWSER_ESCAPES: Final = re.compile(r"%(22|0[dD]|0[aA])")
_PERCENT_ENCODED: Final = re.compile(r"(?:[0-9A-Za-z\-._~!'()*$&+,;=:@/]|%[0-9A-Fa-f]{2})*")


def is_file_name(parameter: str) -> bool:
    """Whether a parameter of this name holds the name of a file, or a piece of it."""
    return parameter == "filename" or parameter.startswith("filename*")


def read_file_name(parameters: Mapping[str, str], *, codec: str | None) -> str:
    """The name that the parameters of a part's Content-Disposition give its file; '' when they give none.

    parameters: by lower-case name; bytes that are not UTF-8 as lone surrogates ("surrogateescape").  codec: of names
    where their form names one.  Nothing is cleaned here. `filename*` counts where it can be read, as RFC 6266 section
    4.3 says of downloads; RFC 7578 section 4.2 forbids it in forms, and yet clients send it, some of them alone.
    """
    plain = parameters.get("filename")
    if (extended := _extended(parameters)) is not None:
        charset, data = extended
        extended_codec = codec_of(charset) if charset else "utf-8"
        if extended_codec is not None and (name := decode_strictly(data, extended_codec)):
            return name
        if not plain:
            return decode_name(data, codec)
    return _read_plain(plain or "", codec)


def _extended(parameters: Mapping[str, str]) -> tuple[str, bytes] | None:
    """The charset and the bytes of `filename*`, whole or in pieces."""
    if (whole := parameters.get("filename*")) is not None:
        charset, value = _split_charset(whole)
        return charset, unquote_to_bytes(_raw(value))
    charset, data = "", bytearray()
    for number in range(_MAX_PIECES):
        if (encoded := parameters.get(f"filename*{number}*")) is not None:
            if number == 0:
                charset, encoded = _split_charset(encoded)
            data += unquote_to_bytes(_raw(encoded))
        elif (piece := parameters.get(f"filename*{number}")) is not None:
            data += _raw(piece)
        else:
            break
    return (charset, bytes(data)) if data else None


def _split_charset(value: str) -> tuple[str, str]:
    charset, _, tagged = value.partition("'")
    _language, quote, text = tagged.partition("'")
    return (charset, text) if quote else ("", value)


def _read_plain(raw: str, codec: str | None) -> str:
    text = decode_name(_raw(raw), codec)
    if (decoded := _decode_words(text)) != text:
        return decoded
    if "%" in text and _PERCENT_ENCODED.fullmatch(text):
        name = decode_strictly(unquote_to_bytes(text), "utf-8")
        if name and not name.isascii():
            return name
    return _BROWSER_ESCAPES.sub(lambda match: chr(int(match[1], 16)), text)


def _decode_words(text: str) -> str:
    """`text` with its RFC 2047 words read; one in an unknown charset stays as it is written."""
    runs: list[tuple[str | None, bytes]] = []
    position = 0
    for word in _WORD.finditer(text):
        codec, data = codec_of(word[1]), _word_data(word)
        if codec is None or data is None:
            continue
        between = text[position : word.start()]
        position = word.end()
        # Blanks between two words separate nothing (section 6.2).
        if between and not (runs and not between.strip(" \t")):
            runs.append((None, between.encode()))
        if runs and runs[-1][0] == codec:
            runs[-1] = (codec, runs[-1][1] + data)  # some writers cut a letter in two
        else:
            runs.append((codec, data))
    runs.append((None, text[position:].encode()))
    return "".join(data.decode() if codec is None else _word_text(data, codec) for codec, data in runs)


def _word_data(word: re.Match[str]) -> bytes | None:
    _, kind, encoded = word.groups()
    if kind in "Qq":
        return quopri.decodestring(encoded.encode(), header=True)
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        return None


def _word_text(data: bytes, codec: str) -> str:
    text = decode_strictly(data, codec)
    return decode_name(data, None) if text is None else text


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
