"""What a well-formed upload becomes, in whatever order and whatever pieces it arrives."""

import asyncio
import hashlib
import os
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import pytest

from app.core.errors import BodyTooLarge, FileTooLarge, RequestTimedOut, StorageFull, StorageUnavailable
from app.core.media_types import MIB, MediaType
from app.core.upload_stream import ReceivedUpload, receive_upload
from app.core.uploads.staged_file import StagedFile
from tests.fixtures.multipart_bodies import BOUNDARY, CONTENT_TYPE, END, field_part, file_part, in_chunks, part

IMAGE = field_part("media_type", "image")
LIMITS = {MediaType.IMAGE: 2 * MIB, MediaType.VIDEO: 6 * MIB, MediaType.AUDIO: 4 * MIB, MediaType.DOCUMENT: MIB}


class Receive(Protocol):
    """`receive(body)` with limits of this file; what is given replaces them."""

    async def __call__(
        self,
        body: bytes | AsyncIterator[bytes],
        *,
        max_upload_bytes: int = 8 * MIB,
        idle_timeout_s: float = 5,
        total_timeout_s: float = 5,
        guess: Callable[[bytes], MediaType | None] | None = None,
    ) -> ReceivedUpload: ...


@pytest.fixture
def staged_path(tmp_path: Path) -> Path:
    return tmp_path / "incoming"


@pytest.fixture
def receive(staged_path: Path) -> Receive:
    async def receive(
        body: bytes | AsyncIterator[bytes],
        *,
        max_upload_bytes: int = 8 * MIB,
        idle_timeout_s: float = 5,
        total_timeout_s: float = 5,
        guess: Callable[[bytes], MediaType | None] | None = None,
    ) -> ReceivedUpload:
        return await receive_upload(
            content_type=CONTENT_TYPE,
            body=in_chunks(body) if isinstance(body, bytes) else body,
            staged_path=staged_path,
            limit_for=lambda media_type: LIMITS[media_type] if media_type else max(LIMITS.values()),
            max_upload_bytes=max_upload_bytes,
            idle_timeout_s=idle_timeout_s,
            total_timeout_s=total_timeout_s,
            guess=guess,
        )

    return receive


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def forget(path: Path) -> None:
    path.unlink()


def occupy(path: Path) -> None:
    path.write_bytes(b"already here")


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count, not paths


