"""What every storage backend promises; a backend's tests inherit this class unchanged and only say how one is made."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.core.errors import ServiceError, StoredFileNotFound
from app.core.storage_backends.base import StorageBackend, StoredObject

MIB = 1024 * 1024
KEY = "2026/11/photo_a1b2c3d4e5f6.jpg"
OTHER_KEY = "2026/12/photo_ffffffffffff.jpg"

Stage = Callable[[bytes], Path]


class StorageContract:
    """Subclasses define the fixtures `backend` and `stage`: a function that makes a staged file of some bytes."""

    @pytest.fixture
    def backend(self) -> StorageBackend:
        raise NotImplementedError

    @pytest.fixture
    def stage(self) -> Stage:
        raise NotImplementedError

    @pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, 2 * MIB + 7])
    async def test_what_went_in_comes_out(self, backend: StorageBackend, stage: Stage, size: int) -> None:
        data = os.urandom(size)
        await backend.publish([(stage(data), KEY)])

        assert (await backend.stat(KEY)).size_bytes == size
        assert await content(backend, KEY) == data

    async def test_publishing_consumes_the_staged_file(self, backend: StorageBackend, stage: Stage) -> None:
        staged = stage(b"x")
        await backend.publish([(staged, KEY)])
        assert not staged.exists()

    @pytest.mark.parametrize(("start", "length"), [(0, 1), (3, 4), (9, 1), (0, 10), (5, 100), (10, 5), (MIB, 1)])
    async def test_a_range_is_exact_and_ends_with_the_file(
        self, backend: StorageBackend, stage: Stage, start: int, length: int
    ) -> None:
        data = b"0123456789"
        await backend.publish([(stage(data), KEY)])
        assert await content(backend, KEY, start, length) == data[start : start + length]

    async def test_chunks_are_bounded(self, backend: StorageBackend, stage: Stage) -> None:
        await backend.publish([(stage(bytes(3 * MIB)), KEY)])
        async with aclosing(reading(backend, KEY, start=1, length=3 * MIB)) as chunks:
            assert max([len(chunk) async for chunk in chunks]) <= MIB

    async def test_a_missing_file_is_not_found_before_the_first_byte(self, backend: StorageBackend) -> None:
        with pytest.raises(StoredFileNotFound):
            await backend.stat(KEY)
        with pytest.raises(StoredFileNotFound):
            await anext(reading(backend, KEY, start=0, length=1))

    async def test_a_deleted_file_is_gone(self, backend: StorageBackend, stage: Stage) -> None:
        await backend.publish([(stage(b"x"), KEY)])
        await backend.delete(KEY)

        with pytest.raises(StoredFileNotFound):
            await backend.stat(KEY)
        assert await listed(backend) == {}

    async def test_deleting_again_changes_nothing(self, backend: StorageBackend, stage: Stage) -> None:
        await backend.publish([(stage(b"x"), KEY)])
        await backend.publish([(stage(b"y"), OTHER_KEY)])
        for _ in range(3):
            await backend.delete(KEY)
        assert await content(backend, OTHER_KEY) == b"y"

    async def test_a_hidden_file_comes_back_when_it_is_asked_for(self, backend: StorageBackend, stage: Stage) -> None:
        await backend.publish([(stage(b"x"), KEY), (stage(b"y"), OTHER_KEY)])
        await backend.hide([KEY, OTHER_KEY, "2026/10/missing_aaaaaaaaaaaa.jpg"])
        assert await listed(backend) == {}

        assert await content(backend, KEY) == b"x"
        assert (await backend.stat(OTHER_KEY)).size_bytes == 1
        assert set(await listed(backend)) == {KEY, OTHER_KEY}

    async def test_a_hidden_file_can_be_deleted(self, backend: StorageBackend, stage: Stage) -> None:
        await backend.publish([(stage(b"x"), KEY)])
        await backend.hide([KEY])
        await backend.delete(KEY)
        with pytest.raises(StoredFileNotFound):
            await backend.stat(KEY)

    async def test_a_file_that_is_being_read_is_read_to_its_end(self, backend: StorageBackend, stage: Stage) -> None:
        data = os.urandom(3 * MIB)
        await backend.publish([(stage(data), KEY)])
        async with aclosing(reading(backend, KEY, start=0, length=len(data))) as chunks:
            read = await anext(chunks)
            await backend.delete(KEY)
            async for chunk in chunks:
                read += chunk
        assert read == data

    async def test_nothing_is_overwritten(self, backend: StorageBackend, stage: Stage) -> None:
        await backend.publish([(stage(b"first"), KEY)])
        with pytest.raises(FileExistsError):
            await backend.publish([(stage(b"second"), KEY)])
        assert await content(backend, KEY) == b"first"

    async def test_publishing_nothing_stores_nothing(self, backend: StorageBackend, stage: Stage) -> None:
        staged = stage(b"x")
        staged.unlink()
        with pytest.raises((ServiceError, OSError)):
            await backend.publish([(staged, KEY)])
        assert await listed(backend) == {}

    async def test_a_reader_sees_the_whole_file_or_none(self, backend: StorageBackend, stage: Stage) -> None:
        data = os.urandom(2 * MIB)
        for number in range(5):
            key = f"2026/11/race_{number:012x}.bin"
            publishing = asyncio.create_task(backend.publish([(stage(data), key)]))
            while not publishing.done():
                try:
                    assert await content(backend, key) == data
                except StoredFileNotFound:
                    await asyncio.sleep(0)
            await publishing

    async def test_the_list_tells_the_truth(self, backend: StorageBackend, stage: Stage) -> None:
        keys = [f"202{number % 3}/0{number % 9 + 1}/f_{number:012x}.txt" for number in range(40)]
        before = datetime.now(UTC) - timedelta(seconds=5)
        for number, key in enumerate(keys):
            await backend.publish([(stage(b"x" * number), key)])
        stage(b"staged, not stored")
        for key in keys[::2]:
            await backend.delete(key)

        found = await listed(backend)
        assert {key: stored.size_bytes for key, stored in found.items()} == {
            key: number for number, key in enumerate(keys) if number % 2
        }
        assert all(before < stored.modified_at < datetime.now(UTC) + timedelta(seconds=5) for stored in found.values())

    async def test_stat_and_list_agree(self, backend: StorageBackend, stage: Stage) -> None:
        await backend.publish([(stage(b"abc"), KEY)])
        assert (await listed(backend))[KEY] == await backend.stat(KEY)

    async def test_publishing_and_deleting_side_by_side_lose_nothing(
        self, backend: StorageBackend, stage: Stage
    ) -> None:
        async def come_and_go(number: int) -> None:
            key = f"2026/11/short_{number:012x}.txt"
            await backend.publish([(stage(b"short"), key)])
            await backend.delete(key)

        async def stay(number: int) -> None:
            await backend.publish([(stage(b"long"), f"2026/11/long_{number:012x}.txt")])

        await asyncio.gather(*(come_and_go(number) for number in range(30)))
        await asyncio.gather(*(work(number) for number in range(15) for work in (come_and_go, stay)))
        assert len(await listed(backend)) == 15


async def reading(backend: StorageBackend, key: str, *, start: int, length: int) -> AsyncGenerator[bytes, None]:
    """A part of a stored file, chunk by chunk."""
    with closing(await backend.open(key)) as file:
        async with aclosing(file.read(start=start, length=length)) as chunks:
            async for chunk in chunks:
                yield bytes(chunk)


async def content(backend: StorageBackend, key: str, start: int = 0, length: int = 100 * MIB) -> bytes:
    """The bytes of a stored file."""
    async with aclosing(reading(backend, key, start=start, length=length)) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def listed(backend: StorageBackend) -> dict[str, StoredObject]:
    """What the backend lists, each file once."""
    found = [stored async for stored in backend.list()]
    by_key = {stored.key: stored for stored in found}
    assert len(by_key) == len(found), "listed twice"
    return by_key
