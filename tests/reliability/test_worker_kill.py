"""kill -9 of the process that decodes a file: it costs that upload at most, and nobody else anything."""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.fixtures.live_service import LiveService
from tests.reliability.evidence import inspector_of
from tests.reliability.ledger import UPLOAD
from tests.reliability.quick_service import quick_service

SIDE_PX = 1500


@pytest.fixture
def service(tmp_path: Path, fresh_database_url: str) -> Iterator[LiveService]:
    with quick_service(tmp_path / "service", {"DATABASE_URL": fresh_database_url}) as service:
        yield service


def hard_picture() -> bytes:
    """Noise, which takes long to compress."""
    buffer = BytesIO()
    Image.frombytes("RGB", (SIDE_PX, SIDE_PX), os.urandom(SIDE_PX * SIDE_PX * 3)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def workers(service: LiveService) -> dict[int, float]:
    """Processes that decode files for `service`, with the CPU seconds each has used."""
    found: dict[int, float] = {}
    tree = _children(service.pid)
    while tree:
        pid = tree.pop()
        tree += _children(pid)
        try:
            if b"app.core.processing.workers.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                found[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _children(pid: int) -> list[int]:
    pids: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids += map(int, task.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pids


async def kill_when_busy(service: LiveService) -> int:
    """Kill the worker as soon as it has computed for a while, and wait for the next one; returns its process id."""
    deadline = time.monotonic() + 20
    while "media_sandbox_workers_busy 1.0" not in (await service.fresh_get("/metrics")).text:
        assert time.monotonic() < deadline, "no worker got a file"
    before = workers(service)
    while not (busy := [pid for pid, used_s in workers(service).items() if used_s >= before.get(pid, used_s) + 0.1]):
        assert time.monotonic() < deadline, "the worker never got busy"
        await asyncio.sleep(0.005)
    started = service.log_path.read_text().count("sandbox.worker_started")
    os.kill(busy[0], signal.SIGKILL)
    while service.log_path.read_text().count("sandbox.worker_started") == started:
        assert time.monotonic() < deadline, "no other worker came"
        await asyncio.sleep(0.005)
    return busy[0]


async def test_a_worker_that_is_killed_twice_costs_its_own_upload_and_nobody_elses(
    service: LiveService, fresh_database_url: str
) -> None:
    picture = hard_picture()
    headers = service.auth_of(uuid.uuid4())
    async with (
        inspector_of(fresh_database_url, service.upload_dir) as inspector,
        httpx.AsyncClient(base_url=service.url, headers=headers, timeout=30) as client,
    ):

        async def upload(name: str, data: bytes, media_type: str) -> httpx.Response:
            return await client.post(UPLOAD, files={"file": (name, data)}, data={"media_type": media_type})

        unlucky = asyncio.create_task(upload("a.png", picture, "image"))
        killed = [await kill_when_busy(service), await kill_when_busy(service)]
        assert len(set(killed)) == 2  # the first time might have been an accident: another worker tried again
        others = await asyncio.gather(*(upload(f"{n}.txt", b"text %d" % n, "document") for n in range(5)))
        reply = await unlucky

        assert {other.status_code for other in others} == {201}
        assert reply.status_code == 400
        assert reply.json()["detail"]
        assert len((await inspector.settled(within_s=1)).files) == 5
        assert (await upload("a.png", picture, "image")).status_code == 201


async def test_a_worker_that_is_killed_once_costs_nobody_anything(service: LiveService) -> None:
    async with service.client(uuid.uuid4()) as client:
        files, data = {"file": ("a.png", hard_picture())}, {"media_type": "image"}
        upload = asyncio.create_task(client.post(UPLOAD, files=files, data=data))
        await kill_when_busy(service)
        assert (await upload).status_code == 201
