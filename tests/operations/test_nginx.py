"""The proxy configuration that we ship, in a real nginx."""

import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from app.core.config import Settings
from app.core.media_types import MIB
from tests.fixtures.raw_http import RawConnection, raw_connection
from tests.operations.proxy import Proxy, free_port, running_nginx
from tests.operations.stub_api import FILE_HEADERS, Recorded, running_stub

UPLOAD = "/api/v1/media/upload"
FILE = "/api/v1/media/files/2026/11/a.pdf"  # a document: the service is asked about it
LIMIT = 3 * MIB
BYTES = bytes(range(256)) * 4096  # 1 MiB, no two neighbouring ranges alike
SIGNED_IN = {"Authorization": "Bearer x"}


@pytest.fixture(scope="module")
def api() -> Iterator[Recorded]:
    with running_stub() as recorded:
        yield recorded


@pytest.fixture(scope="module")
def proxy(api: Recorded) -> Iterator[Proxy]:
    with running_nginx(api=f"127.0.0.1:{api.port}", max_body_bytes=LIMIT) as running:
        _store(running, "2026/11/a.png", BYTES)
        _store(running, "2026/11/ä b%.png", b"odd name")
        _store(running, ".staging/secret", b"staged")
        (running.files / "2026/11/link.png").symlink_to("/etc/hostname")
        yield running


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=proxy.url, headers={"X-Stored-As": "2026/11/a.png"}) as http:
        yield http


def _store(proxy: Proxy, key: str, content: bytes) -> None:
    path = proxy.files / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


async def test_download_comes_from_the_disk_with_the_headers_of_the_service(client: httpx.AsyncClient) -> None:
    reply = await client.get(FILE)
    assert (reply.status_code, reply.content) == (200, BYTES)
    assert {name: reply.headers.get_list(name) for name in FILE_HEADERS} == {
        name: [value] for name, value in FILE_HEADERS.items()
    }
    assert "x-accel-redirect" not in reply.headers


async def test_answers_that_the_service_sends_itself_keep_their_headers(client: httpx.AsyncClient) -> None:
    reply = await client.get(FILE, headers={"X-Direct": "1"})
    assert reply.content == b"direct"
    assert {name: reply.headers.get_list(name) for name in FILE_HEADERS} == {
        name: [value] for name, value in FILE_HEADERS.items()
    }


async def test_head_has_the_headers_and_no_body(client: httpx.AsyncClient) -> None:
    reply = await client.head(FILE)
    assert (reply.status_code, reply.content, reply.headers["content-length"]) == (200, b"", str(len(BYTES)))
    assert reply.headers["etag"] == FILE_HEADERS["ETag"]


async def test_range_is_answered_by_the_proxy(client: httpx.AsyncClient) -> None:
    reply = await client.get(FILE, headers={"Range": "bytes=1000-1999"})
    assert (reply.status_code, reply.content) == (206, BYTES[1000:2000])
    assert reply.headers["content-range"] == f"bytes 1000-1999/{len(BYTES)}"
    assert reply.headers["content-security-policy"] == FILE_HEADERS["Content-Security-Policy"]


async def test_several_ranges_are_multipart(client: httpx.AsyncClient) -> None:
    reply = await client.get(FILE, headers={"Range": "bytes=0-9,100-109"})
    assert reply.status_code == 206
    assert reply.headers["content-type"].startswith("multipart/byteranges; boundary=")


async def test_range_outside_is_416(client: httpx.AsyncClient) -> None:
    reply = await client.get(FILE, headers={"Range": f"bytes={len(BYTES)}-"})
    assert (reply.status_code, reply.headers["content-range"]) == (416, f"bytes */{len(BYTES)}")
    assert reply.json()["code"] == "range_not_satisfiable"


@pytest.mark.parametrize(("if_range", "status"), [(FILE_HEADERS["ETag"], 206), ('"another"', 200)])
async def test_if_range_compares_the_etag_of_the_service(client: httpx.AsyncClient, if_range: str, status: int) -> None:
    reply = await client.get(FILE, headers={"Range": "bytes=0-9", "If-Range": if_range})
    assert reply.status_code == status


async def test_the_proxy_does_not_revalidate_by_the_time_of_the_file(client: httpx.AsyncClient) -> None:
    later = {"If-Modified-Since": "Wed, 01 Jul 2099 10:00:00 GMT", "If-None-Match": '"another"'}
    assert (await client.get(FILE, headers=later)).status_code == 200


async def test_odd_names_arrive_unharmed(client: httpx.AsyncClient) -> None:
    reply = await client.get(FILE, headers={"X-Stored-As": "2026/11/%C3%A4%20b%25.png"})
    assert (reply.status_code, reply.content) == (200, b"odd name")


