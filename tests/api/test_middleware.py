"""What every answer carries, what every request leaves in the log, and what a bug looks like from outside."""

import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.api.middleware import add_middleware


async def _show(request: Request) -> Response:
    request.state.user_id = "someone"
    return JSONResponse({"id": request.path_params["id"], "bytes": len(await request.body())})


async def _own_headers(_: Request) -> Response:
    return PlainTextResponse("x", headers={"Cache-Control": "max-age=60", "X-Content-Type-Options": "nosniff"})


async def _crash(_: Request) -> Response:
    raise RuntimeError("the database password is hunter2")


async def _hang_up(_: Request) -> Response:
    raise ClientDisconnect


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(
        routes=[
            Route("/items/{id}", _show, methods=["GET", "POST"]),
            Route("/own", _own_headers),
            Route("/crash", _crash),
            Route("/gone", _hang_up),
        ]
    )
    add_middleware(app)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def logged(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, object]]:
    """The fields of every line of this event."""
    return [record.msg for record in caplog.records if isinstance(record.msg, dict) and record.msg["event"] == event]


@pytest.mark.parametrize("given", ["abc-123_X.y", "a" * 64])
async def test_a_harmless_request_id_is_kept(client: httpx.AsyncClient, given: str) -> None:
    reply = await client.get("/items/1", headers={"X-Request-ID": given})
    assert reply.headers.get_list("x-request-id") == [given]


@pytest.mark.parametrize("given", ["", "a" * 65, "a b", 'a"b', "../x", "a\tb"])
async def test_any_other_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    reply = await client.get("/items/1", headers={"X-Request-ID": given})
    assert len(reply.headers["x-request-id"]) == 32


async def test_two_request_ids_are_none(client: httpx.AsyncClient) -> None:
    reply = await client.get("/items/1", headers=[("X-Request-ID", "a"), ("X-Request-ID", "b")])
    assert len(reply.headers["x-request-id"]) == 32


async def test_a_request_is_one_line(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await client.post("/items/7?token=secret", content=b"hello", headers={"Authorization": "Bearer secret"})
    (line,) = logged(caplog, "http.request")
    facts = {name: line[name] for name in ("method", "path", "status", "bytes_in", "client", "user_id")}
    assert facts == {
        "method": "POST", "path": "/items/7", "status": 200, "bytes_in": 5, "client": "127.0.0.1", "user_id": "someone"
    }  # fmt: skip
    assert line["bytes_out"] == len(b'{"id":"7","bytes":5}')
    assert "secret" not in str(line)


async def test_a_path_cannot_begin_a_line_of_its_own(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await client.get("/items/a%0D%0Ahttp.request%1B%5B31m%E2%80%AE" + "x" * 1000)
    (line,) = logged(caplog, "http.request")
    path = str(line["path"])
    assert path.isprintable()
    assert path.startswith(r"/items/a\r\nhttp.request\x1b[31m\u202e")
    assert len(path) < 600


async def test_a_bug_is_our_json_and_one_traceback(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        reply = await client.get("/crash", headers={"X-Request-ID": "r-1"})
    assert reply.status_code == 500
    assert reply.json() == {"detail": "Something went wrong on our side.", "code": "internal_error"}
    assert reply.headers["x-request-id"] == "r-1"
    assert len(logged(caplog, "request.crashed")) == 1
    assert logged(caplog, "http.request")[0]["error_code"] == "internal_error"


async def test_a_client_that_is_gone_is_no_bug(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(AssertionError):
        await client.get("/gone")
    assert logged(caplog, "request.crashed") == []
    assert logged(caplog, "http.request")[0]["status"] == 499


async def test_json_is_closed_to_browsers(client: httpx.AsyncClient) -> None:
    headers = (await client.get("/items/1")).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "cache-control" not in headers


async def test_what_belongs_to_one_caller_is_not_stored(client: httpx.AsyncClient) -> None:
    replies = [
        await client.get("/items/1", headers={"Authorization": "Bearer x"}),
        await client.post("/items/1"),
        await client.get("/nowhere"),
    ]
    assert [reply.headers["cache-control"] for reply in replies] == ["no-store"] * 3


async def test_headers_of_the_endpoint_win(client: httpx.AsyncClient) -> None:
    headers = (await client.get("/own", headers={"Authorization": "Bearer x"})).headers
    assert headers["cache-control"] == "max-age=60"
    assert headers.get_list("x-content-type-options") == ["nosniff"]
