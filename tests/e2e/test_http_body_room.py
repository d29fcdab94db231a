"""A large body goes straight into the memory that its reader lends, and the connection behaves as with any other."""

import hashlib
import random
import struct
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import cast

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api.middleware import add_middleware
from app.core.uploads.body_room import body_room
from app.server.server import MediaConfig, MediaServer
from tests.fixtures.edge_server import in_thread
from tests.fixtures.live_service import LiveService
from tests.fixtures.raw_http import RawConnection, raw_connection
from tests.fixtures.settings import make_settings

MIB = 1024 * 1024
ROOM_BYTES = 256 * 1024
BODY = bytes(range(251)) * 20_000  # five million, and no two neighbouring rooms are alike
TIMEOUT_S = 0.6


@dataclass
class Reader:
    """Reads bodies into rooms; `pieces` are the sizes of what came in one."""

    pieces: list[int] = field(default_factory=list)
    plain_bytes: int = 0
    was_offered: bool = False
    disconnects: int = 0

    async def read(self, request: Request) -> Response:
        """Lend room for every message, or for the first `rooms` of them; give up after `enough` bytes."""
        self.pieces, self.plain_bytes = [], 0
        rooms, enough = (int(request.query_params.get(name, 10**9)) for name in ("rooms", "enough"))
        offer = body_room(request.scope)
        self.was_offered = offer is not None
        digest, size = hashlib.sha256(), 0
        if offer is not None:
            offer.lend(memoryview(bytearray(ROOM_BYTES)))
        try:
            async for chunk in cast("AsyncIterator[bytes | memoryview]", request.stream()):
                digest.update(chunk)
                size += len(chunk)
                if isinstance(chunk, memoryview):
                    self.pieces.append(len(chunk))
                else:
                    self.plain_bytes += len(chunk)
                if size >= enough:
                    return JSONResponse({"code": "enough"}, 400)
                if offer is not None and len(self.pieces) < rooms:
                    offer.lend(memoryview(bytearray(ROOM_BYTES)))
        except ClientDisconnect:
            self.disconnects += 1
            raise
        return JSONResponse({"bytes": size, "sha256": digest.hexdigest()})


@dataclass(frozen=True)
class RoomServer:
    """A running server and what reads its bodies."""

    port: int
    reader: Reader


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoomServer]:
    # The server's own patience with a body is 1.5 times the idle time and 1.1 times the whole of an upload.
    settings = make_settings(tmp_path_factory.mktemp("room"), PORT=0, UPLOAD_IDLE_TIMEOUT_S=TIMEOUT_S)
    reader = Reader()

    def make_app() -> Starlette:
        app = Starlette(routes=[Route("/read", reader.read, methods=["GET", "POST"])])
        add_middleware(app)
        return app

    with in_thread(MediaServer(MediaConfig(settings, make_app))) as (port, _):
        yield RoomServer(port, reader)


@pytest.fixture
def connection(served: RoomServer) -> Iterator[RawConnection]:
    with raw_connection(served.port) as connection:
        yield connection


