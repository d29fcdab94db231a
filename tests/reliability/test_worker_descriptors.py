"""What a sandbox worker of a running service has open: its own pipes, and nothing that the server has."""

import re
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fixtures.live_service import LiveServiceFactory
from tests.fixtures.raw_http import RawConnection, raw_connection
from tests.fixtures.sandboxes import is_running
from tests.reliability.test_shutdown import started_upload, wait_for


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_worker_holds_what_the_server_has_open(make_live_service: LiveServiceFactory, workers: str) -> None:
    service = make_live_service(WORKERS=workers, PROCESSING_WORKERS=workers)
    wait_for(lambda: len(sandbox_workers(service.pid)) == int(workers))
    listening = listening_inode(service.port)
    for pid in sandbox_workers(service.pid):
        open_now = {int(entry.name): str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
        assert f"socket:[{listening}]" not in open_now.values()
        # The standard three, the two pipes, its own memory, and the lock that heavy jobs share.
        assert sorted(open_now) == [0, 1, 2, 3, 4, 5, 6]
        assert open_now[5] == f"/proc/{pid}/statm"
        assert open_now[6].endswith("/heavy.lock")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_that_ends_takes_no_new_connection(make_live_service: LiveServiceFactory, workers: str) -> None:
    service = make_live_service(WORKERS=workers, PROCESSING_WORKERS=workers)
    wait_for(lambda: len(sandbox_workers(service.pid)) == int(workers))
    assert service.process is not None
    with raw_connection(service.port, timeout_s=20) as slow:
        started_upload(service, slow)
        pids = sandbox_workers(service.pid)
        service.process.terminate()
        # A moment of answers that send clients away, then a closed port, while the upload is still being received.
        began_at = time.monotonic()
        wait_for(lambda: is_refused(service.port))
        assert time.monotonic() - began_at < 8
        assert any(map(is_running, pids)), "the workers were still there"
    assert service.process.wait(30) == 0


def is_refused(port: int) -> bool:
    try:
        RawConnection(port).close()
    except ConnectionRefusedError:
        return True
    return False


def sandbox_workers(pid: int) -> list[int]:
    """The sandbox workers that have come up below the process `pid`."""
    below = [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
             for child in (task / "children").read_text().split()]  # fmt: skip
    found = [child for child in below if "workers.worker import main" in Path(f"/proc/{child}/cmdline").read_text()]
    ready = [child for child in found if "Seccomp:\t2" in Path(f"/proc/{child}/status").read_text()]
    return ready + [worker for child in below if child not in found for worker in sandbox_workers(child)]


def listening_inode(port: int) -> str:
    lines = Path("/proc/net/tcp").read_text().splitlines()
    found = [line.split()[9] for line in lines if re.search(rf"^ *\d+: [0-9A-F]+:{port:04X} [0-9A-F:]+ 0A ", line)]
    assert found
    return found[0]


def test_the_look_at_a_foreign_process_is_real(make_live_service: LiveServiceFactory) -> None:
    service = make_live_service()
    open_now = []
    for entry in Path(f"/proc/{service.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            open_now.append(str(entry.readlink()))
    assert f"socket:[{listening_inode(service.port)}]" in open_now
