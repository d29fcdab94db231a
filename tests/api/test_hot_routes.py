"""The short way past FastAPI answers as the declared routes do, and leaves to them whatever is not plainly ours."""

import uuid

import pytest

from tests.fixtures.api import MEDIA, Api, ApiFactory
from tests.fixtures.pictures import png

VARYING = {"x-request-id", "date"}


@pytest.mark.parametrize("path", ["", "/download"])
async def test_an_id_in_capitals_gets_the_same_answer(api: Api, path: str) -> None:
    media_id = str((await api.uploaded("a.txt", b"text", "document"))["id"])
    short = await api.client.get(f"{MEDIA}/{media_id}{path}")
    declared = await api.client.get(f"{MEDIA}/{media_id.upper()}{path}")

    assert (short.status_code, short.content) == (declared.status_code, declared.content) == (200, declared.content)
    assert {n: v for n, v in short.headers.items() if n not in VARYING} == {
        n: v for n, v in declared.headers.items() if n not in VARYING
    }


@pytest.mark.parametrize("path", ["{}", "{}/download", "files/2026/11/a_{}.png"])
async def test_what_is_not_there_is_404_in_our_words(api: Api, path: str) -> None:
    reply = await api.client.get(f"{MEDIA}/{path.format(uuid.uuid4())}")
    assert reply.status_code == 404
    assert reply.json()["code"] in {"media_not_found", "file_not_found"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("6f9c1c1e-3a54-4a3f-9a0c-2c1d5a7b8e9", 400),
        ("6f9c1c1e-3a54-4a3f-9a0c-2c1d5a7b8e90x", 400),
        ("6f9c1c1e-3a54-4a3f-9a0c-2c1d5a7b8e90/", 404),
        ("6f9c1c1e-3a54-4a3f-9a0c-2c1d5a7b8e90%0A", 404),
        ("6f9c1c1e-3a54-4a3f-9a0c-2c1d5a7b8e90/download/", 404),
    ],
)
async def test_what_only_looks_like_an_id_is_refused(api: Api, path: str, status: int) -> None:
    assert (await api.client.get(f"{MEDIA}/{path}")).status_code == status


async def test_other_methods_of_the_same_address_still_work(api: Api) -> None:
    body = await api.uploaded("a.txt", b"text", "document")
    url = f"{MEDIA}/{body['id']}"

    assert (await api.client.put(url, json={"filename": "b.txt"}, headers=api.auth)).json()["filename"] == "b.txt"
    assert (await api.client.post(url)).status_code == 405
    assert (await api.client.delete(url, headers=api.auth)).status_code == 200
    assert (await api.client.get(url)).status_code == 404


async def test_it_counts_against_the_limit_of_an_address(make_api: ApiFactory) -> None:
    api = await make_api(RATE_LIMIT_REQUESTS_PER_MINUTE=3)
    url = f"{MEDIA}/{uuid.uuid4()}"
    statuses = [(await api.client.get(url)).status_code for _ in range(4)]
    assert statuses == [404, 404, 404, 429]


async def test_it_is_measured_under_the_declared_template(api: Api) -> None:
    body = await api.uploaded("a.png", png(5, 5), "image")
    for path in (f"{MEDIA}/{body['id']}", f"{MEDIA}/{body['id']}/download", str(body["url"])):
        assert (await api.client.get(path)).status_code == 200

    text = (await api.client.get("/metrics")).text
    for template in (f"{MEDIA}/{{media_id}}", f"{MEDIA}/{{media_id}}/download", f"{MEDIA}/files/{{key:path}}"):
        assert f'media_http_requests_total{{method="GET",route="{template}",status="2xx"}}' in text
