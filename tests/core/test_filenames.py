"""Names from clients become harmless labels, and labels become correct headers."""

import re
import unicodedata
from urllib.parse import unquote

import pytest

from app.core.filenames import clean_display_name, content_disposition, with_extension

CLEANED = {
    "photo.jpg": "photo.jpg",
    "My Holiday Photo.jpg": "My Holiday Photo.jpg",
    "отчёт.pdf": "отчёт.pdf",
    "写真.png": "写真.png",
    "naïve café.txt": "naïve café.txt",
    "👩🏽.png": "👩🏽.png",
    "archive.tar.gz": "archive.tar.gz",
    "README": "README",
    "100%25.txt": "100%25.txt",
    "it's (1) [2] {3} & co.txt": "it's (1) [2] {3} & co.txt",
    # directories of every kind
    "../../etc/passwd": "passwd",
    "/etc/passwd": "passwd",
    "..\\..\\windows\\win.ini": "win.ini",
    "C:\\Users\\me\\photo.jpg": "photo.jpg",
    "\\\\server\\share\\photo.jpg": "photo.jpg",
    "C:photo.jpg": "C_photo.jpg",
    "a/b\\c.jpg": "c.jpg",
    "photo.jpg/": "photo.jpg",
    # look-alikes of a slash are no directories
    "..／..／passwd": "⧸..⧸passwd",
    "a∕b⁄c.txt": "a⧸b⧸c.txt",
    "AC⧸DC - Live.jpg": "AC⧸DC - Live.jpg",
    "1⁄2 cup.jpg": "1⧸2 cup.jpg",
    "大阪／東京.jpg": "大阪⧸東京.jpg",
    "a＼b⧵c﹨d⧹e.jpg": "a⧹b⧹c⧹d⧹e.jpg",
    "What？ ＂So＂： a｜b＊.mp4": "What？ ＂So＂： a｜b＊.mp4",
    # what shapes its neighbours
    "می\u200cروم.jpg": "می\u200cروم.jpg",
    "ه\u200d.ش.jpg": "ه\u200d.ش.jpg",
    "ශ්\u200dරී.jpg": "ශ්\u200dරී.jpg",
    "क्\u200dष.jpg": "क्\u200dष.jpg",
    "অবাক হত্\u200d.jpg": "অবাক হত্\u200d.jpg",
    "👨\u200d👩\u200d👧\u200d👦.jpg": "👨\u200d👩\u200d👧\u200d👦.jpg",
    "👩🏽\u200d🚀.jpg": "👩🏽\u200d🚀.jpg",
    "🏳\ufe0f\u200d🌈 ❤\ufe0f\u200d🔥.jpg": "🏳\ufe0f\u200d🌈 ❤\ufe0f\u200d🔥.jpg",
    "🙂\u200d↔\ufe0f 🐦\u200d⬛ 1\ufe0f⃣.jpg": "🙂\u200d↔\ufe0f 🐦\u200d⬛ 1\ufe0f⃣.jpg",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f.jpg": (
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f.jpg"
    ),
    "葛\U000e0100城.jpg": "葛\U000e0100城.jpg",
    "\u0600\u0661\u06dd.jpg": "\u0600\u0661\u06dd.jpg",
    # younger than the interpreter's tables: an emoji, ideographs of the extensions H and I, a letter of Unicode 16
    "🫨 party.jpg": "🫨 party.jpg",
    "\U00031350\U0002ebf0.jpg": "\U00031350\U0002ebf0.jpg",
    "\U00010d50.jpg": "\U00010d50.jpg",
    # the same where they shape nothing
    "pass\u200dword\u200c.txt": "password.txt",
    "\u200d👩\u200d.jpg": "👩.jpg",
    "می\u200c\u200c\u200cروم.jpg": "می\u200cروم.jpg",
    "a\ufe0f\ufe0eb.jpg": "ab.jpg",
    "😀\U000e0110\U000e0111.jpg": "😀.jpg",
    "🏴\U000e0041\U000e0042\U000e0043\U000e007f.jpg": "🏴.jpg",
    "🏴" + "\U000e0061" * 7 + "\U000e007f.jpg": "🏴.jpg",
    "x\U000e0067\U000e0062\U000e0073\U000e007f.jpg": "x.jpg",
    "non\ufdd0\uffff\U0010ffffcharacters.jpg": "noncharacters.jpg",
    # nothing left
    "": "file",
    ".": "file",
    "..": "file",
    "../": "file",
    "   ": "file",
    "\x00": "file",
    "\u200b\u200d\ufeff": "file",
    "\u3164\u2800": "file",
    # controls
    "a\x00.jpg": "a.jpg",
    "photo.php\x00.jpg": "photo.php.jpg",
    "a\r\nSet-Cookie: x=1.jpg": "a Set-Cookie_ x=1.jpg",
    "tab\there.txt": "tab here.txt",
    "line\u2028sep\u2029.txt": "linesep.txt",
    "c1\x85\x9b.txt": "c1.txt",
    "\x1b[31mred.txt": "[31mred.txt",
    # what cannot be seen, or turns text around
    "photo\u202egpj.exe": "photogpj.exe",
    "a\u200bb\u200f\u2066c.txt": "abc.txt",
    "soft\u00adhyphen.txt": "softhyphen.txt",
    "tag\U000e0041.txt": "tag.txt",
    "\ud800half.txt": "half.txt",
    "private\ue000.txt": "private.txt",
    # names with a meaning
    ".htaccess": "htaccess",
    "-rf.txt": "rf.txt",
    "--help": "help",
    "~root.txt": "root.txt",
    "CON": "_CON",
    "con.txt": "_con.txt",
    "COM1.jpg": "_COM1.jpg",
    "LPT¹": "_LPT¹",
    "console.txt": "console.txt",
    "photo.jpg::$DATA": "photo.jpg__$DATA",
    "a<b>c|d?e*f\"g.txt": "a_b_c_d_e_f_g.txt",
    "trailing.jpg. . ": "trailing.jpg",
    "two  spaces .jpg": "two spaces .jpg",
}  # fmt: skip


