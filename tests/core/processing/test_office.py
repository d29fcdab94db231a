"""Claims about `office.process`: what is read out of DOCX and XLSX and which packages are refused."""

import contextlib
import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core import file_processing
from app.core.errors import FileTooComplex, UnreadableFile
from app.core.media_types import by_extension
from app.core.processing.contract import ProcessedFile
from app.core.processing.documents import office
from tests.fixtures import document_files as documents
from tests.fixtures.compound_files import make_compound

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
LOCKED_PACKAGE = (100).to_bytes(8, "little") + bytes(112)
STRICT = 'xmlns:w="http://purl.oclc.org/ooxml/wordprocessingml/main"'


def process(directory: Path, data: bytes, filename: str, **options: object) -> ProcessedFile:
    file_type = by_extension(filename.rpartition(".")[2])[0]
    return office.process(documents.make_job(directory, data, filename, **options), file_type)


def docx_of(body: str, *, namespace: str = W, prolog: str = "") -> bytes:
    document = f"{prolog}<w:document {namespace}><w:body>{body}</w:body></w:document>"
    return documents.zip_of({**documents.docx_members(), "word/document.xml": document})


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_a_docx_tells_its_title_author_counts_and_words(tmp_path: Path) -> None:
    result = process(tmp_path, documents.make_docx(), "a.docx")
    assert result.properties == {"title": "Annual report", "author": "Ada Lovelace", "pages": 3, "words": 250}
    assert result.text == "Top line\nHello Word"
    assert (result.extension, result.main_path) == ("docx", None)


def test_text_of_a_docx_reads_as_written(tmp_path: Path) -> None:
    body = (
        "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>"
        "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:r><w:instrText>PAGE</w:instrText></w:r></w:p>"
        '<mc:AlternateContent xmlns:mc="x"><mc:Choice><w:p><w:t>box</w:t></w:p></mc:Choice>'
        "<mc:Fallback><w:p><w:t>box</w:t></w:p></mc:Fallback></mc:AlternateContent>"
    )
    assert process(tmp_path, docx_of(body), "a.docx").text == "Top line\na\tb\nc\n\nbox"


def test_a_strict_docx_and_another_main_part_are_read(tmp_path: Path) -> None:
    assert process(tmp_path, docx_of(paragraph("strict"), namespace=STRICT), "a.docx").text == "Top line\nstrict"
    moved = documents.zip_of(documents.docx_members(main="word/document2.xml"))
    assert process(tmp_path, moved, "a.docx").text == "Top line\nHello Word"


def test_text_is_bounded(tmp_path: Path) -> None:
    result = process(tmp_path, docx_of(paragraph("word ") * 1000), "a.docx", max_text_chars=20)
    assert result.text == "Top line\nword \nword"


def test_a_long_document_is_read_in_one_pass(tmp_path: Path) -> None:
    body = "".join(paragraph(f"line {number}") for number in range(20_000))
    text = process(tmp_path, docx_of(body), "a.docx").text
    assert text is not None
    assert text.endswith("line 19999")


@pytest.mark.parametrize(
    "prolog",
    [
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE a SYSTEM "http://example.com/a.dtd">',
    ],
)
def test_document_types_and_entities_are_refused(prolog: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="document type or entities"):
        process(tmp_path, docx_of(paragraph("x"), prolog=prolog), "a.docx")


@pytest.mark.parametrize("document", ["<w:document", "", "<html/>", "\x00", f"<w:document {W}><w:body></w:document>"])
def test_a_main_part_that_is_no_document_is_refused(document: str, tmp_path: Path) -> None:
    data = documents.zip_of({**documents.docx_members(), "word/document.xml": document})
    with pytest.raises(UnreadableFile):
        process(tmp_path, data, "a.docx")


def test_a_missing_main_part_is_refused(tmp_path: Path) -> None:
    members = documents.docx_members()
    del members["word/document.xml"]
    with pytest.raises(UnreadableFile, match="main part"):
        process(tmp_path, documents.zip_of(members), "a.docx")


def test_broken_properties_are_no_reason_to_refuse(tmp_path: Path) -> None:
    data = documents.zip_of({**documents.docx_members(), "docProps/core.xml": "<broken", "docProps/app.xml": ""})
    result = process(tmp_path, data, "a.docx")
    assert result.properties == {}
    assert result.text == "Top line\nHello Word"


