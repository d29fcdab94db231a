"""Staging that an operator or a sync removes under a running service: the next upload is stored, without a restart."""

import asyncio
import contextlib
import hashlib
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app.core.staging import STAGING_DIRECTORY
from tests.fixtures.live_service import LiveService
from tests.fixtures.pictures import png
from tests.reliability.evidence import inspector_of
from tests.reliability.ledger import MEDIA, UPLOAD
from tests.reliability.quick_service import quick_service

MIB = 1024 * 1024
PICTURE = png(400, 300)

Remove = Callable[[Path], None]


def vanish(directory: Path) -> None:
    """Gone from one moment to the next: what is removed file by file is written to again meanwhile."""
    upload_dir = next(above for above in directory.parents if above.name == "uploads")
    with tempfile.TemporaryDirectory(dir=upload_dir.parent) as grave:
        directory.rename(Path(grave) / "gone")


def put_in_place_of(directory: Path) -> None:
    """A file where the directory was, however quickly that is made anew."""
    while True:
        with contextlib.suppress(OSError):
            vanish(directory)
            directory.write_bytes(b"in its place")
            return


def remove_root(staging: Path) -> None:
    vanish(staging)


def remove_owners(staging: Path) -> None:
    for owner in list(staging.iterdir()):
        vanish(owner)


def remove_boxes(staging: Path) -> None:
    for boxes in list(staging.glob("*/boxes")):
        vanish(boxes)


def empty_boxes(staging: Path) -> None:
    for box in list(staging.glob("*/boxes/*")):
        vanish(box)


@pytest.fixture(params=["1", "2"], ids=["one-process", "two-processes"])
def service(request: pytest.FixtureRequest, tmp_path: Path, fresh_database_url: str) -> Iterator[LiveService]:
    environment = {"DATABASE_URL": fresh_database_url, "WORKERS": request.param, "PROCESSING_WORKERS": "4"}
    with quick_service(tmp_path / "service", environment) as service:
        yield service


async def upload(service: LiveService) -> httpx.Response:
    """A picture by a connection of its own, so that every server process gets some."""
    async with service.client(uuid.uuid4()) as client:
        return await client.post(UPLOAD, files={"file": ("a.png", PICTURE)}, data={"media_type": "image"})


async def ready(service: LiveService) -> None:
    """Waits, in every process, for the workers that replace those without a box; the storage is well at once."""
    in_a_row = 0
    async with asyncio.timeout(40):
        while in_a_row < 12:
            reply = await service.fresh_get("/readyz")
            assert reply.json()["checks"]["storage"] == "ok"
            in_a_row = in_a_row + 1 if reply.status_code == 200 else 0
            await asyncio.sleep(0.05 if in_a_row == 0 else 0)


@pytest.mark.parametrize("remove", [remove_root, remove_owners, remove_boxes, empty_boxes])
async def test_the_next_uploads_are_stored(service: LiveService, fresh_database_url: str, remove: Remove) -> None:
    before = await upload(service)
    await asyncio.to_thread(remove, service.upload_dir / STAGING_DIRECTORY)

    after = await asyncio.gather(*(upload(service) for _ in range(8)))
    assert [reply.status_code for reply in after] == [201] * 8, [reply.text for reply in after]
    await ready(service)
    for reply in (before, *after):
        media = reply.json()
        assert media["thumbnail_url"]
        stored = await service.fresh_get(f"{MEDIA}/{media['id']}/download")
        assert hashlib.sha256(stored.content).hexdigest() == media["checksum_sha256"]
    async with inspector_of(fresh_database_url, service.upload_dir) as inspector:
        await inspector.settled(within_s=5)


async def test_readiness_says_what_uploads_would_and_heals_with_them(service: LiveService) -> None:
    staging = service.upload_dir / STAGING_DIRECTORY
    await asyncio.to_thread(vanish, staging)
    await ready(service)  # made anew, and the upload agrees
    assert (await upload(service)).status_code == 201

    await asyncio.to_thread(put_in_place_of, staging)
    assert (await service.fresh_get("/readyz")).json()["checks"]["storage"] == "storage_unavailable"
    refused = await upload(service)
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0

    await asyncio.to_thread(staging.unlink)
    await ready(service)
    assert (await upload(service)).status_code == 201


async def test_an_upload_whose_bytes_vanish_on_the_way_is_asked_to_come_again(
    service: LiveService, fresh_database_url: str
) -> None:
    boundary = "b0undary"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="media_type"\r\n\r\ndocument\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    )
    staging = service.upload_dir / STAGING_DIRECTORY

    def staged() -> list[Path]:
        return list(staging.glob("*/*/incoming"))

    async def body() -> AsyncIterator[bytes]:
        yield head.encode() + b"one line of text\n" * (4 * MIB // 17)
        async with asyncio.timeout(10):
            while not await asyncio.to_thread(staged):  # noqa: ASYNC110 - a file that comes notifies nobody
                await asyncio.sleep(0.02)
        await asyncio.to_thread(vanish, staging)
        yield b"the last line\r\n" + f"--{boundary}--\r\n".encode()

    async with service.client(uuid.uuid4()) as client:
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        reply = await client.post(UPLOAD, content=body(), headers=kind)
    assert (reply.status_code, reply.json()["code"]) == (503, "storage_unavailable")
    assert int(reply.headers["Retry-After"]) > 0
    assert (await upload(service)).status_code == 201
    async with inspector_of(fresh_database_url, service.upload_dir) as inspector:
        assert len((await inspector.settled(within_s=5)).owned) == 2  # the picture and its thumbnail
