"""SIGTERM: what runs is finished and kept, what is new is sent away, and the database goes last."""

import asyncio
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.embedded import EmbeddedPostgres
from app.core.staging import STAGING_DIRECTORY
from tests.fixtures.live_service import CommandLineService, LiveService, LiveServiceFactory
from tests.fixtures.multipart_bodies import CONTENT_TYPE, END, field_part, file_part
from tests.fixtures.raw_http import RawConnection, RawResponse, exchange, raw_connection
from tests.fixtures.trees import files_below

DATA = b"some text " * 300_000  # half of it is more than what waits in memory before it is staged
BODY = field_part("media_type", "document") + file_part(DATA, filename=b"a.txt") + END


def upload_head(service: LiveService) -> bytes:
    authorization = service.auth_of(uuid.uuid4())["Authorization"]
    return (
        f"POST /api/v1/media/upload HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    ).encode()


def get(port: int, path: str) -> RawResponse | None:
    return exchange(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def started_upload(service: LiveService, connection: RawConnection) -> None:
    """Half of an upload is on its way, and has been let in."""
    connection.send(upload_head(service) + BODY[: len(BODY) // 2])
    wait_for(lambda: any((service.upload_dir / STAGING_DIRECTORY).glob("*/*/incoming")))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def is_unready(service: LiveService) -> bool:
    reply = get(service.port, "/readyz")
    assert reply is not None, "the port was closed before /readyz said so"
    return reply.status == 503 and '"server":"shutting_down"' in reply.body.decode()


@pytest.mark.parametrize(
    ("kind", "environment"),
    [(LiveService, {}), (CommandLineService, {"WORKERS": "2"}), (CommandLineService, {"DATABASE_URL": ""})],
    ids=["one", "two workers", "embedded database"],
)
def test_a_running_upload_is_finished_and_a_new_one_is_sent_away(
    make_live_service: LiveServiceFactory, tmp_path: Path, kind: type[LiveService], environment: dict[str, str]
) -> None:
    service = make_live_service(kind, **environment)
    assert service.process is not None
    with raw_connection(service.port, timeout_s=20) as slow:
        started_upload(service, slow)
        service.process.terminate()
        wait_for(lambda: is_unready(service))
        refused = exchange(service.port, upload_head(service) + BODY)
        assert refused is not None
        assert (refused.status, refused.json["code"]) == (503, "shutting_down")
        assert refused.headers["connection"] == "close"
        assert int(refused.headers["retry-after"]) > 0

        time.sleep(1)
        slow.send(BODY[len(BODY) // 2 :])
        reply = slow.read_response()
    assert service.process.wait(20) == 0
    log = service.log_path.read_text()
    assert "database_unavailable" not in log, "the database went before the last request"
    assert "Traceback" not in log
    if environment.get("DATABASE_URL") == "":
        data = tmp_path / "service-0" / "data"
        assert not (data / "postgres" / "postmaster.pid").exists()
        assert "database system is shut down" in (data / "postgres.log").read_text()
    assert (reply.status, reply.headers["connection"]) == (201, "close")
    url = str(reply.json["url"])
    assert (service.upload_dir / url.partition("/files/")[2]).read_bytes() == DATA


def test_an_upload_that_outlasts_the_grace_leaves_nothing(make_live_service: LiveServiceFactory) -> None:
    service = make_live_service(SHUTDOWN_GRACE_S="1")
    with raw_connection(service.port, timeout_s=20) as slow:
        started_upload(service, slow)
        assert service.stop(20) == 0
    assert files_below(service.upload_dir) == []


async def test_the_start_waits_for_the_database_and_says_so(
    own_postgres: EmbeddedPostgres, make_live_service: LiveServiceFactory, tmp_path: Path
) -> None:
    own_postgres.stop()
    starting = asyncio.create_task(asyncio.to_thread(make_live_service, DATABASE_URL=own_postgres.url))
    await said(tmp_path / "service-0" / "service.log", "database.waiting")
    assert not starting.done()
    own_postgres.start()
    await starting


async def said(log_path: Path, event: str) -> None:
    """Wait until the log speaks of `event`."""
    deadline = time.monotonic() + 20
    while not await asyncio.to_thread(lambda: log_path.exists() and event in log_path.read_text()):
        assert time.monotonic() < deadline, f"nothing was said of {event}"
        await asyncio.sleep(0.1)


async def test_the_start_does_not_wait_for_ever(own_postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    own_postgres.stop()
    environment = {"DATABASE_URL": own_postgres.url, "DATABASE_STARTUP_TIMEOUT_S": "1"}
    service = LiveService(tmp_path, environment)
    ended = await asyncio.to_thread(service.command, "serve")
    assert ended.returncode != 0
    assert "The database cannot be reached" in ended.stderr
