"""What is no proper HTTP/1.1 request is refused in our JSON, the connection ends, and nothing is smuggled past."""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fixtures.edge_server import EdgeServer, edge_server
from tests.fixtures.raw_http import exchange, raw_connection
from tests.fixtures.settings import make_settings

HOST = b"Host: x\r\n"
CHUNKED = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def post(*fields: bytes, body: bytes = b"hello") -> bytes:
    return b"\r\n".join([b"POST /echo HTTP/1.1", b"Host: x", *fields, b"", body])


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeServer]:
    with edge_server(make_settings(_directory(tmp_path_factory), PORT=0, MAX_CONNECTIONS=50)) as server:
        yield server


def _directory(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("edge")


AMBIGUOUS = {
    "length and chunked": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunked and length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 6"),
    "the same length twice": post(b"Content-Length: 5", b"Content-Length: 5"),
    "list of lengths": post(b"Content-Length: 5, 5"),
    "negative length": post(b"Content-Length: -5"),
    "signed length": post(b"Content-Length: +5"),
    "hexadecimal length": post(b"Content-Length: 0x5"),
    "empty length": post(b"Content-Length: "),
    "length beyond 64 bits": post(b"Content-Length: 99999999999999999999999"),
    "unknown coding": post(b"Transfer-Encoding: gzip"),
    "unknown coding before chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked not last": post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "almost chunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked after a control": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "chunked in HTTP/1.0": b"POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before the colon": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "folded field": post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"),
    "field that begins with a space": b"GET /echo HTTP/1.1\r\n X: y\r\nHost: x\r\n\r\n",
    "bare line feeds": b"GET /echo HTTP/1.1\nHost: x\n\n",
    "one bare line feed": b"GET /echo HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
    "bare carriage return": b"GET /echo HTTP/1.1\r\nHost: x\rX: y\r\n\r\n",
    "NUL in a value": b"GET /echo HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "field without a colon": b"GET /echo HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "no Host": b"GET /echo HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no version": b"GET /echo\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "unknown method": b"FOO /echo HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT a:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "control in the target": b"GET /ec\x01ho HTTP/1.1\r\nHost: x\r\n\r\n",
    "space in the target": b"GET /ec ho HTTP/1.1\r\nHost: x\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "an Upgrade with a body": post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 5"),
    "chunk size that is no number": CHUNKED + b"ZZ\r\nhello\r\n0\r\n\r\n",
    "negative chunk size": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "chunk size with a prefix": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size beyond 64 bits": CHUNKED + b"FFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    "chunk size line with a bare line feed": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "chunk longer than its size": CHUNKED + b"5\r\nhelloXX0\r\n\r\n",
    "line feed in a chunk extension": CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "endless chunk extension": CHUNKED + b"5;" + b"a" * 2_000_000 + b"\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_a_request_that_servers_could_read_differently_is_refused(edge: EdgeServer, request_bytes: bytes) -> None:
    with raw_connection(edge.port) as connection:
        # What a smuggler would want to be read as the next request.
        connection.send(request_bytes + b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = connection.read_response()
        assert reply.status == 400
        assert reply.json == {"detail": "The request is not valid HTTP/1.1.", "code": "malformed_request"}
        assert reply.headers["connection"] == "close"
        assert reply.headers["content-type"] == "application/json"
        assert len(reply.headers["x-request-id"]) == 32
        assert connection.is_closed(within_s=1)


OVERSIZED = {
    "target": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
    "target without an end": (b"GET /" + b"a" * 500_000, 414, "uri_too_long"),
    "fields": (b"GET /echo HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431, "header_too_large"),
    "field": (b"GET /echo HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 66_000 + b"\r\n\r\n", 431, "header_too_large"),
    "field without an end": (b"GET /echo HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 2_000_000, 431, "header_too_large"),
}


@pytest.mark.parametrize(("request_bytes", "status", "code"), OVERSIZED.values(), ids=OVERSIZED.keys())
def test_an_oversized_head_is_refused(edge: EdgeServer, request_bytes: bytes, status: int, code: str) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(request_bytes)
        reply = connection.read_response()
        assert (reply.status, reply.json["code"]) == (status, code)
        assert len(reply.headers["x-request-id"]) == 32
        assert connection.is_closed(within_s=3)


def test_the_largest_head_allowed_passes(edge: EdgeServer) -> None:
    fields = b"".join(b"X-%d: %b\r\n" % (number, b"y" * 600) for number in range(99))
    reply = exchange(edge.port, b"GET /echo?" + b"q" * 8000 + b" HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n")
    assert reply is not None
    assert reply.status == 200


def test_ordinary_chunk_extensions_and_single_byte_chunks_pass(edge: EdgeServer) -> None:
    edge.seen.body_bytes = 0
    reply = exchange(edge.port, CHUNKED + b"5;name=value\r\nhello\r\n" + b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")
    assert reply is not None
    assert reply.json == {"bytes": 20_005}


def test_trailers_do_not_become_headers(edge: EdgeServer) -> None:
    edge.seen.headers.clear()
    reply = exchange(edge.port, CHUNKED + b"5\r\nhello\r\n0\r\nAuthorization: Bearer x\r\nX-Late: 1\r\n\r\n")
    assert reply is not None
    assert reply.status == 200
    assert [name for name, _ in edge.seen.headers[0]] == [b"host", b"transfer-encoding"]


def test_a_bad_request_behind_a_good_one_does_not_spoil_its_answer(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(b"GET /slow?s=0.2 HTTP/1.1\r\nHost: x\r\n\r\n" + b"nonsense\r\n\r\n")
        assert connection.read_response().body == b"slow"
        assert connection.is_closed(within_s=1)


def test_pipelined_requests_are_answered_in_order(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(b"GET /slow?s=0.1 HTTP/1.1\r\nHost: x\r\n\r\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.read_response().body == b"slow"
        assert connection.read_response().status == 200


def test_a_flood_of_pipelined_requests_ends_with_the_answer_to_the_first(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(b"GET /slow?s=0.1 HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        assert connection.read_response().body == b"slow"
        assert connection.is_closed(within_s=1)


def test_an_upgrade_is_ignored_and_what_follows_is_not_read(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(
            b"GET /slow?s=0.1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        reply = connection.read_response()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert connection.is_closed(within_s=1)


def test_connections_beyond_the_limit_are_told_to_come_back(edge: EdgeServer) -> None:
    connections = [raw_connection(edge.port) for _ in range(50)]
    opened = [connection.__enter__() for connection in connections]
    try:
        for connection in opened:
            connection.send(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.read_response().status == 200
        reply = exchange(edge.port, b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
        assert reply is not None
        assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "service_busy", "2")
        assert len(reply.headers["x-request-id"]) == 32
    finally:
        for connection in opened:
            connection.close()


@pytest.mark.parametrize("sent", [b"", b"GET /ec", b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_connections_that_wait_for_long_make_room(edge: EdgeServer, sent: bytes) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(raw_connection(edge.port)) for _ in range(50)]
        for connection in held:
            connection.send(sent)
            if sent.endswith(b"\r\n\r\n"):
                assert connection.read_response().status == 200
        deadline = time.monotonic() + 10
        while (reply := exchange(edge.port, b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")) is None or reply.status == 503:
            assert time.monotonic() < deadline
        assert reply.status == 200
        assert held[0].is_closed(within_s=3)
        assert not held[-1].is_closed(within_s=0.05)


SENT_ID = b"X-Request-ID: from-the-client.7\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /echo HTTP/1.1\r\n" + SENT_ID + b"\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: x\r\n" + SENT_ID + b"X: " + b"y" * 66_000 + b"\r\n\r\n", 431),
        (CHUNKED.replace(HOST, HOST + SENT_ID) + b"ZZ\r\n", 400),
    ],
)
def test_the_id_that_a_request_was_sent_with_is_in_its_refusal_and_in_the_log(
    edge: EdgeServer, request_bytes: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        reply = exchange(edge.port, request_bytes)
    assert reply is not None
    assert (reply.status, reply.headers["x-request-id"]) == (status, "from-the-client.7")
    lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    (line,) = [line for line in lines if line["event"] == "connection.refused"]
    assert (line["status"], line["request_id"]) == (status, "from-the-client.7")


@pytest.mark.parametrize("sent", [b"X-Request-ID: no spaces\r\n", SENT_ID * 2, b"X-Request-ID:\r\n"])
def test_a_refusal_repeats_no_other_id(edge: EdgeServer, sent: bytes) -> None:
    reply = exchange(edge.port, b"GET /echo HTTP/1.1\r\n" + sent + b"\r\n")
    assert reply is not None
    assert len(reply.headers["x-request-id"]) == 32


def test_garbage_behind_a_request_is_not_said_to_be_that_request(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(b"GET /echo HTTP/1.1\r\n" + HOST + SENT_ID + b"\r\n")
        assert connection.read_response().headers["x-request-id"] == "from-the-client.7"
        connection.send(b"\x16\x03\x01nonsense\r\n\r\n")
        reply = connection.read_response()
        assert reply.status == 400
        assert len(reply.headers["x-request-id"]) == 32