@pytest.mark.parametrize(("raw", "cleaned"), CLEANED.items(), ids=[ascii(raw) for raw in CLEANED])
def test_a_name_is_cleaned(raw: str, cleaned: str) -> None:
    assert clean_display_name(raw) == cleaned


@pytest.mark.parametrize("raw", CLEANED, ids=[ascii(raw) for raw in CLEANED])
def test_cleaning_a_clean_name_changes_nothing(raw: str) -> None:
    once = clean_display_name(raw)
    assert clean_display_name(once) == once


def test_a_name_is_composed() -> None:
    assert clean_display_name("cafe\u0301.txt") == unicodedata.normalize("NFC", "cafe\u0301.txt")


@pytest.mark.parametrize("stem", ["a" * 5000, "ä" * 200, "写" * 200, "👩" * 100, "a." * 200])
def test_a_long_name_is_cut_before_its_extension(stem: str) -> None:
    cleaned = clean_display_name(f"{stem}.jpeg")
    assert cleaned.endswith(".jpeg")
    assert len(cleaned.encode()) <= 255
    assert len(cleaned) <= 255


@pytest.mark.parametrize(
    "character", ["👩🏽\u200d🚀", "e\u0301\u0316", "क्\u200dष", "❤\ufe0f", "👨\u200d👩\u200d👧\u200d👦"]
)
@pytest.mark.parametrize("before", range(8))
def test_a_long_name_is_cut_between_characters_as_people_count_them(character: str, before: int) -> None:
    stem = clean_display_name("a" * before + character * 100 + ".jpg").removesuffix(".jpg")
    whole = unicodedata.normalize("NFC", character)
    assert stem == "a" * before + whole * ((len(stem) - before) // len(whole))
    assert 255 - 4 - len(whole.encode()) <= len(stem.encode()) + 1


def test_a_long_extension_is_no_extension() -> None:
    assert len(clean_display_name("a." + "b" * 1000).encode()) == 255


def test_an_endless_run_of_marks_takes_no_time() -> None:
    assert len(clean_display_name("a" + "\u0301\u0316" * 500_000).encode()) <= 255


@pytest.mark.parametrize(
    ("filename", "extensions", "expected"),
    [
        ("report.pdf", ("pdf",), "report.pdf"),
        ("REPORT.PDF", ("pdf",), "REPORT.PDF"),
        ("photo.jpeg", ("jpg", "jpeg"), "photo.jpeg"),
        ("report.html", ("pdf",), "report.html.pdf"),
        ("report.pdf.exe", ("pdf",), "report.pdf.exe.pdf"),
        ("report", ("pdf",), "report.pdf"),
        ("pdf", ("pdf",), "pdf.pdf"),
        (".pdf", ("pdf",), ".pdf.pdf"),
        ("report.", ("pdf",), "report.pdf"),
        ("anything", (), "anything"),
    ],
)
def test_a_download_ends_in_a_true_extension(filename: str, extensions: tuple[str, ...], expected: str) -> None:
    assert with_extension(filename, extensions) == expected


def test_a_true_extension_survives_the_longest_name() -> None:
    name = with_extension("a" * 255, ("pdf",))
    assert name.endswith(".pdf")
    assert len(name) == 255


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        ("photo.jpg", 'attachment; filename="photo.jpg"'),
        ("my photo.jpg", 'attachment; filename="my photo.jpg"'),
        ('a"b\\c%41.jpg', "attachment; filename=\"a_b_c_41.jpg\"; filename*=UTF-8''a%22b%5Cc%2541.jpg"),
        ("100%25.jpg", "attachment; filename=\"100_25.jpg\"; filename*=UTF-8''100%2525.jpg"),
        ("50%.jpg", "attachment; filename=\"50_.jpg\"; filename*=UTF-8''50%25.jpg"),
        ("a／b.jpg", "attachment; filename=\"a_b.jpg\"; filename*=UTF-8''a%EF%BC%8Fb.jpg"),
        ("می\u200cروم", "attachment; filename=\"______\"; filename*=UTF-8''%D9%85%DB%8C%E2%80%8C%D8%B1%D9%88%D9%85"),
        ("café.jpg", "attachment; filename=\"cafe.jpg\"; filename*=UTF-8''caf%C3%A9.jpg"),
        ("写真.png", "attachment; filename=\"__.png\"; filename*=UTF-8''%E5%86%99%E7%9C%9F.png"),
        ("a'b;c=ü.txt", "attachment; filename=\"a'b;c=u.txt\"; filename*=UTF-8''a%27b%3Bc%3D%C3%BC.txt"),
        ("a\r\nX: y", 'attachment; filename="a  X: y"'),
        ("", 'attachment; filename="file"'),
    ],
)
def test_the_header_of_a_download(filename: str, header: str) -> None:
    assert content_disposition("attachment", filename) == header


@pytest.mark.parametrize("raw", CLEANED, ids=[ascii(raw) for raw in CLEANED])
def test_no_name_breaks_out_of_the_header(raw: str) -> None:
    header = content_disposition("inline", raw)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    if "filename*=" in header:
        encoded = header.rpartition("''")[2]
        assert re.fullmatch(r"(?:[!#$&+\-.^_`|~0-9A-Za-z]|%[0-9A-F]{2})+", encoded)
        assert not set(unquote(encoded)) & BIDI_AND_LINES


BIDI_AND_LINES = set("\x00\r\n\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_inline_is_inline() -> None:
    assert content_disposition("inline", "a.png") == 'inline; filename="a.png"'
