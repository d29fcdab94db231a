"""A COMMIT whose answer is lost: nobody can know from the error which way it went, and nothing is guessed."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.core.database import Database
from app.core.metrics import render_metrics
from tests.fixtures.api import Api, ApiFactory
from tests.fixtures.pictures import png
from tests.reliability.cutting_proxy import Cut, CuttingProxy, cutting_proxy
from tests.reliability.evidence import Inspector

# The order of COMMITs in an upload: the journal's, then the row's; in a delete: the row's, then the journal's.
NOTED, RECORDED = 1, 2
ROW_GONE, STRUCK_OUT = 1, 2


@pytest.fixture
async def proxied(database_url: str) -> AsyncIterator[tuple[CuttingProxy, str]]:
    with tempfile.TemporaryDirectory() as directory:
        async with cutting_proxy(database_url, Path(directory)) as proxied:
            yield proxied


@pytest.fixture
async def shaky_api(make_api: ApiFactory, proxied: tuple[CuttingProxy, str]) -> Api:
    before = successful_sweeps()
    api = await make_api(DATABASE_URL=proxied[1])
    # The sweep at start commits, too, and must not be counted.
    while successful_sweeps() == before:  # noqa: ASYNC110 - it tells the metrics only
        await asyncio.sleep(0.01)
    return api


def successful_sweeps() -> float:
    text = render_metrics()[0].decode()
    return float(text.partition('\nmedia_sweep_runs_total{outcome="ok"} ')[2].partition("\n")[0])


@pytest.fixture
async def proxy(proxied: tuple[CuttingProxy, str]) -> CuttingProxy:
    return proxied[0]


@pytest.fixture
async def inspector(shaky_api: Api, clean_database: Database) -> Inspector:
    return Inspector(clean_database, shaky_api.settings.UPLOAD_DIR)


@pytest.mark.parametrize("cut", list(Cut))
@pytest.mark.parametrize("commit", [NOTED, RECORDED])
async def test_an_upload_is_whole_or_gone_and_a_retry_does_not_double_it(
    shaky_api: Api, proxy: CuttingProxy, inspector: Inspector, cut: Cut, commit: int
) -> None:
    headers = {"Idempotency-Key": "one"}
    proxy.arm(cut, commit=commit)
    reply = await shaky_api.upload("a.png", png(9, 9), "image", headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (503, "database_unavailable")
    assert proxy.has_cut

    evidence = await inspector.settled(within_s=6)
    has_come_through = cut is Cut.ANSWER and commit == RECORDED
    assert len(evidence.files) == (2 if has_come_through else 0)
    await inspector.assert_bytes_are_what_rows_say()

    again = await shaky_api.upload("a.png", png(9, 9), "image", headers=headers)
    assert again.status_code == 201
    assert ("idempotent-replayed" in again.headers) == has_come_through
    assert len((await inspector.settled(within_s=6)).files) == 2


@pytest.mark.parametrize("cut", list(Cut))
@pytest.mark.parametrize("commit", [ROW_GONE, STRUCK_OUT])
async def test_a_delete_is_whole_or_has_not_happened(
    shaky_api: Api, proxy: CuttingProxy, inspector: Inspector, cut: Cut, commit: int
) -> None:
    body = await shaky_api.uploaded("a.png", png(9, 9), "image")
    url = f"/api/v1/media/{body['id']}"
    proxy.arm(cut, commit=commit)
    reply = await shaky_api.client.delete(url, headers=shaky_api.auth)
    assert reply.status_code == (200 if commit == STRUCK_OUT else 503)
    assert proxy.has_cut

    evidence = await inspector.settled(within_s=6)
    is_there = cut is Cut.QUESTION and commit == ROW_GONE
    assert len(evidence.files) == (2 if is_there else 0)
    assert (await shaky_api.client.get(f"{url}/download")).status_code == (200 if is_there else 404)
