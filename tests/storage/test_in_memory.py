"""Opening and reading without waiting for a disk: what is in memory is had at once, and the rest is said not to be."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from app.core.storage_backends.in_memory import open_cached, read_cached


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that was written, and so looked up and read into memory, a moment ago."""
    path = tmp_path.resolve() / "a.bin"
    path.write_bytes(b"0123456789")
    return path


def test_a_file_that_was_just_used_is_open_at_once(file: Path) -> None:
    fd = open_cached(file)
    if fd is None:
        pytest.skip("the kernel is older than 5.12, or a filter forbids openat2")
    found = bytes(read_cached(fd, start=2, length=3) or b"")
    os.close(fd)
    assert found == b"234"


def test_reading_stops_at_the_end_of_the_file(file: Path) -> None:
    fd = os.open(file, os.O_RDONLY)
    assert bytes(read_cached(fd, start=8, length=100) or b"") == b"89"
    assert read_cached(fd, start=10, length=100) is None
    os.close(fd)


def test_no_link_is_followed_wherever_it_lies(file: Path) -> None:
    (file.parent / "link").symlink_to(file)
    (file.parent / "directory").symlink_to(file.parent)
    for path in (file.parent / "link", file.parent / "directory" / "a.bin"):
        fd = None
        with suppress(FileNotFoundError):
            fd = open_cached(path)
        assert fd is None


def test_what_is_not_there_is_never_opened(file: Path) -> None:
    fd = None
    with suppress(FileNotFoundError):
        fd = open_cached(file.parent / "b.bin")
    assert fd is None


def test_a_fault_of_the_descriptor_is_left_to_a_real_read(file: Path) -> None:
    write_only = os.open(file, os.O_WRONLY)
    assert read_cached(write_only, start=0, length=1) is None
    os.close(write_only)
