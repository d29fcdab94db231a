"""Owns the code page of old tags: bytes that some program wrote as "Latin-1" in the code page of its country.

Titles are far too short for general detectors, so the question is turned round: under which code page are these bytes
words of a language that uses it? All tags of a file are judged together, for one program wrote them.
"""

import codecs
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_MAX_SAMPLE_BYTES = 500
_BETTER_BY = 0.05
"""How much likelier than the usual one a code page must be; most Western titles read the same in several."""

_WESTERN = (
    *("àâæçèéêëîïôœùûüÿ", "äöüßé", "áéíñóúüºª", "ãõáâàçéêíóôúü", "àèéìòùî", "åäöéü"),
    *("æøåéö", "áéíóúýþæðö", "éëïóöüè", "àçèéíïòóúü"),
)
_CENTRAL = ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "čćđšž", "ăâîşţ")
_CYRILLIC = (
    "абвгдежзийклмнопрстуфхцчшщъыьэюяё",
    "абвгдежзийклмнопрстуфхцчшщьюяіїєґ",
    "абвгдежзийклмнопрстуфхцчшыьэюяіўё",
)
_SERBIAN = ("абвгдђежзијклљмнњопрстћуфхцчџш",)
_GREEK = ("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ",)
_COMMON = frozenset("оеаинтсрвлкмдпуяыьαοιετσνηυρπκμλςάέήίόύώ")
# The same in all code pages of Windows, or a sign that says nothing about the language.
_NEUTRAL = frozenset("‚„…†‡‰‹‘’“”•–—™›\xa0©®°«»·§¶±€№¿¡")
_WORD = re.compile(r"[^\W\d_]+")
# Letters of Western languages where these languages do not have them, and signs that no one puts inside words.
_MISPLACED = re.compile(r"œ(?![uidcnst])|ì(?=\w)|õ(?!e)|ã(?![oeis]|\b)|\bß", re.IGNORECASE)
_JOINED = re.compile(r"(?<=[^\W\d_])[§¶±©®«»°€™†‡•‹›„“”—–…‚](?=[^\W\d_])|[§¶±·](?=[^\W\d_])|(?<=[^\W\d_])[§¶±·]")
_LEAST_FOREIGN_WORD = 3
_GREEK_ACCENTS = frozenset("άέήίόύώϊϋΐΰ")

_MIXED = re.compile("[A-Za-z](?=[\u3040-\u9fff\uac00-\ud7a3])|[\u3040-\u9fff\uac00-\ud7a3](?=[A-Za-z])")
_KANA = re.compile("[\u3040-\u30ff]")
_SIMPLIFIED = frozenset(
    "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过家十用发天如然"
    "作方成者多日都三小二无同么经法当起与好看学进种将还分此心前面又定见只主没公从爱情歌曲音乐梦风雪月夜花雨海星红白黑想听唱"
)
_TRADITIONAL = frozenset(
    "的一是不了人我在有他這為之大來以個中上們到說國和地也子時道出而要於就下得可你年生自會那後能對著事其裡所去行過家十用發天如然"
    "作方成者多日都三小二無同麼經法當起與好看學進種將還分此心前面又定見只主沒公從愛情歌曲音樂夢風雪月夜花雨海星紅白黑想聽唱"
)
_HANGUL = frozenset(
    "이다는을가에의고하지기사나도리아라서로어인자만그들한대수시정일게해부보구전여주원있스면제모장우마안유신동상성공조화문물소"
    "영선노미경계오거방무드바치개생세과호국간관연금음진단비달저발를은내너날밤별눈봄꽃말못없랑람"
)


@dataclass(frozen=True, slots=True)
class _CodePage:
    """codec: Python's name.  score: how likely the decoded text is, 1 at best; the text has no pure ASCII in it."""

    codec: str
    score: Callable[[str], float]


def decoded(values: Sequence[bytes]) -> list[str]:
    """The texts that these values of one file's tags are; UTF-8 where it is, else the likeliest of the code pages.

    Windows-1252 (as browsers read it, so that no byte is lost) unless another one is clearly better: windows-1250,
    -1251, -1253, Shift_JIS, EUC-JP, GBK, Big5 or EUC-KR. It stays a guess, above all for one or two letters.
    """
    texts = [_utf8(value) for value in values]
    codec = _likeliest([value for value, text in zip(values, texts, strict=True) if text is None])
    return [_legacy(value, codec) if text is None else text for value, text in zip(values, texts, strict=True)]


def _utf8(value: bytes) -> str | None:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _legacy(value: bytes, codec: str) -> str:
    if codec == "cp1252":
        # Five bytes mean nothing there, and browsers keep them as controls, which are cleaned away later.
        return "".join(_WINDOWS_1252[byte] for byte in value)
    return value.decode(codec, "ignore")


