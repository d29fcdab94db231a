"""How an answer goes onto the wire: head and small body in one piece, and no head waits for a late body."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.edge_server import EdgeServer, edge_server
from tests.fixtures.raw_http import raw_connection
from tests.fixtures.settings import make_settings


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeServer]:
    directory: Path = tmp_path_factory.mktemp("edge")
    with edge_server(make_settings(directory)) as running:
        yield running


def test_a_small_answer_is_one_piece(server: EdgeServer) -> None:
    with raw_connection(server.port) as connection:
        for _ in range(20):
            connection.send(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
            first_piece = connection.socket.recv(65536)
            head, _, body = first_piece.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert body == b'{"bytes":0}'


def test_a_large_answer_is_whole(server: EdgeServer) -> None:
    with raw_connection(server.port) as connection:
        connection.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.read_response().body == b"x" * (1024 * 65536)


def test_a_head_does_not_wait_for_a_slow_body(server: EdgeServer) -> None:
    with raw_connection(server.port) as connection:
        connection.send(b"GET /slow-body HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.socket.recv(65536).endswith(b"\r\n\r\n")
        assert connection.socket.recv(65536) == b"4\r\nslow\r\n0\r\n\r\n"


def test_a_100_continue_goes_ahead_of_the_answer(server: EdgeServer) -> None:
    with raw_connection(server.port) as connection:
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert connection.socket.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(b"ab")
        assert connection.read_response().status == 200


def test_an_answer_that_ends_the_connection_arrives_before_the_end(server: EdgeServer) -> None:
    with raw_connection(server.port) as connection:
        connection.send(b"HEAD /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.read_response(to_head=True).status == 200
        assert connection.is_closed(within_s=2)
