"""A disk that is full or read-only: uploads are refused cleanly, the rest goes on, and it gets well by itself."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tests.fixtures.pictures import png
from tests.reliability.conftest import Rig
from tests.reliability.ledger import MEDIA, UPLOAD
from tests.reliability.quick_service import quick_service
from tests.reliability.small_disk import small_disk

DATA = b"0123456789" * 10_000


async def upload(rig: Rig, data: bytes = DATA, name: str = "a.txt", media_type: str = "document") -> httpx.Response:
    return await rig.client.post(UPLOAD, files={"file": (name, data)}, data={"media_type": media_type})


async def uploaded(rig: Rig) -> str:
    reply = await upload(rig)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


async def assert_still_serves(rig: Rig, kept: str, unwanted: str) -> None:
    """Reads and deletes work."""
    assert (await rig.client.get(f"{MEDIA}/{kept}/download")).content == DATA
    assert (await rig.client.delete(f"{MEDIA}/{unwanted}")).status_code == 200
    assert (await rig.client.get(f"{MEDIA}/{unwanted}/download")).status_code == 404


async def test_a_full_disk_is_507_while_reads_and_deletes_go_on(rig: Rig) -> None:
    kept, unwanted = await uploaded(rig), await uploaded(rig)
    await asyncio.to_thread(rig.disk.fill)

    replies = [await upload(rig), await upload(rig, png(400, 400), "a.png", "image"), await upload(rig, b"x")]
    assert [(reply.status_code, reply.json()["code"]) for reply in replies] == [(507, "storage_full")] * 3
    assert all(reply.json()["detail"] for reply in replies)
    await rig.inspector.settled(within_s=1)
    await assert_still_serves(rig, kept, unwanted)

    rig.disk.free()
    assert (await upload(rig)).status_code == 201
    assert len((await rig.inspector.settled(within_s=1)).files) == 2


async def test_a_full_disk_that_holds_our_own_data_too_ends_nothing(tmp_path: Path, fresh_database_url: str) -> None:
    # Metrics and marks are files mapped into memory: a page without room behind it would be a SIGBUS.
    with small_disk(tmp_path / "disk", size="24m") as disk:
        places = {"UPLOAD_DIR": str(disk.path / "uploads"), "DATA_DIR": str(disk.path / "data")}
        environment = {"DATABASE_URL": fresh_database_url, **places}
        with quick_service(tmp_path / "service", environment, prefix=disk.prefix) as service:
            headers = service.auth_of(uuid.uuid4())
            async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=20) as client:
                files, data = {"file": ("a.txt", DATA)}, {"media_type": "document"}
                await asyncio.to_thread(disk.fill)
                full = await client.post(UPLOAD, files=files, data=data)
                pages = [f"{MEDIA}/", "/metrics", "/docs", f"{MEDIA}/{uuid.uuid4()}", "/api/v1/nothing", "/healthz"]
                replies = [await client.get(page) for page in pages]
                disk.free()
                again = await client.post(UPLOAD, files=files, data=data)
    assert full.status_code == 507
    assert [reply.status_code for reply in replies] == [200, 200, 200, 404, 404, 200]
    assert again.status_code == 201


async def test_a_disk_that_fills_up_under_uploads_keeps_only_whole_files(rig: Rig) -> None:
    replies = await asyncio.gather(*(upload(rig, DATA * 4) for _ in range(30)))

    stored = [reply for reply in replies if reply.status_code == 201]
    assert {reply.status_code for reply in replies} == {201, 507}
    assert len((await rig.inspector.settled(within_s=1)).files) == len(stored)
    for reply in stored:
        assert (await rig.client.get(f"{MEDIA}/{reply.json()['id']}/download")).content == DATA * 4


async def test_a_read_only_disk_is_503_and_recovers_without_a_restart(rig: Rig) -> None:
    kept, unwanted = await uploaded(rig), await uploaded(rig)
    rig.disk.make_read_only()

    reply = await upload(rig)
    assert (reply.status_code, reply.json()["code"]) == (503, "storage_unavailable")
    assert int(reply.headers["retry-after"]) > 0
    await assert_still_serves(rig, kept, unwanted)

    rig.disk.make_writable()
    assert (await upload(rig)).status_code == 201
    assert len((await rig.inspector.settled(within_s=12)).files) == 2


async def test_a_disk_that_turns_read_only_and_back_keeps_nothing_of_the_upload_in_between(rig: Rig) -> None:
    arrived = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="media_type"\r\n\r\ndocument\r\n'
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        # Small enough to wait in memory: a file that is open for writing would forbid the change.
        yield DATA
        arrived.set()
        await asyncio.sleep(0.5)
        yield b"\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    uploading = asyncio.create_task(rig.client.post(UPLOAD, content=body(), headers=headers))
    await arrived.wait()
    rig.disk.make_read_only()
    reply = await uploading
    assert reply.status_code == 503
    rig.disk.make_writable()
    await rig.inspector.settled(within_s=12)
    assert (await upload(rig)).status_code == 201


async def test_behind_a_proxy_nothing_is_deleted_that_the_disk_would_go_on_showing(
    tmp_path: Path, fresh_database_url: str
) -> None:
    environment = {"DATABASE_URL": fresh_database_url, "ACCEL_REDIRECT_PREFIX": "/_media_files/"}
    with (
        small_disk(tmp_path / "service" / "uploads") as disk,
        quick_service(tmp_path / "service", environment, prefix=disk.prefix) as service,
    ):
        headers = service.auth_of(uuid.uuid4())
        async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=20) as client:
            media = (await client.post(UPLOAD, files={"file": ("a.txt", DATA)}, data={"media_type": "document"})).json()
            disk.make_read_only()
            refused = await client.delete(f"{MEDIA}/{media['id']}")
            assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
            assert (await client.get(f"{MEDIA}/{media['id']}")).status_code == 200
            assert (await client.get(media["url"])).headers["x-accel-redirect"]

            disk.make_writable()
            await asyncio.to_thread(disk.fill)
            assert (await client.delete(f"{MEDIA}/{media['id']}")).status_code == 200
            assert (await client.get(media["url"])).status_code == 404
            assert not list(disk.view.glob("*/*/*.txt"))


async def test_a_delete_that_did_not_come_to_its_end_is_undone_by_the_next_read(rig: Rig) -> None:
    media = (await upload(rig)).json()
    (stored,) = rig.disk.view.glob("*/*/*.txt")
    stored.rename(stored.with_name(f".{stored.name}"))  # as a kill between hiding the file and the COMMIT leaves it
    assert (await rig.client.get(f"{MEDIA}/{media['id']}/download")).content == DATA
    assert stored.exists()
