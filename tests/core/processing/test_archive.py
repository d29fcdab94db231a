"""Claims about `archive`: a ZIP is believed in nothing, and nothing it does costs more than its limits."""

import contextlib
import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from app.core.errors import FileTooComplex, InvalidUpload, UnreadableFile
from app.core.processing.documents.archive import Archive, open_archive
from tests.fixtures import document_files as documents

MIB = 1024 * 1024


def verify(path: Path, data: bytes, *, max_unpacked_bytes: int = MIB, max_members: int = 20) -> Archive:
    source = path / "archive"
    source.write_bytes(data)
    with open_archive(source, max_unpacked_bytes=max_unpacked_bytes, max_members=max_members) as archive:
        archive.verify()
        return archive


def test_an_honest_archive_is_read_without_regard_to_case(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(documents.make_docx())
    with open_archive(tmp_path / "a.zip", max_unpacked_bytes=MIB, max_members=20) as archive:
        archive.verify()
        assert b"Hello Word" in archive.read("WORD/document.xml", max_bytes=MIB)
        assert b"".join(archive.chunks("word/document.xml")) == archive.read("word/document.xml", max_bytes=MIB)
        assert archive.size_bytes("nothing") is None
        assert archive.names[0] == "[Content_Types].xml"
        with pytest.raises(FileTooComplex):
            archive.read("word/document.xml", max_bytes=10)


def test_folders_and_empty_members_are_welcome(tmp_path: Path) -> None:
    archive = verify(tmp_path, documents.zip_of({"word/": "", "word/empty.xml": ""}))
    assert archive.names == ("word/empty.xml",)


def test_a_member_written_without_knowing_its_size_is_welcome(tmp_path: Path) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    out = Pipe()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", b"<a/>" * 100)
    assert verify(tmp_path, out.getvalue()).names == ("a.xml",)


@pytest.mark.parametrize(("count", "is_refused"), [(20, False), (21, True)])
def test_the_number_of_members_is_limited(count: int, is_refused: bool, tmp_path: Path) -> None:
    data = documents.zip_of({f"{number}.xml": "" for number in range(count)})
    if is_refused:
        with pytest.raises(FileTooComplex, match="20 members"):
            verify(tmp_path, data)
    else:
        assert len(verify(tmp_path, data).names) == count


def test_a_directory_of_a_hundred_thousand_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(FileTooComplex, match="members"):
        verify(tmp_path, documents.make_docx() + b"PK\x01\x02" * 100_000)


@pytest.mark.parametrize(("size_bytes", "is_refused"), [(MIB, False), (MIB + 1, True)])
def test_the_declared_sum_is_limited(size_bytes: int, is_refused: bool, tmp_path: Path) -> None:
    data = documents.zip_of({"a.xml": b"a" * (size_bytes - 10), "b.xml": b"b" * 10})
    if is_refused:
        with pytest.raises(FileTooComplex, match="unpacks to more"):
            verify(tmp_path, data)
    else:
        verify(tmp_path, data)


def test_a_bomb_below_the_limit_is_refused_by_its_ratio(tmp_path: Path) -> None:
    with pytest.raises(FileTooComplex, match="packed more than"):
        verify(tmp_path, documents.zip_of({"a.xml": bytes(8 * MIB)}), max_unpacked_bytes=10 * MIB)


def test_a_member_that_unpacks_to_more_than_it_says_is_refused(tmp_path: Path) -> None:
    data = documents.lying_zip(documents.make_docx("x" * 9000), name="word/document.xml", claimed_bytes=50)
    with zipfile.ZipFile(io.BytesIO(data)) as naive:
        assert len(naive.read("word/document.xml")) == 50, "the trick works on zipfile"
    with pytest.raises(UnreadableFile, match="as large as it says"):
        verify(tmp_path, data)


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    data = documents.zip_of({"a.xml": b"hello"}, method=zipfile.ZIP_STORED).replace(b"hello", b"hollo")
    with pytest.raises(UnreadableFile):
        verify(tmp_path, data)


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="overlapping"):
        verify(tmp_path, documents.overlapping_zip())


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(kind: int, tmp_path: Path) -> None:
    member = zipfile.ZipInfo("word/link.xml")
    member.external_attr = (kind | 0o777) << 16
    with pytest.raises(UnreadableFile, match="link"):
        verify(tmp_path, documents.zip_with(member, b"/etc/passwd"))


@pytest.mark.parametrize(
    "name",
    [
        *("../evil.xml", "/etc/passwd", "a/../../b", "C:/x", "a//b", "./a", "a\nb", "x" * 513),
        *("..\\evil.xml", "\\etc\\passwd", "a\\..\\../b", "C:\\x", "a\\/b", ".\\a", "\\\\host\\share"),
    ],
)
def test_names_that_climb_or_hide_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="relative path"):
        verify(tmp_path, documents.zip_with(zipfile.ZipInfo(name)))


def test_backslashes_part_folders_as_slashes_do(tmp_path: Path) -> None:
    archive = verify(tmp_path, documents.zip_of({"word\\": "", "word\\a.xml": "1", "word/b.xml": "2"}))
    assert archive.names == ("word/a.xml", "word/b.xml")
    assert archive.size_bytes("word/a.xml") == 1


def test_a_name_in_both_spellings_is_twice_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="twice named"):
        verify(tmp_path, documents.zip_of({"word/a.xml": "1", "word\\a.xml": "2"}))


def test_a_name_cut_by_nul_is_refused(tmp_path: Path) -> None:
    data = documents.zip_with(zipfile.ZipInfo("word/x.xml_hidden")).replace(b"x.xml_hidden", b"x.xml\x00hidden")
    with pytest.raises(UnreadableFile, match="relative path"):
        verify(tmp_path, data)


def test_twice_named_members_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="twice named"):
        verify(tmp_path, documents.zip_of({"word/a.xml": "1", "Word/A.xml": "2"}))


def test_two_names_for_one_member_are_refused(tmp_path: Path) -> None:
    data = documents.zip_of({"a.xml": "1"}).replace(b"a.xml", b"b.xml", 1)
    with pytest.raises(UnreadableFile, match="two names"):
        verify(tmp_path, data)


@pytest.mark.parametrize("flag", [0x0001, 0x0040])
def test_encrypted_members_are_refused(flag: int, tmp_path: Path) -> None:
    data = bytearray(documents.zip_of({"a.xml": "1"}))
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<H", data, at + 8, flag)
    with pytest.raises(UnreadableFile, match="encrypted"):
        verify(tmp_path, bytes(data))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_refused(method: int, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="packed in a way"):
        verify(tmp_path, documents.zip_of({"a.xml": "1" * 1000}, method=method))


def test_any_single_damaged_byte_is_no_fault_of_ours(tmp_path: Path) -> None:
    data = documents.zip_of({"a.xml": b"<a>" + bytes(range(64)), "b.xml": b"b" * 50})
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        with contextlib.suppress(InvalidUpload):
            verify(tmp_path, bytes(damaged))
