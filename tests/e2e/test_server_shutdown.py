"""SIGTERM: what runs is finished, what is new is sent away, and the process ends with 0; crashed workers come back."""

import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fixtures.nursery import Forked, shared_nursery
from tests.fixtures.raw_http import RawConnection, exchange, raw_connection
from tests.fixtures.settings import SECRET

SERVE = "tests.fixtures.edge_server:serve_alone"
GET = b"GET /slow?s=0 HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass(frozen=True)
class Service:
    """A server process of its own."""

    process: Forked
    port: int

    def terminate(self) -> float:
        self.process.send_signal(signal.SIGTERM)
        return time.monotonic()


@contextmanager
def service(directory: Path, **environment: str) -> Iterator[Service]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        process = shared_nursery().start(
            [],
            entry=SERVE,
            environment={"PORT": str(port), "AUTH_SECRET": SECRET, "UPLOAD_DIR": str(directory)}
            | {"DATA_DIR": str(directory)}
            | environment,
            directory=directory,
            output=log,
            error=log,
        )
    try:
        wait_for(lambda: answers(port))
        yield Service(process, port)
    finally:
        process.kill()
        process.wait(10)


def answers(port: int) -> bool:
    try:
        reply = exchange(port, GET)
    except OSError:
        return False
    return reply is not None and reply.status == 200


def wait_for(condition: Callable[[], bool], *, within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_an_idle_service_ends_soon_and_with_zero(tmp_path: Path) -> None:
    with service(tmp_path) as running, raw_connection(running.port) as idle:
        idle.send(GET)
        assert idle.read_response().status == 200
        began_at = running.terminate()
        assert running.process.wait(10) == 0
        assert time.monotonic() - began_at < 4


def test_what_runs_is_finished_and_existing_connections_learn_of_the_end(tmp_path: Path) -> None:
    with service(tmp_path) as running, raw_connection(running.port) as busy, raw_connection(running.port) as other:
        busy.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf ")
        other.send(GET)
        assert other.read_response().headers["x-draining"] == "False"
        running.terminate()
        time.sleep(0.4)
        other.send(GET)
        reply = other.read_response()
        assert (reply.headers["x-draining"], reply.headers["connection"]) == ("True", "close")
        time.sleep(1.5)
        busy.send(b"done.")
        assert busy.read_response().json == {"bytes": 10}
        assert running.process.wait(10) == 0


def test_what_outlasts_the_grace_is_told_and_cut_off(tmp_path: Path) -> None:
    with service(tmp_path, SHUTDOWN_GRACE_S="1") as running, raw_connection(running.port) as busy:
        busy.send(b"GET /slow?s=60 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        running.terminate()
        reply = busy.read_response()
        assert (reply.status, reply.json["code"]) == (503, "shutting_down")
        assert running.process.wait(10) == 0


def test_a_port_in_use_is_exit_code_3(tmp_path: Path) -> None:
    with service(tmp_path) as running:
        environment = {"PORT": str(running.port), "AUTH_SECRET": SECRET}
        second = shared_nursery().run([], entry=SERVE, environment=environment, directory=tmp_path, timeout_s=20)
        assert second.returncode == 3


def test_several_workers_end_with_zero(tmp_path: Path) -> None:
    with service(tmp_path, WORKERS="2") as running, raw_connection(running.port) as busy:
        busy.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf ")
        time.sleep(0.2)
        running.terminate()
        time.sleep(0.5)
        busy.send(b"done.")
        assert busy.read_response().status == 200
        assert running.process.wait(15) == 0
        assert not accepts(running.port)


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    with service(tmp_path, WORKERS="2") as running:
        wait_for(lambda: len(children_of(running.process.pid)) == 2)
        victim = children_of(running.process.pid)[0]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: len([pid for pid in children_of(running.process.pid) if pid != victim]) == 2)
        wait_for(lambda: answers(running.port))
        running.terminate()
        assert running.process.wait(15) == 0


def test_workers_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    with service(tmp_path, WORKERS="2") as running:
        wait_for(lambda: len(children_of(running.process.pid)) == 2)
        running.process.kill()
        wait_for(lambda: not accepts(running.port))


def accepts(port: int) -> bool:
    try:
        RawConnection(port).close()
    except OSError:
        return False
    return True


def children_of(pid: int) -> list[int]:
    """The worker processes of a supervisor."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
