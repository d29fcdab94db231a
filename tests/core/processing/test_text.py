"""Claims about `text.process`, `charset.decode` and `clean_text`: encodings are found, noise is not text."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.errors import UnreadableFile
from app.core.media_types import by_mime_type
from app.core.processing.contract import ProcessedFile
from app.core.processing.documents import charset, text
from app.core.text_safety import clean_text
from tests.fixtures.document_files import make_job

GERMAN = "Die Größe der Straße überrascht die schöne Gräfin; sie möchte über die Brücke.\r\n" * 3
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю.\n" * 3


def process(directory: Path, data: bytes, **options: object) -> ProcessedFile:
    return text.process(make_job(directory, data, "Notes.TXT", **options), by_mime_type("text/plain"))


@pytest.mark.parametrize(
    ("data", "name", "is_utf8"),
    [
        (b"plain\n", "us-ascii", True),
        ("Größe\n".encode(), "utf-8", True),
        ("Größe\n".encode("utf-8-sig"), "utf-8", True),
        ("Größe\n".encode("utf-16"), "utf-16", False),
        ("Größe\n".encode("utf-32"), "utf-32", False),
        (GERMAN.encode("cp1252"), "windows-1252", False),
    ],
)
def test_the_encoding_is_found(data: bytes, name: str, is_utf8: bool) -> None:
    decoded = charset.decode(data)
    assert decoded is not None
    assert (decoded.charset, decoded.is_utf8) == (name, is_utf8)


def test_legacy_text_reads_as_it_was_written(tmp_path: Path) -> None:
    assert process(tmp_path, GERMAN.encode("cp1252")).text == GERMAN.replace("\r\n", "\n").strip()
    assert process(tmp_path, RUSSIAN.encode("cp1251")).text == RUSSIAN.strip()


FRENCH = "L’été dernier, à Noël, c’était déjà “génial” – œuvre à 5 €.\n"
POLISH = "Zażółć gęślą jaźń. Mogę jeść szkło i mi nie szkodzi.\n"
CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy.\n"
GREEK = "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. Καλημέρα, τι κάνετε;\n"
TURKISH = "Pijamalı hasta yağız şoföre çabucak güvendi. İstanbul'da güneş.\n"
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n"
CHINESE = "我能吞下玻璃而不伤身体。今天天气很好，我们去公园散步吧。\n"
TAIWANESE = "我能吞下玻璃而不傷身體。今天天氣很好，我們去公園散步吧。\n"
KOREAN = "나는 유리를 먹을 수 있어요. 그래도 아프지 않아요.\n"
LEGACY = {
    "windows-1252": ("cp1252", FRENCH),
    "windows-1252 with é alone": ("cp1252", "café"),
    "windows-1252 with ’ alone": ("cp1252", "It’s\n"),
    "windows-1252 with € alone": ("cp1252", "5 €\n"),
    "windows-1252 after much ASCII": ("cp1252", "plain words\n" * 9_000 + "é\n"),
    "windows-1252 in Portuguese": ("cp1252", "O coração não está à mão; lições de João.\n"),
    "windows-1252 in Swedish": ("cp1252", "Flygande bäckasiner söka hwila. Åke är här.\n"),
    "windows-1250": ("cp1250", POLISH),
    "windows-1250 in Czech": ("cp1250", CZECH),
    "windows-1251": ("cp1251", RUSSIAN),
    "windows-1251 in capitals": ("cp1251", "ВНИМАНИЕ! НЕ ВХОДИТЬ\n"),
    "windows-1253": ("cp1253", GREEK),
    "windows-1254": ("cp1254", TURKISH),
    "windows-1255": ("cp1255", "אני יכול לאכול זכוכית וזה לא מזיק לי.\n"),
    "windows-1256": ("cp1256", "أنا قادر على أكل الزجاج و هذا لا يؤلمني.\n"),
    "windows-1257": ("cp1257", "Įlinkdama fechtuotojo špaga sublykčiojusi pragręžė apvalų arbūzą.\n"),
    "windows-874": ("cp874", "ฉันกินกระจกได้ แต่มันไม่ทำให้ฉันเจ็บ\n"),
    "iso-8859-2": ("iso8859_2", POLISH),
    "iso-8859-5": ("iso8859_5", RUSSIAN),
    "koi8-r": ("koi8_r", RUSSIAN),
    "macintosh": ("mac_roman", FRENCH),
    "ibm866": ("cp866", RUSSIAN),
    "shift_jis": ("cp932", JAPANESE),
    "euc-jp": ("euc_jp", JAPANESE),
    "iso-2022-jp": ("iso2022_jp", JAPANESE),
    "iso-2022-kr": ("iso2022_kr", KOREAN),
    "gb18030": ("gb18030", CHINESE),
    "big5": ("big5", TAIWANESE),
    "euc-kr": ("cp949", KOREAN),
    "utf-16le": ("utf-16-le", FRENCH),
    "utf-16be": ("utf-16-be", FRENCH),
    "utf-16le in Japanese": ("utf-16-le", JAPANESE),
    "utf-16be without a space": ("utf-16-be", CHINESE.strip()),
    "utf-32le": ("utf-32-le", FRENCH),
    "utf-32be": ("utf-32-be", FRENCH),
}


@pytest.mark.parametrize("name", LEGACY)
@pytest.mark.parametrize("times", [1, 20])
def test_a_text_without_a_mark_is_read_by_its_language(name: str, times: int) -> None:
    encoding, text = LEGACY[name]
    decoded = charset.decode((text * times).encode(encoding))
    assert decoded is not None
    assert (decoded.value, decoded.charset) == (text * times, name.split(maxsplit=1)[0])


@pytest.mark.parametrize("text", [FRENCH, POLISH, RUSSIAN, GREEK, JAPANESE, CHINESE, KOREAN])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data + b"\xe9",
        lambda data: b"\x80" + data,
        lambda data: data[: len(data) // 2] + b"\xff" + data[len(data) // 2 :],
        lambda data: data + data.strip()[-40:] + "ж".encode()[:1],
        lambda data: data * 2_000 + b"\xc3",
    ],
    ids=["end", "start", "middle", "cut letter", "long"],
)
def test_utf_8_with_a_bad_byte_is_utf_8(text: str, spoil: Callable[[bytes], bytes]) -> None:
    decoded = charset.decode(spoil((text * 3).encode()))
    assert decoded is not None
    assert (decoded.charset, decoded.is_utf8) == ("utf-8", True)
    assert text.strip() in decoded.value


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (JAPANESE.encode("cp932") + "猫".encode("cp932")[:1], "shift_jis"),
        (KOREAN.encode("cp949") + "나".encode("cp949")[:1], "euc-kr"),
        (FRENCH.encode("utf-16")[:-1], "utf-16"),
        (FRENCH.encode("utf-16-le")[:-1], "utf-16le"),
        (FRENCH.encode("cp1252") + b"\x81", "windows-1252"),
    ],
)
def test_a_cut_letter_is_no_reason_to_refuse(data: bytes, name: str) -> None:
    decoded = charset.decode(data)
    assert decoded is not None
    assert decoded.charset == name


@pytest.mark.parametrize("seed", range(5))
def test_what_has_no_controls_is_text_though_no_language(seed: int) -> None:
    noise = random.Random(seed)
    assert charset.decode(bytes(noise.choice(range(0x80, 0x100)) for _ in range(500))) is not None


@pytest.mark.parametrize("size_bytes", [100, 1_000, 50_000])
def test_noise_with_controls_is_no_text(size_bytes: int) -> None:
    noise = random.Random(size_bytes)
    assert [charset.decode(noise.randbytes(size_bytes)) for _ in range(20)] == [None] * 20


def test_a_long_text_is_judged_by_a_part_of_it() -> None:
    data = "é".encode("cp1252") * 20_000_000
    began = time.process_time()
    assert charset.decode(data) is not None
    assert time.process_time() - began < 4


def test_facts_are_recorded_and_text_is_bounded(tmp_path: Path) -> None:
    result = process(tmp_path, b"one\ntwo\nthree", max_text_chars=5)
    assert result.properties == {"charset": "us-ascii", "lines": 3}
    assert result.text == "one\nt"
    assert (result.extension, result.mime_type, result.main_path) == ("txt", "text/plain", None)


@pytest.mark.parametrize(
    "data",
    [b"a\x00b", b"\x01\x02\x03", b"\xff\xfe\x00", b"\xff\xfe\x00\xd8", bytes(range(256)), b"ok\x07" * 30],
    ids=["NUL", "controls", "half UTF-16", "lone surrogate", "all bytes", "bells"],
)
def test_what_is_not_text_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        process(tmp_path, data)


@pytest.mark.parametrize("data", [b"\x1b[31mred\x1b[0m\n", b"page one\x0cpage two", b"DOS says goodbye\r\n\x1a"])
def test_layout_controls_are_text(data: bytes, tmp_path: Path) -> None:
    assert process(tmp_path, data).properties["charset"] == "us-ascii"


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("a\x00b\x1bc\x7fd\x9fe", "abcde"),
        ("one\r\ntwo\rthree\u2028four\x85five", "one\ntwo\nthree\nfour\nfive"),
        ("\ud800lone\udfff", "lone"),
        (" \n padded \t", "padded"),
        ("\ufeffmark\uffff", "mark"),
        ("é 漢字 👍", "é 漢字 👍"),
        ("\x00\x01", ""),
    ],
)
def test_clean_text_keeps_what_is_text(value: str, cleaned: str) -> None:
    assert clean_text(value, max_chars=100) == cleaned


@pytest.mark.parametrize(("max_chars", "cleaned"), [(0, ""), (3, "abc"), (4, "abc"), (5, "abc d")])
def test_clean_text_is_bounded(max_chars: int, cleaned: str) -> None:
    assert clean_text("abc def", max_chars=max_chars) == cleaned
