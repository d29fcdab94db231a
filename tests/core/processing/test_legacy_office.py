"""Claims about `legacy_office.process`: what is read out of DOC and XLS and which compound files are refused."""

import contextlib
import struct
from pathlib import Path

import pytest

from app.core.errors import UnreadableFile
from app.core.media_types import by_extension
from app.core.processing.contract import ProcessedFile
from app.core.processing.documents import legacy_office
from app.core.processing.documents.ole import open_compound
from tests.fixtures.compound_files import make_compound, make_doc, make_xls, summary_information, workbook_stream
from tests.fixtures.document_files import make_job


def process(directory: Path, data: bytes, filename: str, **options: object) -> ProcessedFile:
    file_type = by_extension(filename.rpartition(".")[2])[0]
    return legacy_office.process(make_job(directory, data, filename, **options), file_type)


def test_a_doc_tells_its_summary_and_words(tmp_path: Path) -> None:
    result = process(tmp_path, make_doc(), "a.doc")
    assert result.properties == {"title": "Old report", "author": "Gräfin", "pages": 7}
    assert result.text == "Hello old Word"
    assert (result.mime_type, result.extension, result.main_path) == ("application/msword", "doc", None)


def test_text_of_a_doc_is_bounded(tmp_path: Path) -> None:
    assert process(tmp_path, make_doc("word " * 500), "a.doc", max_text_chars=9).text == "word word"


@pytest.mark.parametrize("data", [make_doc("\r"), make_doc(version=0x65)], ids=["empty", "Word 95"])
def test_a_doc_without_text_for_us_is_accepted(data: bytes, tmp_path: Path) -> None:
    assert process(tmp_path, data, "a.doc").text is None


def test_a_locked_doc_is_accepted_and_says_so(tmp_path: Path) -> None:
    result = process(tmp_path, make_doc(encrypted=True), "a.doc")
    assert result.properties["encrypted"] is True
    assert result.text is None


@pytest.mark.parametrize(
    "streams",
    [
        {"1Table": b"x"},
        {"WordDocument": bytes(100)},
        {"WordDocument": struct.pack("<HH6xH", 0xA5EC, 0xC1, 0x0200), "0Table": b"x"},
    ],
    ids=["no words", "no magic", "no table"],
)
def test_a_doc_without_its_parts_is_refused(streams: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="Word stream"):
        process(tmp_path, make_compound(streams), "a.doc")


def test_an_xls_tells_its_sheets_and_cells(tmp_path: Path) -> None:
    result = process(tmp_path, make_xls(), "a.xls")
    assert result.properties["sheets"] == ["Sales", "Ideas"]
    assert result.properties["sheet_count"] == 2
    assert result.text == "Sales\nRegion\t42\nIdeas"


def test_a_locked_xls_is_accepted_and_says_so(tmp_path: Path) -> None:
    result = process(tmp_path, make_xls(encrypted=True), "a.xls")
    assert result.properties["encrypted"] is True
    assert "sheets" not in result.properties


def test_cells_in_opposite_corners_of_many_sheets_cost_nothing(tmp_path: Path) -> None:
    sheets = {f"S{number}": [(0, 0, 1.0), (65535, 255, 2.0)] for number in range(20)}
    result = process(tmp_path, make_xls(sheets), "a.xls")
    assert result.properties["sheet_count"] == 20
    assert result.text is None


@pytest.mark.parametrize(
    "stream",
    [b"", bytes(5000), workbook_stream({})[:-2] + b"\xff\xff", workbook_stream({}), struct.pack("<HH", 0x0809, 60000)],
    ids=["empty", "zeros", "overrun", "no sheets", "only a beginning"],
)
def test_an_xls_without_a_workbook_is_refused(stream: bytes, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        process(tmp_path, make_compound({"Workbook": stream}), "a.xls")


@pytest.mark.parametrize(("data", "name"), [(make_doc(), "a.doc"), (make_xls(), "a.xls")])
def test_damage_anywhere_is_no_fault_of_ours(data: bytes, name: str, tmp_path: Path) -> None:
    for at in range(0, len(data), 61):
        damaged = bytearray(data)
        damaged[at : at + 4] = b"\xff\xfe\x00\x80"
        with contextlib.suppress(UnreadableFile):
            process(tmp_path, bytes(damaged), name)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_off_file_is_refused(share: float, tmp_path: Path) -> None:
    data = make_doc("word " * 2000)
    with pytest.raises(UnreadableFile):
        process(tmp_path, data[: int(len(data) * share)], "a.doc")


def test_a_summary_that_counts_to_four_billion_is_read_in_no_time(tmp_path: Path) -> None:
    summary = bytearray(summary_information())
    struct.pack_into("<I", summary, 52, 0xFFFFFFFF)
    (tmp_path / "a").write_bytes(make_compound({"\x05SummaryInformation": bytes(summary)}))
    with open_compound(tmp_path / "a") as compound:
        assert compound.summary() == {}
