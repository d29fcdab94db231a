"""An answer that comes before the body's end reaches the client, and next to nothing more is read."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.fixtures.edge_server import EdgeServer, edge_server
from tests.fixtures.raw_http import raw_connection
from tests.fixtures.settings import make_settings

MIB = 1024 * 1024
HEAD = b"Content-Type: multipart/form-data; boundary=B\r\n"
FILE_FIRST = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
IMAGE_FIRST = b'--B\r\nContent-Disposition: form-data; name="media_type"\r\n\r\nimage\r\n' + FILE_FIRST


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeServer]:
    settings = make_settings(tmp_path_factory.mktemp("edge"), PORT=0, MAX_IMAGE_SIZE=MIB, MAX_UPLOAD_SIZE=4 * MIB)
    settings.UPLOAD_DIR.mkdir(exist_ok=True)
    with edge_server(settings) as server:
        yield server


def test_the_answer_comes_before_any_byte_of_a_declared_body(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n")
        reply = connection.read_response()
        assert (reply.status, reply.headers["connection"]) == (401, "close")
        assert connection.is_closed(within_s=3)


def test_the_answer_comes_before_any_chunk(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(b"POST /refuse HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert connection.read_response().status == 401


def test_a_client_that_expects_100_is_not_told_to_go_on(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(
            b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.read_response().status == 401
        assert connection.is_closed(within_s=0.5), "there was nothing to drain"


def test_a_client_that_expects_100_gets_it_when_its_body_is_wanted(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert connection.read_response().status == 100
        connection.send(b"hello")
        assert connection.read_response().status == 200


def test_a_client_in_the_middle_of_sending_can_read_the_answer(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n")
        connection.send_until_refused(b"x" * 65536, at_most_bytes=100 * MIB)
        assert connection.read_response().status == 401


def test_an_answer_without_a_length_reaches_the_client_whole(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        connection.send(
            b"POST /refuse-in-pieces HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
        )
        reply = connection.read_response()
        assert (reply.status, reply.body) == (401, b"nope")


def test_a_small_rest_costs_no_connection(edge: EdgeServer) -> None:
    with raw_connection(edge.port) as connection:
        for _ in range(3):
            connection.send(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
            reply = connection.read_response()
            assert (reply.status, reply.headers.get("connection")) == (401, None)


def test_an_image_over_its_limit_is_cut_off_while_it_streams(edge: EdgeServer) -> None:
    edge.seen.body_bytes = 0
    with raw_connection(edge.port) as connection:
        connection.send(b"POST /upload?name=cut HTTP/1.1\r\nHost: x\r\n" + HEAD + b"Content-Length: 104857600\r\n\r\n")
        connection.send(IMAGE_FIRST)
        connection.send_until_refused(b"x" * 65536, at_most_bytes=100 * MIB)
        reply = connection.read_response()
        assert (reply.status, reply.json["code"]) == (400, "file_too_large")
    assert edge.seen.body_bytes < MIB + 512 * 1024


def test_a_body_over_the_limit_without_a_length_is_cut_off(edge: EdgeServer) -> None:
    edge.seen.body_bytes = 0
    with raw_connection(edge.port) as connection:
        connection.send(b"POST /upload?name=chunked HTTP/1.1\r\nHost: x\r\n" + HEAD)
        connection.send(b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(FILE_FIRST), FILE_FIRST))
        connection.send_until_refused(b"10000\r\n" + b"x" * 65536 + b"\r\n", at_most_bytes=100 * MIB)
        reply = connection.read_response()
        assert (reply.status, reply.json["code"]) == (413, "body_too_large")
    assert edge.seen.body_bytes < 4 * MIB + 512 * 1024


def test_httpx_reads_the_answer_while_it_sends(edge: EdgeServer) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1600):
            yield b"x" * 65536

    for path in ("/refuse", "/upload?name=httpx"):
        reply = httpx.post(f"http://127.0.0.1:{edge.port}{path}", content=endless())
        assert reply.status_code in (400, 401)


async def test_async_httpx_reads_the_answer_when_the_rest_is_drained(edge: EdgeServer) -> None:
    # It looks for an answer only when it has sent everything, so what it sends must fit into the drain.
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(16):
            yield b"x" * 65536

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{edge.port}") as client:
        reply = await client.post("/refuse", content=pieces())
        assert reply.status_code == 401


async def test_curl_reads_the_answer_while_it_sends(edge: EdgeServer) -> None:
    # /dev/zero never ends, so without the answer curl would go on for ever.
    curl = await asyncio.create_subprocess_exec(
        "curl", "-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}",
        "-X", "POST", "-H", "Expect:", "-T", "/dev/zero", f"http://127.0.0.1:{edge.port}/refuse",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await curl.communicate()
    assert output == b"401"


def test_a_whole_upload_arrives_and_the_connection_stays(edge: EdgeServer) -> None:
    data = bytes(range(256)) * 3000
    body = IMAGE_FIRST + data + b"\r\n--B--\r\n"
    with raw_connection(edge.port) as connection:
        for name in (b"one", b"two"):
            connection.send(
                b"POST /upload?name=%b HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n" % (name, HEAD, len(body))
            )
            connection.send(body)
            reply = connection.read_response()
            assert reply.status == 201
            assert reply.json == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
