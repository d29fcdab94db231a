"""With the usual OTEL_* variables each request is a span at the collector; without them nobody is asked."""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from tests.fixtures.live_service import CommandLineService, LiveServiceFactory

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """An OTLP collector: its address, and path and body of what was sent to it."""
    received: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name of the standard library
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_request_is_a_span_in_the_trace_of_its_caller(make_live_service: LiveServiceFactory) -> None:
    with collector() as (address, received):
        service = make_live_service(
            CommandLineService,  # some of the variables are read by an import
            OTEL_EXPORTER_OTLP_ENDPOINT=address,
            OTEL_SERVICE_NAME="media-api",
            OTEL_BSP_SCHEDULE_DELAY="100",
        )
        parent = {"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}
        httpx.get(f"{service.url}/api/v1/media/{uuid.uuid4()}", headers=parent)
        deadline = time.monotonic() + 10
        while not received and time.monotonic() < deadline:
            time.sleep(0.05)
        sent = b"".join(body for _, body in received)
        assert {path for path, _ in received} == {"/v1/traces"}
        assert b"GET /api/v1/media/{media_id}" in sent
        assert bytes.fromhex(TRACE_ID) in sent
        assert b"media-api" in sent
        assert b"/readyz" not in sent
