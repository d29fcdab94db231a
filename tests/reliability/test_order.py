"""The order of an upload's system calls, which is the promise: write, fsync, rename, fsync, COMMIT, answer."""

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

import httpx
import orjson
import pytest

from tests.fixtures.nursery import shared_nursery
from tests.fixtures.pictures import png
from tests.fixtures.settings import SECRET
from tests.reliability.evidence import inspector_of
from tests.reliability.ledger import UPLOAD
from tests.reliability.quick_service import quick_service
from tests.reliability.traced_calls import CALLS, STRACE, Event, read_events


def assert_in_order(events: Sequence[Event], upload_dir: Path) -> None:
    """Every file that was published was on the disk before its name, and its name before the row and the answer."""
    answered = next(number for number, event in enumerate(events) if event.what == "answer")
    commits = [number for number, event in enumerate(events[:answered]) if event.what == "COMMIT"]
    noted, recorded = commits[0], commits[-1]
    assert noted < recorded < answered

    published = [(number, event) for number, event in enumerate(events) if is_publishing(event)]
    assert published
    for renamed, event in published:
        staged, target = event.path.split(" ")
        made = came_from(events, staged)
        writes = numbers_of(events, "write", made)
        synced = numbers_of(events, "fsync", staged)
        assert writes, "the file was written before"
        assert max(writes) < synced[0] < renamed, "fsync of the file comes after its last byte, before its name"
        assert noted < renamed, "the journal knows the key before the file has it"
        for directory in (Path(target).parent, Path(target).parents[1], upload_dir):
            after = [number for number in numbers_of(events, "fsync", str(directory)) if number > renamed]
            assert after, f"no fsync of {directory}"
            assert after[0] < recorded, "the name is on the disk before the row is"


def is_publishing(event: Event) -> bool:
    return event.what == "rename" and "/.staging/" in event.path and "/.staging/" not in event.path.split(" ")[1]


def came_from(events: Sequence[Event], staged: str) -> str:
    """Where a worker wrote the file, before the server took it out of the worker's box."""
    renames = [event.path.split(" ") for event in events if event.what == "rename"]
    return next((source for source, target in renames if target == staged), staged)


def numbers_of(events: Sequence[Event], what: str, path: str) -> list[int]:
    return [number for number, event in enumerate(events) if (event.what, event.path) == (what, path)]


def test_the_interpreter_sees_the_right_order(tmp_path: Path, database_url: str) -> None:
    environment = {
        "DATABASE_URL": database_url,
        "UPLOAD_DIR": str(tmp_path / "uploads"),
        "DATA_DIR": str(tmp_path / "data"),
        "AUTH_SECRET": SECRET,
        "PROCESSING_WORKERS": "1",
    }
    done = shared_nursery().run(
        [], entry="tests.reliability.order_recorder:main", environment=environment, directory=tmp_path
    )
    assert done.returncode == 0, done.stderr
    events = [Event(*pair) for pair in orjson.loads(done.stdout.splitlines()[-1])]
    assert_in_order(events, tmp_path / "uploads")


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here; the test above proves the same from inside")
async def test_the_kernel_sees_the_right_order(tmp_path: Path, fresh_database_url: str) -> None:
    log = tmp_path / "calls"
    strace = (*STRACE, f"--trace={CALLS}", f"--output={log}")
    with quick_service(tmp_path / "service", {"DATABASE_URL": fresh_database_url}, prefix=strace) as service:
        async with (
            inspector_of(fresh_database_url, service.upload_dir) as inspector,
            httpx.AsyncClient(base_url=service.url, headers=service.auth_of(uuid.uuid4()), timeout=30) as client,
        ):
            await inspector.settled(within_s=5)
            before = len(read_events(log))
            files, data = {"file": ("a.png", png(500, 400))}, {"media_type": "image"}
            reply = await client.post(UPLOAD, files=files, data=data)
            assert reply.status_code == 201
    events = [event for event in read_events(log)[before:] if "worker" not in event.path]
    assert sum(map(is_publishing, events)) == 2  # with its thumbnail
    assert_in_order(events, service.upload_dir)


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here; the order cannot be seen from inside")
async def test_behind_a_proxy_a_file_is_out_of_its_sight_before_its_row_is_gone(
    tmp_path: Path, fresh_database_url: str
) -> None:
    log = tmp_path / "calls"
    strace = (*STRACE, f"--trace={CALLS}", f"--output={log}")
    environment = {"DATABASE_URL": fresh_database_url, "ACCEL_REDIRECT_PREFIX": "/_media_files/"}
    with quick_service(tmp_path / "service", environment, prefix=strace) as service:
        async with httpx.AsyncClient(base_url=service.url, headers=service.auth_of(uuid.uuid4()), timeout=30) as client:
            files, data = {"file": ("a.png", png(500, 400))}, {"media_type": "image"}
            media = (await client.post(UPLOAD, files=files, data=data)).json()
            before = len(read_events(log))
            assert (await client.delete(f"/api/v1/media/{media['id']}")).status_code == 200
    events = read_events(log)[before:]
    hidden = [number for number, event in enumerate(events) if event.what == "rename" and "/." in event.path]
    first_commit = next(number for number, event in enumerate(events) if event.what == "COMMIT")
    assert len(hidden) == 2  # with its thumbnail
    assert max(hidden) < first_commit
    assert list(service.upload_dir.rglob("*.png")) == []


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here to make fsync fail; nothing else can")
@pytest.mark.parametrize("number", [2, 4])
async def test_an_fsync_that_fails_is_503_and_keeps_nothing(
    tmp_path: Path, fresh_database_url: str, number: int
) -> None:
    # Counted for each thread: in the one that publishes come the file, its directory, and those above it.
    fault = f"--inject=fsync:error=EIO:when={number}"
    strace = (*STRACE, "--trace=fsync", fault, f"--output={tmp_path / 'calls'}")
    with quick_service(tmp_path / "service", {"DATABASE_URL": fresh_database_url}, prefix=strace) as service:
        async with (
            inspector_of(fresh_database_url, service.upload_dir) as inspector,
            httpx.AsyncClient(base_url=service.url, headers=service.auth_of(uuid.uuid4()), timeout=30) as client,
        ):
            files, data = {"file": ("a.txt", b"text")}, {"media_type": "document"}
            reply = await client.post(UPLOAD, files=files, data=data)
            assert (reply.status_code, reply.json()["code"]) == (503, "storage_unavailable")
            assert (await inspector.settled(within_s=3)).files == set()
            while reply.status_code != 201:  # each thread fails once
                reply = await client.post(UPLOAD, files=files, data=data)
                assert reply.status_code in (201, 503)
            assert len((await inspector.settled(within_s=3)).files) == 1