@pytest.mark.parametrize("stored_as", ["2026/11/gone.png", ".staging/secret", "2026/11/link.png", "2026/11/"])
async def test_missing_hidden_and_linked_files_are_404_in_our_words(client: httpx.AsyncClient, stored_as: str) -> None:
    reply = await client.get(FILE, headers={"X-Stored-As": stored_as})
    assert (reply.status_code, reply.json()["code"]) == (404, "file_not_found")
    assert "no-store" in reply.headers.get_list("cache-control")
    assert reply.headers.get_list("content-type") == ["application/json"]
    assert reply.headers["x-request-id"] == "request-1"


async def test_a_path_that_climbs_is_refused(client: httpx.AsyncClient) -> None:
    reply = await client.get(FILE, headers={"X-Stored-As": "2026/../../nginx.conf"})
    assert reply.status_code == 404


async def test_the_internal_location_is_closed_to_clients(client: httpx.AsyncClient) -> None:
    assert (await client.get("/_media_files/2026/11/a.png")).status_code == 404


def test_upload_reaches_the_service_while_it_is_still_being_sent(proxy: Proxy, api: Recorded) -> None:
    head = f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: {2 * MIB}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
        connection.sendall(head + b"x" * MIB)
        deadline = time.monotonic() + 5
        while api.arrived < MIB and time.monotonic() < deadline:
            time.sleep(0.01)
        assert api.arrived == MIB
        connection.sendall(b"x" * MIB)
        assert connection.recv(4096).startswith(b"HTTP/1.1 201 ")
    assert list((proxy.home / "body").rglob("*")) == []


async def test_chunked_upload_is_passed_on(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"x" * 1000

    reply = await client.post("/api/v1/media/content/1/upload", content=chunks(), headers=SIGNED_IN)
    assert reply.json() == {"arrived": 8000}


@pytest.mark.parametrize(("size_bytes", "status"), [(LIMIT, 201), (LIMIT + 1, 413)])
async def test_body_limit_of_uploads(client: httpx.AsyncClient, size_bytes: int, status: int) -> None:
    reply = await client.post(UPLOAD, content=b"x" * size_bytes, headers=SIGNED_IN)
    assert reply.status_code == status


async def test_413_of_the_proxy_looks_like_one_of_the_service(client: httpx.AsyncClient) -> None:
    reply = await client.post(UPLOAD, content=b"x" * (LIMIT + 1), headers=SIGNED_IN)
    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == {"detail": "The request exceeds the upload limit.", "code": "body_too_large"}


async def test_other_bodies_have_a_small_limit(client: httpx.AsyncClient) -> None:
    assert (await client.put("/api/v1/media/1", content=b"x" * (2 * MIB + 1))).status_code == 413


def test_refusal_arrives_before_the_body_is_sent(proxy: Proxy) -> None:
    head = f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nContent-Length: {LIMIT}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
        connection.sendall(head + b"x" * 1000)
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


async def test_what_clients_claim_about_themselves_is_replaced(client: httpx.AsyncClient, api: Recorded) -> None:
    await client.get("/healthz", headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "Host": "m.test"})
    seen = {name: api.header[name] for name in ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "host")}
    assert seen == {
        "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "x-forwarded-host": "m.test", "host": "m.test"
    }  # fmt: skip


async def test_metrics_are_not_for_the_public(client: httpx.AsyncClient) -> None:
    assert (await client.get("/metrics")).status_code == 404


async def test_503_of_the_service_is_passed_on(client: httpx.AsyncClient) -> None:
    reply = await client.get("/too-many")
    assert (reply.status_code, reply.json(), reply.headers["retry-after"]) == (503, {"code": "service_busy"}, "2")


async def test_a_service_that_is_gone_is_a_503_in_our_words() -> None:
    with running_nginx(api=f"127.0.0.1:{free_port()}", max_body_bytes=LIMIT) as lonely:
        async with httpx.AsyncClient(base_url=lonely.url) as http:
            reply = await http.get("/healthz")
    assert (reply.status_code, reply.json()["code"], reply.headers["retry-after"]) == (503, "unavailable", "5")


def test_access_log_has_the_path_without_its_query(proxy: Proxy) -> None:
    httpx.get(f"{proxy.url}/api/v1/media/files/logged?token=hush", headers={"X-Stored-As": "2026/11/a.png"})
    deadline = time.monotonic() + 5  # nginx writes the line after the client has its answer
    while '"path":"/api/v1/media/files/logged"' not in proxy.access_log() and time.monotonic() < deadline:
        time.sleep(0.01)
    (line,) = [line for line in proxy.access_log().splitlines() if "/logged" in line]
    assert json.loads(line)["request_id"] == "request-1"
    assert "hush" not in line


