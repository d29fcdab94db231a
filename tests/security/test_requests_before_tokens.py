"""On the running service: 401 comes before any body byte, and a body is cut off at its limit with nothing left behind.

How the server does it in every detail is shown in tests/e2e/test_http_early_answers.py and tests/core; here the real
routes are wired to it.
"""

import socket
import struct
import time
from collections.abc import Callable

import pytest

from tests.fixtures.multipart_bodies import CONTENT_TYPE, field_part, file_part
from tests.fixtures.raw_http import RawConnection, exchange, raw_connection
from tests.security.conftest import IMAGE_LIMIT_BYTES, MIB, UPLOAD_LIMIT_BYTES, Target

CONTENT_ID = "11111111-1111-4111-8111-111111111111"
UPLOADS = [b"/api/v1/media/upload", f"/api/v1/media/content/{CONTENT_ID}/upload".encode()]
FORM = f"Content-Type: {CONTENT_TYPE}\r\n".encode()
IMAGE_FIRST = field_part("media_type", "image") + file_part(b"").removesuffix(b"\r\n")
FILE_FIRST = file_part(b"").removesuffix(b"\r\n")
JPEG_HEAD = bytes.fromhex("ffd8ffe000104a46494600010101006000600000")
PIECE = b"10000\r\n" + b"x" * 65_536 + b"\r\n"


def post(path: bytes, *lines: bytes) -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + b"".join(lines) + b"\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def assert_unauthenticated(connection: RawConnection) -> None:
    reply = connection.read_response()
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert reply.headers["connection"] == "close"


class TestWithoutAToken:
    @pytest.mark.parametrize("path", UPLOADS)
    @pytest.mark.parametrize(
        "framing",
        [
            b"Content-Length: 4000000\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Content-Length: 4000000\r\nExpect: 100-continue\r\n",
            b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n",
        ],
        ids=["declared", "chunked", "declared and waiting", "chunked and waiting"],
    )
    def test_the_answer_comes_before_the_first_body_byte(self, target: Target, path: bytes, framing: bytes) -> None:
        with raw_connection(target.port) as connection:
            connection.send(post(path, FORM, framing))
            assert_unauthenticated(connection)

    def test_a_bad_token_is_no_better(self, target: Target) -> None:
        with raw_connection(target.port) as connection:
            connection.send(post(UPLOADS[0], FORM, b"Authorization: Bearer x.y.z\r\n", b"Content-Length: 4000000\r\n"))
            assert_unauthenticated(connection)

    def test_what_is_sent_all_the_same_is_not_taken_in(self, target: Target) -> None:
        before = target.files()
        with raw_connection(target.port) as connection:
            connection.send(post(UPLOADS[0], FORM, b"Transfer-Encoding: chunked\r\n"))
            sent = connection.send_until_refused(PIECE, at_most_bytes=100 * MIB)
            assert_unauthenticated(connection)
        assert sent < 16 * MIB, "what fits into the socket buffers, and one MiB"
        assert target.files() == before

    @pytest.mark.parametrize(
        "path", [b"/api/v1/media/" + CONTENT_ID.encode(), b"/api/v1/content/" + CONTENT_ID.encode()]
    )
    def test_other_bodies_are_not_read_either(self, target: Target, path: bytes) -> None:
        request = post(path, b"Content-Type: application/json\r\n", b"Content-Length: 4000000\r\n")
        with raw_connection(target.port) as connection:
            connection.send(request.replace(b"POST", b"PUT", 1))
            assert_unauthenticated(connection)