def _likeliest(values: Sequence[bytes]) -> str:
    best, highest = "cp1252", _score(_CODE_PAGES[0], values)
    for page in _CODE_PAGES[1:]:
        score = _score(page, values)
        if score > highest + _BETTER_BY:
            best, highest = page.codec, score
    return best


def _score(page: _CodePage, values: Sequence[bytes]) -> float:
    try:
        return page.score(" ".join(_whole_letters(value[:_MAX_SAMPLE_BYTES], page.codec) for value in values))
    except UnicodeDecodeError:
        return -1.0


def _whole_letters(value: bytes, codec: str) -> str:
    try:
        return value.decode(codec)
    except UnicodeDecodeError as exc:
        # ID3v1 cuts after 30 bytes, which may be in the middle of a letter.
        if exc.end < len(value):
            raise
        return value[: exc.start].decode(codec)


def _alphabetic(*alphabets: str, is_latin: bool = False) -> Callable[[str], float]:
    sets = [frozenset(alphabet) for alphabet in alphabets]

    def score(text: str) -> float:
        told = [char for char in text if not char.isascii() and char not in _NEUTRAL]
        if not told:
            return 0.5
        best = max(sum(_letter_weight(char.lower(), known) for char in told) for known in sets)
        return (best - _oddities(text, is_latin=is_latin)) / len(told)

    return score


def _letter_weight(char: str, known: frozenset[str]) -> float:
    if char not in known:
        return -1.0
    return 1.0 if ord(char) < 0x370 or char in _COMMON else 0.8


def _oddities(text: str, *, is_latin: bool) -> float:
    """What no text looks like: signs inside words, capitals after small letters, two scripts in one word."""
    odd = float(len(_JOINED.findall(text)) + (len(_MISPLACED.findall(text)) if is_latin else 0))
    for word in _WORD.findall(text):
        foreign = sum(1 for char in word if not char.isascii())
        odd += 2.0 * sum(1 for left, right in itertools.pairwise(word) if left.islower() and right.isupper())
        if is_latin:
            odd += 0.5 * foreign if foreign == len(word) >= _LEAST_FOREIGN_WORD else 0.0
            continue
        odd += 2.0 * foreign if foreign < len(word) else 0.15 * sum(map(str.isupper, word[1:]))
        if "α" <= word[0].lower() <= "ω" and len(word) > 2 and not _GREEK_ACCENTS & set(word.lower()):
            odd += 0.3 * len(word)
    return odd


def _of_two_bytes(
    codec: str, usual: frozenset[str], first: Sequence[int], *, common: float = 0.6
) -> Callable[[str], float]:
    """first: the lead bytes of the letters that the standard calls common, each of which weighs `common`."""

    def weight(char: str) -> float:
        raw = char.encode(codec, "ignore")
        if char in usual or (codec in ("cp932", "euc_jp") and _KANA.match(char)):
            return 1.0
        if len(raw) < 2:
            return -1.0
        if char in "、。「」『』・ー～！？（）：　《》…—－·，":
            return 0.6
        has_usual_tail = codec in ("cp932", "big5") or raw[1] >= 0xA1
        return common if raw[0] in first and has_usual_tail else -0.4

    def score(text: str) -> float:
        told = [char for char in text if not char.isascii()]
        mixed = len(_MIXED.findall(text)) * 0.5
        return (sum(map(weight, told)) - mixed) / len(told) if told else 0.5

    return score


_CODE_PAGES = (
    _CodePage("cp1252", _alphabetic(*_WESTERN, is_latin=True)),
    _CodePage("cp1250", _alphabetic(*_CENTRAL, is_latin=True)),
    _CodePage("cp1251", _alphabetic(*_CYRILLIC, *_SERBIAN)),
    _CodePage("cp1253", _alphabetic(*_GREEK)),
    _CodePage("cp932", _of_two_bytes("cp932", frozenset(), range(0x88, 0x99))),
    _CodePage("gbk", _of_two_bytes("gbk", _SIMPLIFIED, range(0xB0, 0xD8))),
    _CodePage("big5", _of_two_bytes("big5", _TRADITIONAL, range(0xA4, 0xC7))),
    # Chinese has the same rows for its letters, so only kana tell.
    _CodePage("euc_jp", _of_two_bytes("euc_jp", frozenset(), range(0xB0, 0xD0), common=0.5)),
    _CodePage("cp949", _of_two_bytes("cp949", _HANGUL, range(0xB0, 0xC9))),
)
# Codecs are modules that Python reads on first use, which a worker confined to its staging folder no longer can.
for _page in _CODE_PAGES:
    codecs.lookup(_page.codec)
_WINDOWS_1252 = tuple(bytes((byte,)).decode("cp1252", "ignore") or chr(byte) for byte in range(256))
