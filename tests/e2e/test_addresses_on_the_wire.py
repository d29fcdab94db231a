"""Spellings of addresses that no client library sends, and HEAD byte for byte, against the running service."""

import uuid

import httpx
import pytest

from tests.fixtures.live_service import LiveService
from tests.fixtures.raw_http import RawResponse, exchange, raw_connection


@pytest.fixture
def path(live_service: LiveService) -> str:
    """The path of a stored file."""
    reply = httpx.post(
        f"{live_service.url}/api/v1/media/upload",
        headers=live_service.auth_of(uuid.uuid4()),
        files={"file": ("a.txt", b"text")},
        data={"media_type": "document"},
    )
    return str(reply.json()["url"]).removeprefix(live_service.url)


def asked(service: LiveService, target: str, *, method: str = "GET", header: str = "") -> RawResponse:
    reply = exchange(service.port, f"{method} {target} HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
    assert reply is not None
    return reply


def test_a_file_has_one_spelling(live_service: LiveService, path: str) -> None:
    assert asked(live_service, path).status == 200
    assert asked(live_service, f"http://x{path}").status == 200  # the absolute form is for proxies (RFC 9112 3.2.2)
    for other in (
        path.replace("/files/", "/files/./"),
        path.replace("/files/", "/files//"),
        path.replace("/files/", "/files/%2e/"),
        path.replace("/files/", "/files/x/../"),
        path.replace("/files/2", "/files%2f2"),
        path.replace("/api/", "/./api/"),
        path.replace("/media/", "/%6dedia/"),
        path.replace(".txt", "%2etxt"),
        path.replace(".txt", ".TXT"),
        f"/{path}",
        *(path + end for end in ("/", "/.", "%0a", "%0A", "%0d%0a", "%", ";x", "%00", "%20")),
    ):
        assert asked(live_service, other).status == 404, other
    for other in ("/metrics%0a", "/docs%0a", "/healthz%0A", "/openapi.json%0a"):
        assert asked(live_service, other).status == 404, other


def test_two_authorization_lines_are_no_request(live_service: LiveService, path: str) -> None:
    twice = "Authorization: Bearer a\r\nauthorization: Bearer b\r\n"
    for target in (path, "/api/v1/media/", "/api/v1/content/"):
        reply = asked(live_service, target, header=twice)
        assert (reply.status, reply.json["detail"]) == (400, "The Authorization header was sent more than once.")


def test_nothing_follows_the_head_that_was_asked_for(live_service: LiveService, path: str) -> None:
    with raw_connection(live_service.port) as connection:
        for target in ("/api/v1/content/", "/docs", "/openapi.json", "/nowhere", path):
            head = f"HEAD {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            connection.send(head + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert int(connection.read_response(to_head=True).headers["content-length"]) > 0
            assert connection.read_response().json == {"status": "ok"}