async def test_everything_that_was_sent_is_known(receive: Receive, staged_path: Path) -> None:
    data = os.urandom(300_000)
    body = (
        IMAGE
        + part(
            b'Content-Disposition: form-data; name="file"; filename="caf\xc3\xa9.jpg"',
            b"Content-Digest: sha-256=:AAAA:",
            content=data,
        )
        + field_part("metadata", '{"title": "Ä"}')
        + field_part("content_id", "abc")
        + field_part("checksum_sha256", "00")
        + END
    )
    received = await receive(body)
    assert received.filename == "café.jpg"
    assert received.media_type is MediaType.IMAGE
    assert received.size_bytes == len(data)
    assert received.sha256 == hashlib.sha256(data).hexdigest()
    assert received.fields == {
        "media_type": "image", "metadata": '{"title": "Ä"}', "content_id": "abc", "checksum_sha256": "00"
    }  # fmt: skip
    assert received.file_headers["content-digest"] == "sha-256=:AAAA:"
    assert content_of(staged_path) == data
    assert mode_of(staged_path) & ~0o640 == 0


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, MIB - 1, MIB, MIB + 1, 2 * MIB])
async def test_a_file_of_any_size_arrives_whole(receive: Receive, staged_path: Path, size: int) -> None:
    data = os.urandom(size)
    received = await receive(file_part(data) + IMAGE + END)
    assert (received.size_bytes, received.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert content_of(staged_path) == data


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
async def test_the_cut_of_the_chunks_does_not_matter(receive: Receive, staged_path: Path, size: int) -> None:
    delimiter = b"\r\n--" + BOUNDARY
    # Bytes that look like the beginning of a delimiter, wherever a chunk may end.
    data = b"\r\n-" * 20 + b"\r" * 9 + b"\n--" + delimiter[:-1] + b"\r\n--x" + delimiter + b"x" + delimiter[:-3]
    received = await receive(in_chunks(IMAGE + file_part(data) + END, size))
    assert content_of(staged_path) == data
    assert received.sha256 == hashlib.sha256(data).hexdigest()


async def test_random_data_in_random_pieces_arrives_whole(receive: Receive, staged_path: Path) -> None:
    chance = random.Random(7)
    pieces = [b"\r", b"\n", b"\r\n", b"-", b"--", b"\r\n--", b"\r\n--" + BOUNDARY[:9], BOUNDARY[:-1], b"x", b"\0"]
    for _ in range(150):
        data = b"".join(chance.choices(pieces, k=60))
        body = IMAGE + file_part(data) + END

        async def cut(body: bytes = body) -> AsyncIterator[bytes]:
            start = 0
            while start < len(body):
                end = start + chance.randint(1, 40)
                yield body[start:end]
                start = end

        received = await receive(cut())
        assert content_of(staged_path) == data
        assert received.size_bytes == len(data)
        forget(staged_path)


async def test_the_file_is_never_written_over_another(receive: Receive, staged_path: Path) -> None:
    occupy(staged_path)
    with pytest.raises(StorageUnavailable):
        await receive(IMAGE + file_part(b"x") + END)
    assert content_of(staged_path) == b"already here"


# -- limits -----------------------------------------------------------------------------------------------------------


async def test_a_file_of_exactly_its_limit_passes(receive: Receive) -> None:
    received = await receive(IMAGE + file_part(b"x" * 2 * MIB) + END)
    assert received.size_bytes == 2 * MIB


async def test_one_byte_more_is_too_large(receive: Receive) -> None:
    with pytest.raises(FileTooLarge, match=r"2097152 bytes for media_type 'image'"):
        await receive(IMAGE + file_part(b"x" * (2 * MIB + 1)) + END)


async def endless(*first: bytes, taken: list[int]) -> AsyncIterator[bytes]:
    for piece in first:
        yield piece
    while True:
        taken.append(65536)
        yield b"x" * 65536


async def test_nothing_is_taken_in_after_the_limit_of_the_declared_type(receive: Receive) -> None:
    taken: list[int] = []
    with pytest.raises(FileTooLarge):
        await receive(endless(IMAGE, file_part(b"")[:-2], taken=taken))
    assert sum(taken) <= 2 * MIB + 65536


async def test_the_largest_limit_holds_while_the_type_is_unknown(receive: Receive) -> None:
    taken: list[int] = []
    with pytest.raises(FileTooLarge):
        await receive(endless(file_part(b"")[:-2], taken=taken))
    assert sum(taken) <= 6 * MIB + 65536


async def test_the_first_bytes_may_tell_the_type(receive: Receive) -> None:
    taken: list[int] = []
    heads: list[bytes] = []

    def guess(head: bytes) -> MediaType:
        heads.append(head)
        return MediaType.DOCUMENT

    with pytest.raises(FileTooLarge, match="document"):
        await receive(endless(file_part(b"")[:-2], b"%PDF", taken=taken), guess=guess)
    assert sum(taken) <= MIB + 65536
    assert heads == [b"%PDF" + b"x" * 4092]


async def test_the_declared_type_wins_over_the_guess(receive: Receive) -> None:
    received = await receive(
        field_part("media_type", "video") + file_part(b"x" * 3 * MIB) + END, guess=lambda _: MediaType.IMAGE
    )
    assert received.size_bytes == 3 * MIB


async def test_a_type_that_comes_late_is_compared_at_once(receive: Receive) -> None:
    with pytest.raises(FileTooLarge, match="image"):
        await receive(file_part(b"x" * 3 * MIB) + IMAGE + END)


async def test_the_upload_limit_counts_the_bytes_of_the_file(receive: Receive) -> None:
    video = field_part("media_type", "video")
    assert (await receive(video + file_part(b"x" * 5 * MIB) + END, max_upload_bytes=5 * MIB)).size_bytes == 5 * MIB


async def test_a_file_over_the_upload_limit_is_a_413(receive: Receive) -> None:
    taken: list[int] = []
    with pytest.raises(BodyTooLarge) as caught:
        await receive(
            endless(field_part("media_type", "video"), file_part(b"")[:-2], taken=taken), max_upload_bytes=MIB
        )
    assert caught.value.status == 413
    assert sum(taken) <= MIB + 65536


# -- time, disk and clients -------------------------------------------------------------------------------------------


async def never(*first: bytes) -> AsyncIterator[bytes]:
    for piece in first:
        yield piece
    await asyncio.Event().wait()


async def test_a_client_that_falls_silent_is_timed_out(receive: Receive) -> None:
    with pytest.raises(RequestTimedOut):
        await receive(never(IMAGE), idle_timeout_s=0.05)


async def test_a_client_that_trickles_is_timed_out(receive: Receive) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        for byte in IMAGE * 1000:
            await asyncio.sleep(0.01)
            yield bytes([byte])

    with pytest.raises(RequestTimedOut):
        await receive(trickle(), idle_timeout_s=1, total_timeout_s=0.1)


async def test_a_disconnect_passes_through_and_leaves_nothing_open(receive: Receive) -> None:
    class HungUpError(Exception):
        pass

    async def hang_up() -> AsyncIterator[bytes]:
        yield IMAGE + file_part(b"x" * 2 * MIB)[:-2]
        raise HungUpError

    before = open_descriptors()
    with pytest.raises(HungUpError):
        await receive(hang_up())
    assert open_descriptors() == before


async def test_a_cancelled_upload_leaves_nothing_open(receive: Receive) -> None:
    before = open_descriptors()
    task = asyncio.create_task(receive(never(IMAGE + file_part(b"x" * 2 * MIB)[:-2])))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert open_descriptors() == before


async def test_a_full_disk_is_told_apart(staged_path: Path) -> None:
    staged = StagedFile(staged_path)
    # Takes the opening and refuses the writing, as a full disk does.
    staged._fd = os.open("/dev/full", os.O_WRONLY)
    staged.add(b"x" * MIB, 0, MIB)
    with pytest.raises(StorageFull):
        await staged.finish()
    await staged.abandon()


async def test_a_missing_staging_tree_is_unavailable_storage(tmp_path: Path) -> None:
    staged = StagedFile(tmp_path / "gone" / "upload" / "incoming")
    with pytest.raises(StorageUnavailable):
        await staged.finish()
    await staged.abandon()


async def test_memory_stays_bounded(receive: Receive) -> None:
    async def source() -> AsyncIterator[bytes]:
        yield field_part("media_type", "video") + file_part(b"")[:-2]
        for _ in range(90):
            yield bytes(65536)
        yield b"\r\n" + END

    tracemalloc.start()
    try:
        await receive(source())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB
