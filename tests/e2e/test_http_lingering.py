"""A refusal reaches clients that read it only when they have sent everything; how long we listen to them is bounded."""

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest

from app.server import lingering, patience
from app.server.lingering import LINGERING_CONNECTIONS
from tests.fixtures.edge_server import EdgeServer, edge_server
from tests.fixtures.raw_http import RawConnection, raw_connection
from tests.fixtures.settings import make_settings

MIB = 1024 * 1024
BODY = b"x" * (20 * MIB)
TIMES = 5


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeServer]:
    settings = make_settings(tmp_path_factory.mktemp("edge"), PORT=0, MAX_UPLOAD_SIZE=4 * MIB)
    settings.UPLOAD_DIR.mkdir(exist_ok=True)
    with edge_server(settings) as server:
        yield server


HEADERS: dict[str, dict[str, str]] = {
    "as it is": {},
    "the last of its connection": {"Connection": "close"},
    "after a 100 that never came": {"Expect": "100-continue"},
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
@pytest.mark.parametrize("path", ["/refuse", "/refuse-in-pieces"])
def test_http_client_reads_the_refusal_after_all_it_had_to_send(
    edge: EdgeServer, path: str, headers: dict[str, str]
) -> None:
    for _ in range(TIMES):
        connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=20)
        connection.request("POST", path, BODY, headers)
        assert connection.getresponse().status == 401
        connection.close()


def test_http_client_reads_the_refusal_of_chunks(edge: EdgeServer) -> None:
    for _ in range(TIMES):
        connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=20)
        connection.request("POST", "/refuse", iter([BODY[:MIB]] * 20), encode_chunked=True)
        assert connection.getresponse().status == 401
        connection.close()


def test_httpx_reads_the_refusal(edge: EdgeServer) -> None:
    for _ in range(TIMES):
        assert httpx.post(f"http://127.0.0.1:{edge.port}/refuse", content=BODY).status_code == 401


async def test_async_httpx_reads_the_refusal(edge: EdgeServer) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{edge.port}") as client:
        for _ in range(TIMES):
            assert (await client.post("/refuse", content=BODY)).status_code == 401


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
def test_curl_reads_the_refusal(edge: EdgeServer, version: str) -> None:
    for _ in range(TIMES):
        command = ["curl", "-sS", "-m", "20", version, "-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect:"]
        url = f"http://127.0.0.1:{edge.port}/refuse"
        done = subprocess.run([*command, "--data-binary", "@-", url], input=BODY, capture_output=True, check=False)
        assert (done.stdout, done.stderr) == (b"401", b"")


@pytest.mark.parametrize("size_bytes", [1, 1000, 65_536, 65_537, 2 * MIB, 20 * MIB])
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_who_sends_everything_and_then_reads_gets_the_whole_refusal_and_the_end(
    edge: EdgeServer, version: bytes, size_bytes: int
) -> None:
    with raw_connection(edge.port, timeout_s=20) as connection:
        connection.send(
            b"POST /refuse HTTP/%b\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            % (version, size_bytes)
        )
        time.sleep(0.02)  # the answer goes out before the body comes
        connection.send(BODY[:size_bytes])
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.read_response().status == 401
        assert connection.socket.recv(1) == b""


def test_a_refusal_in_the_middle_of_a_body_that_went_past_the_parser(edge: EdgeServer) -> None:
    form = b'--B\r\nContent-Disposition: form-data; name="media_type"\r\n\r\nimage\r\n'
    form += b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    for number in range(TIMES):
        connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=20)
        headers = {"Content-Type": "multipart/form-data; boundary=B"}
        connection.request("POST", f"/upload?name=lingering-{number}", form + BODY, headers)
        reply = connection.getresponse()
        assert reply.status in {400, 413}
        connection.close()


# -- and it has an end -------------------------------------------------------------------------------------------------


def refused(edge: EdgeServer, stack: ExitStack) -> RawConnection:
    """A connection that has its refusal and may go on sending."""
    connection = stack.enter_context(raw_connection(edge.port, timeout_s=20))
    connection.send(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n")
    assert connection.read_response().status == 401
    return connection


def bytes_taken(connection: RawConnection, *, at_most_bytes: int, pause_s: float = 0.0) -> int:
    sent = 0
    with suppress(OSError):
        while sent < at_most_bytes:
            connection.send(BODY[: 4 * MIB] if not pause_s else b"x")
            sent += 4 * MIB if not pause_s else 1
            time.sleep(pause_s)
    return sent


def test_who_sends_without_an_end_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_LINGER_BYTES", 32 * MIB)
    settings = make_settings(tmp_path_factory.mktemp("edge"), PORT=0, MAX_UPLOAD_SIZE=4 * MIB)
    with edge_server(settings) as edge, ExitStack() as stack:
        taken = bytes_taken(refused(edge, stack), at_most_bytes=500 * MIB)
        assert 32 * MIB <= taken < 100 * MIB  # what the sockets' buffers hold comes on top


def test_who_says_nothing_more_is_cut_off(edge: EdgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering, "_IDLE_S", 0.2)
    with ExitStack() as stack:
        connection = refused(edge, stack)
        time.sleep(0.5)
        with pytest.raises(OSError):  # a reset: nobody is there any more
            bytes_taken_strictly(connection)


def test_who_trickles_is_cut_off(edge: EdgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering, "_TOTAL_S", 0.3)
    with ExitStack() as stack:
        began_at = time.monotonic()
        bytes_taken(refused(edge, stack), at_most_bytes=1000, pause_s=0.02)
        assert 0.25 < time.monotonic() - began_at < 5


def test_the_oldest_makes_room_for_a_newer_one(edge: EdgeServer) -> None:
    with ExitStack() as stack:
        first = refused(edge, stack)
        others = [refused(edge, stack) for _ in range(LINGERING_CONNECTIONS)]
        with pytest.raises(OSError):
            bytes_taken_strictly(first)
        others[0].send(b"x" * 1000)
        time.sleep(0.05)
        others[0].send(b"x" * 1000)  # still listened to


def bytes_taken_strictly(connection: RawConnection) -> None:
    for _ in range(50):
        connection.send(b"x")
        time.sleep(0.02)
