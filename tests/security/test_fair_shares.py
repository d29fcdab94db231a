"""One user may fill all of his own places, and slow bodies may use up all of their time: others upload as before."""

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.fixtures.live_service import LiveService, LiveServiceFactory
from tests.fixtures.multipart_bodies import CONTENT_TYPE, file_part
from tests.fixtures.pictures import png
from tests.fixtures.raw_http import RawConnection, raw_connection

UPLOAD = "/api/v1/media/upload"
ATTACKER, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
IDLE_S = 1.0


@pytest.fixture
def service(make_live_service: LiveServiceFactory) -> LiveService:
    """Four places, so three for one user; a body has to bring 1 KiB/s, averaged over a second."""
    return make_live_service(
        MAX_CONCURRENT_UPLOADS="4", UPLOAD_IDLE_TIMEOUT_S=str(IDLE_S), UPLOAD_MIN_BYTES_PER_S="1024"
    )


def begin(connection: RawConnection, service: LiveService, user_id: uuid.UUID) -> int:
    """The head of an upload that waits to be asked for its body; the status that comes: 100 when it may begin."""
    connection.send(
        f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nAuthorization: {service.auth_of(user_id)['Authorization']}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n".encode()
    )
    return connection.read_response(to_head=True).status


@pytest.fixture
def waiting(service: LiveService) -> Iterator[list[RawConnection]]:
    """All the uploads that one user may have, none of which has sent a byte of its body."""
    with ExitStack() as stack:
        connections = [stack.enter_context(raw_connection(service.port)) for _ in range(3)]
        assert [begin(connection, service, ATTACKER) for connection in connections] == [100, 100, 100]
        yield connections


def upload(service: LiveService, user_id: uuid.UUID) -> httpx.Response:
    return httpx.post(
        service.url + UPLOAD,
        headers=service.auth_of(user_id),
        files={"file": ("a.png", png(40, 30))},
        data={"media_type": "image"},
        timeout=20,
    )


def test_who_has_all_of_his_places_is_told_so_while_others_upload(
    service: LiveService, waiting: list[RawConnection]
) -> None:
    refused = upload(service, ATTACKER)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_uploads")
    assert int(refused.headers["retry-after"]) > 0
    assert upload(service, OTHER).status_code == 201


def test_a_place_is_free_again_when_its_upload_has_ended(service: LiveService, waiting: list[RawConnection]) -> None:
    assert waiting[0].read_response().status == 408  # silent for too long
    assert upload(service, ATTACKER).status_code == 201


def test_a_body_that_always_sends_one_more_byte_is_cut_off(service: LiveService) -> None:
    with raw_connection(service.port) as connection:
        assert begin(connection, service, ATTACKER) == 100
        for byte in file_part(b"x" * 1000):
            if connection.has_input(within_s=IDLE_S / 10):
                break
            connection.send(bytes([byte]))
        assert connection.read_response().status == 408


def test_a_body_at_the_least_rate_is_taken(service: LiveService) -> None:
    text = b"a line of text\n" * 200
    body = (
        b'--B\r\nContent-Disposition: form-data; name="media_type"\r\n\r\ndocument\r\n'
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + text + b"\r\n--B--\r\n"
    )
    with raw_connection(service.port) as connection:
        connection.send(
            f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nAuthorization: {service.auth_of(OTHER)['Authorization']}\r\n"
            f"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        for start in range(0, len(body), 400):  # for longer than the silence that is forgiven
            connection.send(body[start : start + 400])
            time.sleep(IDLE_S / 6)
        assert connection.read_response().status == 201
