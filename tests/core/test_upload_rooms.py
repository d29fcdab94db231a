"""An upload whose bytes come in lent memory is stored like any other, and a large one past the page cache."""

import ctypes
import hashlib
import mmap
import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from app.core.errors import FileTooLarge, MalformedMultipart
from app.core.media_types import MIB, MediaType
from app.core.upload_stream import ReceivedUpload, receive_upload
from app.core.uploads.body_room import BodyRoom
from app.core.uploads.staged_file import PAST_CACHE_BYTES
from tests.fixtures.multipart_bodies import BOUNDARY, CONTENT_TYPE, END, field_part, file_part

VIDEO = field_part("media_type", "video")
LIMIT_BYTES = 40 * MIB


class Lender(BodyRoom):
    """A body that comes as bytes at first and then in the room that was lent, `pace(room)` bytes of it at a time."""

    def __init__(self, body: bytes, *, plain_bytes: int, pace: Callable[[int], int]) -> None:
        self.expected_bytes = len(body)
        self._body = body
        self._plain_bytes = plain_bytes
        self._pace = pace
        self._room: memoryview | None = None
        self.longest_room = 0

    def lend(self, room: memoryview) -> None:
        self._room = room
        self.longest_room = max(self.longest_room, len(room))

    async def messages(self) -> AsyncIterator[bytes | memoryview]:
        at = min(self._plain_bytes, len(self._body))
        yield self._body[:at]
        while at < len(self._body):
            room, self._room = self._room, None
            assert room is not None
            length = min(self._pace(len(room)), len(self._body) - at)
            room[:length] = self._body[at : at + length]
            at += length
            yield room[:length]


def whole(room_bytes: int) -> int:
    """As a fast client fills it."""
    return room_bytes


async def receive(lender: Lender, path: Path) -> ReceivedUpload:
    return await receive_upload(
        content_type=CONTENT_TYPE,
        body=lender.messages(),
        staged_path=path,
        limit_for=lambda _media_type: LIMIT_BYTES,
        max_upload_bytes=LIMIT_BYTES + MIB,
        idle_timeout_s=5,
        total_timeout_s=30,
        room=lender,
    )


def assert_is(received: ReceivedUpload, path: Path, content: bytes) -> None:
    assert (received.size_bytes, received.media_type) == (len(content), MediaType.VIDEO)
    assert received.sha256 == hashlib.sha256(content).hexdigest()
    assert path.read_bytes() == content


@pytest.mark.parametrize("size_bytes", [0, 1, 3 * MIB, PAST_CACHE_BYTES - 1000, PAST_CACHE_BYTES + 5 * MIB + 77])
@pytest.mark.parametrize("plain_bytes", [0, 1, 200_001])
async def test_a_file_of_any_size_is_stored_byte_for_byte(tmp_path: Path, size_bytes: int, plain_bytes: int) -> None:
    content = random.Random(size_bytes).randbytes(size_bytes)
    lender = Lender(VIDEO + file_part(content) + END, plain_bytes=plain_bytes, pace=whole)
    received = await receive(lender, tmp_path / "incoming")
    assert_is(received, tmp_path / "incoming", content)


@pytest.mark.parametrize("seed", range(6))
async def test_it_does_not_matter_how_full_a_room_comes_back(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    content = chance.randbytes(PAST_CACHE_BYTES + chance.randrange(4 * MIB))
    lender = Lender(
        VIDEO + file_part(content) + END,
        plain_bytes=chance.randrange(300_000),
        pace=lambda room_bytes: room_bytes if chance.random() < 0.7 else chance.randint(1, room_bytes),
    )
    received = await receive(lender, tmp_path / "incoming")
    assert_is(received, tmp_path / "incoming", content)


@pytest.mark.parametrize("cut", range(1, len(BOUNDARY) + 6))
async def test_a_delimiter_is_found_wherever_two_rooms_cut_it(tmp_path: Path, cut: int) -> None:
    content = b"\r\n--" + BOUNDARY[:-1] + b"\r" + bytes(100_000) + b"\r\n--bound"
    body = file_part(content) + VIDEO + END
    first_bytes = body.index(b"\r\n--" + BOUNDARY, body.index(content)) + cut
    paces = iter([first_bytes, *[10**9] * 5])
    lender = Lender(body, plain_bytes=0, pace=lambda room_bytes: min(room_bytes, next(paces)))
    received = await receive(lender, tmp_path / "incoming")
    assert_is(received, tmp_path / "incoming", content)


async def test_what_looks_like_the_beginning_of_a_delimiter_at_the_end_of_a_room_is_kept(tmp_path: Path) -> None:
    content = b"\r\n--boundary\r\r\n" * 400_000
    chance = random.Random(1)
    lender = Lender(
        VIDEO + file_part(content) + END,
        plain_bytes=0,
        pace=lambda room_bytes: chance.randint(1, min(room_bytes, 60_000)),
    )
    received = await receive(lender, tmp_path / "incoming")
    assert_is(received, tmp_path / "incoming", content)


async def test_rooms_are_bounded_whatever_comes(tmp_path: Path) -> None:
    lender = Lender(VIDEO + file_part(bytes(20 * MIB)) + END, plain_bytes=0, pace=whole)
    await receive(lender, tmp_path / "incoming")
    assert lender.longest_room <= MIB


def is_in_memory(path: Path) -> bool:
    """Whether any page of it is, apart from both ends, which are written as any file is; reads nothing (mincore(2))."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        states = (ctypes.c_ubyte * (len(mapping) // mmap.PAGESIZE + 1))()
        address = ctypes.c_char.from_buffer(mapping)
        failed = ctypes.CDLL(None).mincore(ctypes.byref(address), ctypes.c_size_t(len(mapping)), states)
        del address  # or the mapping could not be closed
    assert not failed
    ends = 2 * MIB // mmap.PAGESIZE
    return any(state & 1 for state in states[ends:-ends])


async def test_a_large_file_leaves_the_page_cache_alone(tmp_path: Path) -> None:
    async def stored(size_bytes: int) -> Path:
        path = tmp_path / str(size_bytes)
        # No CR in it: a room that ends with one might end within a delimiter, goes through the parser and is written in
        # pieces, as any other file.
        await receive(Lender(VIDEO + file_part(b"Z" * size_bytes) + END, plain_bytes=0, pace=whole), path)
        return path

    small = await stored(PAST_CACHE_BYTES // 2)
    assert is_in_memory(small)
    with small.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if is_in_memory(small):
        pytest.skip("this file system is in memory itself")
    assert not is_in_memory(await stored(PAST_CACHE_BYTES + 4 * MIB))


async def test_limits_hold_in_lent_rooms(tmp_path: Path) -> None:
    with pytest.raises(FileTooLarge):
        await receive(
            Lender(VIDEO + file_part(bytes(LIMIT_BYTES + 1)) + END, plain_bytes=0, pace=whole), tmp_path / "large"
        )
    with pytest.raises(MalformedMultipart):
        await receive(Lender(VIDEO + file_part(bytes(3 * MIB))[:-2], plain_bytes=100, pace=whole), tmp_path / "cut")
    assert (tmp_path / "large").stat().st_size <= LIMIT_BYTES
