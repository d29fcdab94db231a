"""Two real instances on one database and one store behind the real nginx: what the compose file gives an operator."""

import hashlib
import http.client
import json
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass

import httpx
import pytest

from app.core.embedded import EmbeddedPostgres
from app.core.media_types import MIB
from tests.fixtures.live_service import LiveService
from tests.fixtures.pictures import png
from tests.operations.name_server import name_server
from tests.operations.proxy import Proxy, free_port, running_nginx

UPLOAD = "/api/v1/media/upload"
LIMIT = 2 * MIB
HOSTS = ("127.0.0.1", "127.0.0.2")
TEXT = b"line of text\n" * 20_000


@dataclass(frozen=True)
class Site:
    """A proxy with the instances behind it, and a client that is signed in."""

    proxy: Proxy
    instances: tuple[LiveService, ...]
    client: httpx.Client


@pytest.fixture(scope="module")
def site(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    proxy_port, files = free_port(), directory / "uploads"
    environment = {
        "DATABASE_URL": postgres.url,
        "UPLOAD_DIR": str(files),
        "DATA_DIR": str(directory / "data"),
        "BASE_URL": f"http://127.0.0.1:{proxy_port}",
        "ACCEL_REDIRECT_PREFIX": "/_media_files/",
        "MAX_UPLOAD_SIZE": str(LIMIT),
    }
    with ExitStack() as stack:
        port = free_port()
        instances = tuple(
            LiveService(directory / host, environment | {"HOST": host, "PORT": str(port)}) for host in HOSTS
        )
        for instance in instances:
            stack.callback(instance.close)
        # At once, as an operator's `docker compose up` does: both want to migrate.
        list(stack.enter_context(ThreadPoolExecutor()).map(LiveService.start, instances))
        resolver = stack.enter_context(name_server(HOSTS))
        proxy = stack.enter_context(
            running_nginx(
                api=f"api.test:{port}",
                resolver=resolver,
                port=proxy_port,
                max_body_bytes=LIMIT + MIB,
                files=files,
            )
        )
        headers = instances[0].auth_of(uuid.uuid4())
        client = stack.enter_context(httpx.Client(base_url=proxy.url, headers=headers, timeout=30))
        yield Site(proxy, instances, client)


@pytest.fixture(scope="module")
def document(site: Site) -> dict[str, str]:
    """A text file that was uploaded through the proxy."""
    reply = _upload(site, "notes.txt", TEXT, "document")
    assert reply.status_code == 201, reply.text
    body = reply.json()
    assert isinstance(body, dict)
    return body


def _upload(site: Site, name: str, content: bytes, media_type: str) -> httpx.Response:
    return site.client.post(UPLOAD, files={"file": (name, content)}, data={"media_type": media_type})


def _counted(instance: LiveService, series: str) -> float:
    """The value of a series on one instance, 0 while it has none."""
    lines = httpx.get(f"{instance.url}/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(series)), 0.0)


def test_a_download_is_sent_by_the_proxy_byte_for_byte(site: Site, document: dict[str, str]) -> None:
    before = sum(_counted(one, 'media_download_sent_bytes_total{sender="proxy"}') for one in site.instances)
    reply = site.client.get(f"/api/v1/media/{document['id']}/download")
    assert (reply.status_code, reply.content) == (200, TEXT)
    assert reply.headers["etag"] == f'"{hashlib.sha256(TEXT).hexdigest()}"'
    assert reply.headers["content-disposition"].startswith("attachment;")
    assert reply.headers["content-security-policy"] == "default-src 'none'; sandbox"
    after = sum(_counted(one, 'media_download_sent_bytes_total{sender="proxy"}') for one in site.instances)
    assert after - before == len(TEXT)


def test_the_address_in_the_answer_works_through_the_proxy(site: Site, document: dict[str, str]) -> None:
    assert document["url"].startswith(site.proxy.url)
    reply = httpx.get(document["url"], headers={"Range": "bytes=13-25"})
    assert (reply.status_code, reply.content) == (206, TEXT[13:26])
    assert reply.headers["content-range"] == f"bytes 13-25/{len(TEXT)}"
    assert "immutable" in reply.headers["cache-control"]


def test_a_copy_that_is_still_good_is_304(site: Site, document: dict[str, str]) -> None:
    etag = httpx.head(document["url"]).headers["etag"]
    reply = httpx.get(document["url"], headers={"If-None-Match": etag})
    assert (reply.status_code, reply.content, reply.headers["etag"]) == (304, b"", etag)


def test_thumbnails_are_shown_inline(site: Site) -> None:
    media = _upload(site, "a.png", png(400, 300), "image").json()
    reply = httpx.get(media["thumbnail_url"])
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/jpeg")
    assert reply.headers["content-disposition"].startswith("inline")
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_a_file_that_is_gone_from_the_disk_is_our_404(site: Site) -> None:
    media = _upload(site, "gone.txt", b"soon gone", "document").json()
    (stored,) = site.proxy.files.glob("*/*/gone_*.txt")
    stored.unlink()
    reply = httpx.get(media["url"])
    assert (reply.status_code, reply.json()["code"]) == (404, "file_not_found")


def test_an_upload_is_on_the_disk_of_the_service_before_its_end_is_sent(site: Site) -> None:
    head_of_form = (
        b'--x\r\nContent-Disposition: form-data; name="media_type"\r\n\r\ndocument\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="slow.txt"\r\n\r\n'
    )
    rest = b"\r\n--x--\r\n"
    length = len(head_of_form) + len(TEXT) + len(rest)
    request = (
        f"POST {UPLOAD} HTTP/1.1\r\nHost: media.test\r\nAuthorization: {site.client.headers['authorization']}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {length}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", site.proxy.port), timeout=10) as connection:
        connection.sendall(request + head_of_form + TEXT)
        deadline = time.monotonic() + 10
        while not any(_counted(one, "media_uploads_in_progress") for one in site.instances):
            assert time.monotonic() < deadline, "the upload did not reach the service"
            time.sleep(0.05)
        assert list((site.proxy.home / "body").rglob("*")) == []
        connection.sendall(rest)
        assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")


def test_the_largest_file_passes_both_and_the_next_byte_is_refused_by_the_service(site: Site) -> None:
    largest = b"x" * (LIMIT - 1) + b"\n"
    assert _upload(site, "largest.txt", largest, "document").status_code == 201
    refused = _upload(site, "larger.txt", largest + b"\n", "document")
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert str(LIMIT) in refused.json()["detail"]  # the proxy's own sentence names no number


def test_both_instances_answer_and_see_the_same(site: Site, document: dict[str, str]) -> None:
    path = f"/api/v1/media/{document['id']}"
    series = 'media_http_requests_total{method="GET",route="/api/v1/media/{media_id}",status="2xx"}'
    answers = {site.client.get(path).text for _ in range(20)}
    assert len(answers) == 1
    assert all(_counted(instance, series) > 0 for instance in site.instances)
    assert {httpx.get(instance.url + path).text for instance in site.instances} == answers


def test_what_one_instance_deletes_is_gone_on_the_other(site: Site) -> None:
    media = _upload(site, "shared.txt", b"shared", "document").json()
    one, other = site.instances
    address = f"/api/v1/media/{media['id']}"
    deleted = httpx.delete(one.url + address, headers={"Authorization": site.client.headers["authorization"]})
    assert deleted.status_code == 200
    assert httpx.get(other.url + address).status_code == 404
    assert httpx.get(media["url"]).status_code == 404


def test_an_instance_that_stops_is_not_noticed(site: Site, document: dict[str, str]) -> None:
    _, second = site.instances
    assert second.stop() == 0
    try:
        statuses = {site.client.get(f"/api/v1/media/{document['id']}").status_code for _ in range(20)}
        assert statuses == {200}
    finally:
        second.start()


@pytest.fixture(scope="module")
def patient_proxy(site: Site) -> Iterator[Proxy]:
    """A proxy that lets large bodies through to the first instance."""
    service = site.instances[0].url.removeprefix("http://")
    with running_nginx(api=service, max_body_bytes=64 * MIB, files=site.proxy.files) as proxy:
        yield proxy


@pytest.mark.parametrize("is_signed_in", [False, True], ids=["401", "413"])
@pytest.mark.parametrize("size_bytes", [4 * MIB, 20 * MIB])
def test_an_early_refusal_of_a_large_body_passes_the_proxy(
    site: Site, patient_proxy: Proxy, size_bytes: int, is_signed_in: bool
) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    if is_signed_in:
        headers["Authorization"] = site.client.headers["authorization"]
    body = b"x" * size_bytes
    for _ in range(20):
        connection = http.client.HTTPConnection("127.0.0.1", patient_proxy.port, timeout=30)
        with closing(connection):
            connection.request("POST", UPLOAD, body, headers)
            reply = connection.getresponse()
            assert (reply.status, json.load(reply)["code"]) == (
                (413, "body_too_large") if is_signed_in else (401, "unauthenticated")
            )
