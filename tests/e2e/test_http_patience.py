"""Who keeps the server waiting is cut off in time and holds nobody else up."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.edge_server import EdgeServer, edge_server
from tests.fixtures.raw_http import exchange, raw_connection
from tests.fixtures.settings import make_settings

TIMEOUT_S = 0.4
GET = b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeServer]:
    settings = make_settings(
        tmp_path_factory.mktemp("edge"),
        PORT=0,
        HEADER_TIMEOUT_S=TIMEOUT_S,
        KEEP_ALIVE_TIMEOUT_S=TIMEOUT_S,
        SEND_TIMEOUT_S=TIMEOUT_S,
        UPLOAD_IDLE_TIMEOUT_S=TIMEOUT_S,
        UPLOAD_TIMEOUT_S=1.5,
    )
    settings.UPLOAD_DIR.mkdir(exist_ok=True)
    with edge_server(settings) as server:
        yield server


def test_a_silent_connection_is_closed_without_a_word(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        assert connection.is_closed(within_s=TIMEOUT_S * 3)


def test_a_head_that_trickles_in_is_cut_off(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        began_at = time.monotonic()
        connection.send_slowly(b"GET /echo HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 9, pause_s=0.01)
        reply = connection.read_response()
        assert (reply.status, reply.json["code"]) == (408, "request_timeout")
        assert time.monotonic() - began_at < TIMEOUT_S * 3
        assert connection.is_closed(within_s=3)


def test_the_second_head_of_a_connection_has_no_more_time(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(GET)
        assert connection.read_response().status == 200
        connection.send(b"GET /echo HTTP/1.1\r\nHo")
        assert connection.read_response().status == 408


def test_an_idle_connection_is_closed_though_line_ends_keep_coming(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(GET)
        assert connection.read_response().status == 200
        sent = connection.send_slowly(b"\r\n" * 100, pause_s=0.05)
        assert sent * 0.05 < TIMEOUT_S * 4


def test_a_body_that_stops_is_answered_and_the_application_told(edge: EdgeServer) -> None:
    disconnects = edge.seen.disconnects
    with raw_connection(edge.port) as connection:
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        reply = connection.read_response()
        assert (reply.status, reply.json["code"]) == (408, "request_timeout")
        assert len(reply.headers["x-request-id"]) == 32
        assert connection.is_closed(within_s=3)
    # The application wakes up one turn of the loop after the answer has gone out.
    deadline = time.monotonic() + 3
    while edge.seen.disconnects == disconnects and time.monotonic() < deadline:
        time.sleep(0.01)
    assert edge.seen.disconnects == disconnects + 1


def test_a_body_that_trickles_on_has_an_end(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
        began_at = time.monotonic()
        connection.send_slowly(b"x" * 25, pause_s=0.07)
        assert connection.read_response().status == 408
        assert time.monotonic() - began_at < 4


def test_a_body_that_trickles_is_cut_long_before_its_last_moment(tmp_path: Path) -> None:
    settings = make_settings(
        tmp_path, PORT=0, UPLOAD_IDLE_TIMEOUT_S=TIMEOUT_S, UPLOAD_TIMEOUT_S=3600, UPLOAD_MIN_BYTES_PER_S=1024
    )
    settings.UPLOAD_DIR.mkdir()
    with edge_server(settings) as server, raw_connection(server.port) as connection:
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
        sent = 0
        while not connection.has_input(within_s=0.05):
            connection.send(b"x")
            sent += 1
        assert connection.read_response().status == 408
        assert sent < 200


def test_a_request_that_has_its_answer_gets_no_second_one(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
        assert connection.read_response().status == 401
        assert connection.socket.recv(1000) == b""


def test_an_upload_that_stops_gets_the_answer_of_the_upload(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(
            b"POST /upload?name=stall HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
            b"Content-Type: multipart/form-data; boundary=B\r\n\r\n--B\r\n"
        )
        reply = connection.read_response()
        assert (reply.status, reply.json["detail"]) == (408, "The request body arrived too slowly.")


def test_a_reader_who_takes_nothing_is_cut_off(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(TIMEOUT_S * 3)
        received = 0
        with contextlib.suppress(ConnectionError):
            while data := connection.socket.recv(1 << 20):
                received += len(data)
        assert received < 64 * 1024 * 1024


def test_a_reader_who_is_slow_but_reads_is_served(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        received = 0
        while received < 64 * 1024 * 1024:
            data = connection.socket.recv(4 * 1024 * 1024)
            assert data, "cut off"
            received += len(data)
            time.sleep(0.02)


def test_others_are_served_while_many_dawdle(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as slow_head, raw_connection(edge.port) as slow_body:
        slow_head.send(b"GET /ec")
        slow_body.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        began_at = time.monotonic()
        reply = exchange(edge.port, GET)
        assert reply is not None
        assert reply.status == 200
        assert time.monotonic() - began_at < TIMEOUT_S
