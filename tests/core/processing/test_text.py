"""Claims about `text.process`, `charset.decode` and `clean_text`: encodings are found, noise is not text."""

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