class TestWithAToken:
    @pytest.mark.parametrize("length", [b"10000000", b"99999999999", b"9223372036854775807"])
    @pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
    def test_a_declared_length_over_the_limit_is_refused_at_once(
        self, target: Target, length: bytes, expect: bytes
    ) -> None:
        with raw_connection(target.port) as connection:
            connection.send(post(UPLOADS[0], FORM, target.bearer_line, b"Content-Length: " + length + b"\r\n", expect))
            reply = connection.read_response()
            assert (reply.status, reply.json["code"]) == (413, "body_too_large")
            assert reply.headers["connection"] == "close"
            assert connection.is_closed(within_s=4)

    @pytest.mark.parametrize(
        ("head", "limit_bytes", "code"),
        [
            (IMAGE_FIRST, IMAGE_LIMIT_BYTES, "file_too_large"),
            (FILE_FIRST + JPEG_HEAD, IMAGE_LIMIT_BYTES, "file_too_large"),
            (FILE_FIRST, UPLOAD_LIMIT_BYTES, "body_too_large"),
        ],
        ids=["type first", "type from the first bytes", "type unknown"],
    )
    def test_a_body_without_a_length_is_cut_at_the_limit_while_it_streams(
        self, target: Target, head: bytes, limit_bytes: int, code: str
    ) -> None:
        before = target.files()
        with raw_connection(target.port) as connection:
            connection.send(post(UPLOADS[0], FORM, target.bearer_line, b"Transfer-Encoding: chunked\r\n") + chunk(head))
            sent = 0
            while sent <= 20 * MIB and not connection.has_input(within_s=0.02 if sent > limit_bytes else 0):
                connection.send(PIECE)
                sent += 65_536
            reply = connection.read_response()
            assert reply.json["code"] == code
            assert sent <= limit_bytes + 3 * MIB
            assert connection.is_closed(within_s=4)
        assert target.files() == before

    @pytest.mark.parametrize("how", ["closed", "reset", "silent"])
    def test_a_body_that_breaks_off_leaves_nothing(self, target: Target, how: str) -> None:
        before, rows = target.files(), target.media_count()
        with raw_connection(target.port) as connection:
            connection.send(post(UPLOADS[0], FORM, target.bearer_line, b"Content-Length: 2000000\r\n") + IMAGE_FIRST)
            connection.send(b"x" * 1_500_000)
            _until(lambda: len(target.files()) > len(before))
            if how == "reset":
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if how == "silent":
                assert connection.read_response().status == 408
        _until(lambda: target.files() == before)
        assert target.media_count() == rows

    def test_an_unknown_content_is_404_before_the_body(self, target: Target) -> None:
        with raw_connection(target.port) as connection:
            connection.send(post(UPLOADS[1], FORM, target.bearer_line, b"Content-Length: 1000000\r\n"))
            assert connection.read_response().status == 404


class TestMethodsAndHeads:
    @pytest.mark.parametrize("method", [b"TRACE", b"PATCH", b"OPTIONS", b"PROPFIND"])
    @pytest.mark.parametrize("path", [b"/api/v1/media/", b"/api/v1/media/upload", b"/healthz"])
    def test_a_method_that_no_route_has_is_405_and_echoes_nothing(
        self, target: Target, method: bytes, path: bytes
    ) -> None:
        reply = exchange(target.port, method + b" " + path + b" HTTP/1.1\r\nHost: x\r\nX-Secret: shown?\r\n\r\n")
        assert reply is not None
        assert reply.status == 405
        assert b"shown?" not in reply.body
        assert "GET" in reply.headers["allow"]

    def test_allow_names_every_method_of_the_path(self, target: Target) -> None:
        path = b"/api/v1/media/" + CONTENT_ID.encode()
        reply = exchange(target.port, b"PATCH " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert reply is not None
        assert reply.headers["allow"] == "GET, HEAD, PUT, DELETE"

    @pytest.mark.parametrize(
        ("request_bytes", "status"),
        [
            (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
            (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", 431),
            (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 500 + b"\r\n", 431),
            (post(UPLOADS[0], b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + b"0\r\n\r\n", 400),
        ],
        ids=["target", "field", "fields", "two framings"],
    )
    def test_an_oversized_or_ambiguous_head_is_refused(self, target: Target, request_bytes: bytes, status: int) -> None:
        reply = exchange(target.port, request_bytes)
        assert reply is not None
        assert reply.status == status
        assert reply.json["code"]


def _until(condition: Callable[[], bool], *, timeout_s: float = 8) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
