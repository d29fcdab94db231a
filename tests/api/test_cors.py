"""Pages of other origins: what they may send and read, and what caches are told about it."""

import json
from pathlib import Path

import httpx
import pytest

from app.api.middleware.cors import EXPOSED
from tests.fixtures.api import CONTENT, MEDIA, UPLOAD, Api, ApiFactory

FRIEND, STRANGER = "https://friend.test", "https://stranger.test"
ASKED = "Access-Control-Request-Headers"


@pytest.fixture
async def open_api(make_api: ApiFactory) -> Api:
    return await make_api(CORS_ORIGINS=f"https://other.test, {FRIEND}")


async def preflight(api: Api, headers: str | None, *, origin: str = FRIEND, method: str = "POST") -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": method} | ({ASKED: headers} if headers else {})
    return await api.client.options(UPLOAD, headers=asked)


def allowed(reply: httpx.Response) -> set[str]:
    return {name.strip().lower() for name in reply.headers.get("access-control-allow-headers", "").split(",")}


@pytest.mark.parametrize(
    "headers",
    [
        "authorization,cache-control,content-type,x-requested-with",  # Dropzone
        "authorization,content-type,traceparent,tracestate,baggage,sentry-trace",
        "x-datadog-origin, x-datadog-parent-id, x-datadog-sampling-priority, x-datadog-trace-id",
        "newrelic,x-b3-traceid,b3,uber-trace-id,request-id,request-context,x-cloud-trace-context,elastic-apm-traceparent",
        "content-disposition,content-range,x-file-name,x-mime-type,x-xsrf-token",  # older uploaders, Angular
        "IF-MATCH , if-none-match,if-unmodified-since,if-modified-since,if-range,range,idempotency-key",
        "content-digest,repr-digest,pragma,x-request-id",
        "",
        None,
    ],
)
async def test_the_headers_of_clients_pass(open_api: Api, headers: str | None) -> None:
    reply = await preflight(open_api, headers)
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == FRIEND
    wanted = {name.strip().lower() for name in (headers or "authorization,if-match").split(",") if name.strip()}
    assert wanted <= allowed(reply)
    assert {"authorization", "content-type", "if-match", "range"} <= allowed(reply)
    assert "access-control-allow-credentials" not in reply.headers
    assert len(reply.headers["x-request-id"]) == 32


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
async def test_the_methods_of_the_api_pass(open_api: Api, method: str) -> None:
    reply = await preflight(open_api, None, method=method)
    assert method in reply.headers["access-control-allow-methods"].split(", ")


@pytest.mark.parametrize("names", ["x-forwarded-for", "authorization,X-Real-IP", "forwarded", "a b", "x:y", 'x"y'])
async def test_what_only_proxies_say_and_what_is_no_name_is_refused(open_api: Api, names: str) -> None:
    reply = await preflight(open_api, names)
    assert (reply.status_code, reply.json()["code"]) == (400, "cors_refused")
    assert "access-control-allow-headers" not in reply.headers


async def test_others_are_refused(open_api: Api) -> None:
    for origin in (STRANGER, f"{FRIEND}.evil.test", FRIEND.upper(), "null", f"{FRIEND}:8443"):
        reply = await preflight(open_api, None, origin=origin)
        assert reply.status_code == 400
        assert [name for name in reply.headers if name.startswith("access-control-")] == []
        assert "Origin" in reply.headers["vary"]
    assert (await preflight(open_api, None, method="PATCH")).status_code == 400


async def test_answers_can_be_read_and_caches_know_on_what_they_depend(open_api: Api) -> None:
    api = open_api
    media = await api.uploaded("a.txt", b"text", "document")
    tag = (await api.client.get(f"{MEDIA}/{media['id']}")).headers["etag"]
    requests = [
        ("GET", f"{MEDIA}/{media['id']}", {}, 200),
        ("GET", f"{MEDIA}/{media['id']}", {"If-None-Match": tag}, 304),
        ("HEAD", f"{MEDIA}/{media['id']}/download", {}, 200),
        ("GET", str(media["url"]), {"Range": "bytes=1-2"}, 206),
        ("GET", str(media["url"]), {"Range": "bytes=100-"}, 416),
        ("GET", f"{CONTENT}/", {}, 200),
        ("GET", f"{MEDIA}/", {}, 401),
        ("GET", "/nowhere", {}, 404),
        ("POST", f"{MEDIA}/{media['id']}", {}, 405),
        ("POST", UPLOAD, {"Content-Length": "104857600000"}, 401),
        ("GET", f"{MEDIA}/{media['id']}", {"If-Match": '"x"'}, 412),
    ]
    for origin in (None, FRIEND, STRANGER):
        for method, path, headers, status in requests:
            asked = headers | ({"Origin": origin} if origin else {})
            reply = await api.client.request(method, path, headers=asked)
            assert reply.status_code == status
            assert reply.headers.get_list("vary") == ["Origin"], path
            assert reply.headers.get("access-control-allow-origin") == (FRIEND if origin == FRIEND else None)
            assert ("access-control-expose-headers" in reply.headers) == (origin == FRIEND)
    exposed = (await api.client.get("/healthz", headers={"Origin": FRIEND})).headers["access-control-expose-headers"]
    wanted = (
        "ETag Location Content-Range Accept-Ranges Content-Disposition Content-Length X-Request-ID Retry-After Allow"
    )
    assert {*wanted.split(), "Idempotent-Replayed", "Repr-Digest"} <= set(exposed.split(", "))


async def test_for_everybody_is_one_answer_for_everybody(make_api: ApiFactory) -> None:
    api = await make_api(CORS_ORIGINS="*")
    for headers in ({}, {"Origin": STRANGER}):
        reply = await api.client.get("/healthz", headers=headers)
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "vary" not in reply.headers
    reply = await preflight(api, "authorization,x-requested-with", origin="null")
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "*")
    assert {"authorization", "x-requested-with"} <= allowed(reply)


async def test_without_the_setting_there_is_nothing_of_it(api: Api) -> None:
    reply = await api.client.get("/healthz", headers={"Origin": FRIEND})
    assert "vary" not in reply.headers
    assert [name for name in reply.headers if name.startswith("access-control-")] == []
    assert (await preflight(api, None)).status_code == 405


def test_the_proxy_exposes_the_same() -> None:
    template = Path("docs/operations/nginx/media.conf").read_text()

    assert f"default {json.dumps(EXPOSED)};" in template