def test_compose_gives_the_proxy_the_limit_of_the_service() -> None:
    limit_bytes = Settings.model_fields["MAX_UPLOAD_SIZE"].default + MIB
    assert f"MEDIA_MAX_BODY:-{limit_bytes}" in Path("docker-compose.yml").read_text()


# -- limits per client -------------------------------------------------------------------------------------------------

# The address of the client is what the request says, as behind another proxy.
FROM_HEADER = "set_real_ip_from 127.0.0.1; real_ip_header X-Test-Client;"


@pytest.fixture
def proxy_with_clients(api: Recorded) -> Iterator[Proxy]:
    with running_nginx(api=f"127.0.0.1:{api.port}", max_body_bytes=LIMIT, http_lines=FROM_HEADER) as running:
        yield running


def probes_of(proxy: Proxy, addresses: list[str]) -> list[int]:
    with httpx.Client(base_url=proxy.url) as http:
        return [http.get("/readyz", headers={"X-Test-Client": address}).status_code for address in addresses]


@pytest.mark.parametrize(
    "network",
    [
        "2001:db8:1:2:{}::1",
        "2001:db8:1:2::{}",
        "2001:db8:1::{}",
        "2001:db8::{}",
        "2001::1:0:0:0:{}",
        "2001::9:8:7:6:{}",
    ],
)
def test_one_ipv6_network_is_one_client(proxy_with_clients: Proxy, network: str) -> None:
    statuses = probes_of(proxy_with_clients, [network.format(f"{number:x}") for number in range(1, 31)])
    assert statuses[:11] == [200] * 11
    assert statuses.count(429) >= 15
    assert probes_of(proxy_with_clients, ["2001:db8:ffff:2::1", "2001:db8:ffff:3::1", "192.0.2.1"]) == [200] * 3


def test_a_client_that_probes_too_often_is_told_so_in_our_words(proxy_with_clients: Proxy) -> None:
    assert 429 in probes_of(proxy_with_clients, ["192.0.2.7"] * 30)
    reply = httpx.get(f"{proxy_with_clients.url}/readyz", headers={"X-Test-Client": "192.0.2.7"})
    assert (reply.status_code, reply.json()["code"], reply.headers["retry-after"]) == (429, "too_many_requests", "1")


def test_requests_of_one_address_at_once_have_a_limit_that_is_nobody_elses(proxy_with_clients: Proxy) -> None:
    head = "POST /slow HTTP/1.1\r\nHost: x\r\nX-Test-Client: {}\r\nContent-Length: 9\r\n\r\n"
    with ExitStack() as stack:

        def begin(address: str) -> RawConnection:
            connection = stack.enter_context(raw_connection(proxy_with_clients.port))
            connection.send(head.format(address).encode())
            return connection

        held = [begin("192.0.2.1") for _ in range(256)]
        refused = begin("192.0.2.1").read_response()
        assert (refused.status, refused.json["code"]) == (429, "too_many_requests")
        assert not any(connection.has_input() for connection in held)
        other = begin("192.0.2.2")
        other.send(b"123456789")
        assert other.read_response().status == 200


@pytest.mark.parametrize("path", ["/metrics", "/metrics%0a", "/metrics/", "/metrics%00", "/./metrics"])
async def test_no_spelling_of_the_metrics_gets_through(client: httpx.AsyncClient, api: Recorded, path: str) -> None:
    api.path = "nothing"
    reply = await client.get(path)
    assert reply.status_code in {400, 404}
    assert api.path == "nothing"


@pytest.mark.parametrize(
    "spelt", ["2026/11/a.png%0a", "2026/11/a%2epng", "./2026/11/a.png", "2026//11/a.png", "x/../2026/11/a.png"]
)
def test_a_file_has_one_address_and_the_service_judges_every_other(proxy: Proxy, api: Recorded, spelt: str) -> None:
    head = "GET /api/v1/media/files/{} HTTP/1.1\r\nHost: x\r\nX-Stored-As: 2026/11/gone.png\r\n\r\n"
    api.path = "nothing"
    with raw_connection(proxy.port) as connection:
        connection.send(head.format(spelt).encode())
        assert connection.read_response().status == 404
    assert api.path != "nothing"
    api.path = "nothing"
    with raw_connection(proxy.port) as connection:
        connection.send(head.format("2026/11/a.png").encode())
        assert connection.read_response().body == BYTES
    assert api.path == "nothing"