def head(length: int, *, path: str = "/read", more: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%b\r\n" % (path.encode(), length, more)


def read_whole(connection: RawConnection, body: bytes = BODY) -> None:
    reply = connection.read_response()
    assert (reply.status, reply.json) == (200, {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()})


def test_a_large_body_arrives_byte_for_byte_and_fills_the_rooms(served: RoomServer, connection: RawConnection) -> None:
    connection.send(head(len(BODY)) + BODY)
    read_whole(connection)
    assert served.reader.pieces.count(ROOM_BYTES) >= len(served.reader.pieces) - 2
    assert sum(served.reader.pieces) > len(BODY) // 2


def test_the_head_may_come_alone(served: RoomServer, connection: RawConnection) -> None:
    connection.send(head(len(BODY)))
    time.sleep(0.1)
    connection.send(BODY)
    read_whole(connection)
    assert (sum(served.reader.pieces), served.reader.plain_bytes) == (len(BODY), 0)


def test_small_and_chunked_bodies_are_offered_no_room(served: RoomServer, connection: RawConnection) -> None:
    connection.send(head(5) + b"hello")
    read_whole(connection, b"hello")
    assert not served.reader.was_offered
    connection.send(b"POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))
    read_whole(connection)
    assert not served.reader.was_offered


def test_one_connection_takes_large_bodies_and_small_requests_in_turn(connection: RawConnection) -> None:
    for _ in range(3):
        connection.send(head(len(BODY)) + BODY)
        read_whole(connection)
        connection.send(b"GET /read HTTP/1.1\r\nHost: x\r\n\r\n")
        read_whole(connection, b"")


def test_requests_that_follow_without_waiting_are_answered_in_order(connection: RawConnection) -> None:
    requests = head(len(BODY)) + BODY + head(5) + b"hello" + head(len(BODY) - 1) + BODY[1:] + head(3) + b"end"
    sender = threading.Thread(target=connection.send, args=(requests,))
    sender.start()
    for body in (BODY, b"hello", BODY[1:], b"end"):
        read_whole(connection, body)
    sender.join()


def test_a_slow_client_is_heard_before_its_room_is_full(served: RoomServer, connection: RawConnection) -> None:
    connection.send(head(2 * MIB))
    for _ in range(4):
        connection.send(b"x" * 1000)
        time.sleep(TIMEOUT_S * 0.75)  # longer than the server would wait for a sign of life, all in all
    assert sum(served.reader.pieces) >= 3000
    connection.send(b"x" * (2 * MIB - 4000))
    read_whole(connection, b"x" * 2 * MIB)


def test_a_body_that_stops_coming_is_answered_408(connection: RawConnection) -> None:
    connection.send(head(len(BODY)) + BODY[: 3 * MIB])
    reply = connection.read_response()
    assert (reply.status, reply.json["code"]) == (408, "request_timeout")
    assert connection.is_closed(within_s=4)


def test_a_reader_that_lends_no_more_gets_the_rest_as_bytes(served: RoomServer, connection: RawConnection) -> None:
    connection.send(head(len(BODY), path="/read?rooms=2"))
    connection.send(BODY)
    read_whole(connection)
    assert (len(served.reader.pieces), served.reader.plain_bytes > 4 * MIB) == (2, True)


def test_a_client_in_the_middle_of_sending_can_read_an_early_answer(connection: RawConnection) -> None:
    connection.send(head(100 * MIB, path="/read?enough=3000000"))
    sent = connection.send_until_refused(b"x" * 65536, at_most_bytes=100 * MIB)
    reply = connection.read_response()
    assert (reply.status, reply.json, reply.headers["connection"]) == (400, {"code": "enough"}, "close")
    assert sent < 100 * MIB
    assert connection.is_closed(within_s=4)


def test_who_expects_100_gets_it_when_the_body_is_wanted(served: RoomServer, connection: RawConnection) -> None:
    connection.send(head(len(BODY), more=b"Expect: 100-continue\r\n"))
    assert connection.read_response().status == 100
    connection.send(BODY)
    read_whole(connection)
    assert served.reader.plain_bytes == 0


def test_a_client_that_hangs_up_in_the_middle_is_noticed(served: RoomServer) -> None:
    before = served.reader.disconnects
    with raw_connection(served.port) as connection:
        connection.send(head(len(BODY)) + BODY[: 2 * MIB])
    deadline = time.monotonic() + 5
    while served.reader.disconnects == before:
        assert time.monotonic() < deadline, "the reader still waits"
        time.sleep(0.01)


def test_a_long_number_as_length_is_refused(connection: RawConnection) -> None:
    connection.send(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: %b\r\n\r\n" % (b"9" * 6000))
    assert connection.read_response().status == 400


async def test_a_large_upload_to_the_service_comes_back_byte_for_byte(live_service: LiveService) -> None:
    sound = random.Random(7).randbytes(20 * MIB)
    wave = b"RIFF%bWAVEfmt %b" % (
        struct.pack("<I", len(sound) + 36),
        struct.pack("<IHHIIHH", 16, 1, 2, 48000, 192000, 4, 16),
    )
    wave += b"data" + struct.pack("<I", len(sound)) + sound
    async with httpx.AsyncClient(timeout=60) as client:
        reply = await client.post(
            f"{live_service.url}/api/v1/media/upload",
            files={"file": ("noise.wav", wave)},
            data={"media_type": "audio"},
            headers=live_service.auth_of(uuid.uuid4()),
        )
        stored = await client.get(reply.json()["url"])
    assert (reply.status_code, reply.json()["checksum_sha256"]) == (201, hashlib.sha256(wave).hexdigest())
    assert stored.content == wave