def test_absurd_counts_are_bounded(tmp_path: Path) -> None:
    app = "<Properties><Pages>9999999999</Pages><Words>-1</Words><Characters>1e9</Characters></Properties>"
    result = process(tmp_path, documents.zip_of({**documents.docx_members(), "docProps/app.xml": app}), "a.docx")
    assert result.properties["pages"] == 2**31 - 1
    assert "words" not in result.properties


def test_a_link_or_a_bomb_inside_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("word/media/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UnreadableFile):
        process(tmp_path, documents.zip_with(link), "a.docx")
    bomb = documents.zip_of({**documents.docx_members(), "word/media/a.bin": bytes(6 * 1024 * 1024)})
    with pytest.raises(FileTooComplex):
        process(tmp_path, bomb, "a.docx")


def test_a_lie_in_a_part_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    members = {**documents.docx_members(), "word/media/a.bin": "x" * 9000}
    data = documents.lying_zip(documents.zip_of(members), name="word/media/a.bin", claimed_bytes=10)
    with pytest.raises(UnreadableFile, match="as large as it says"):
        process(tmp_path, data, "a.docx")


def test_an_xlsx_tells_its_sheets_and_cells(tmp_path: Path) -> None:
    result = process(tmp_path, documents.make_xlsx(), "a.xlsx")
    assert result.properties == {"sheet_count": 2, "sheets": ["Sales", "Ideas"]}
    assert result.text == "Sales\nRegion\t42\nIdeas"


def test_two_cells_in_opposite_corners_cost_nothing(tmp_path: Path) -> None:
    rows = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
    result = process(tmp_path, documents.make_xlsx({"Huge": rows, "Small": "<row><c><v>3</v></c></row>"}), "a.xlsx")
    assert result.properties["sheet_count"] == 2
    assert result.text is not None
    assert "Huge" not in result.text


@pytest.mark.parametrize(
    "workbook", ["<broken", "<html/>", '<workbook xmlns="x"><sheets/></workbook>', "<!DOCTYPE a []><workbook/>"]
)
def test_a_workbook_without_sheets_is_refused(workbook: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        process(tmp_path, documents.zip_of({**documents.xlsx_members(), "xl/workbook.xml": workbook}), "a.xlsx")


@pytest.mark.parametrize("rows", ["<row", '<row r="x"><c r="?"/></row>', '<row r="2"><c r="A2"/></row><row r="1"/>'])
def test_strange_rows_are_read_or_refused(rows: str, tmp_path: Path) -> None:
    with contextlib.suppress(UnreadableFile):
        process(tmp_path, documents.make_xlsx({"A": rows}), "a.xlsx")


@pytest.mark.parametrize("name", ["a.docx", "a.xlsx"])
def test_a_document_locked_with_a_password_is_taken_and_says_so(name: str, tmp_path: Path) -> None:
    data = make_compound({"EncryptionInfo": b"info", "EncryptedPackage": LOCKED_PACKAGE})
    result = file_processing.process_file(documents.make_job(tmp_path, data, name))
    assert result.properties == {"encrypted": True}
    assert (result.text, result.main_path, result.extension) == (None, None, name[2:])


@pytest.mark.parametrize(
    "streams",
    [
        {"EncryptedPackage": LOCKED_PACKAGE},
        {"EncryptionInfo": b"info", "EncryptedPackage": (2**40).to_bytes(8, "little")},
        {"EncryptionInfo": b"info", "EncryptedPackage": b""},
    ],
    ids=["no info", "cut off", "empty"],
)
def test_a_locked_document_without_its_parts_is_refused(streams: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="locked"):
        file_processing.process_file(documents.make_job(tmp_path, make_compound(streams), "a.docx"))


@pytest.mark.parametrize(("make", "name"), [(documents.make_docx, "a.docx"), (documents.make_xlsx, "a.xlsx")])
def test_backslashes_in_a_package_change_nothing(make: Callable[[], bytes], name: str, tmp_path: Path) -> None:
    usual = file_processing.process_file(documents.make_job(tmp_path, make(), name))
    with zipfile.ZipFile(io.BytesIO(make())) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    data = documents.zip_of(
        {
            member.replace("/", "\\"): content.replace(b'Target="word/', b'Target="word\\')
            for member, content in members.items()
        }
    )
    assert file_processing.process_file(documents.make_job(tmp_path, data, name)) == usual
