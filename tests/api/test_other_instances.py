"""What one instance changes, another one shows in time, also when the database has stopped telling it."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.services.public_reads import UNHEARD_TTL_S
from tests.fixtures.api import MEDIA, ApiFactory
from tests.fixtures.silent_proxy import SilentProxy, silent_proxy


@pytest.fixture
async def proxied(database_url: str) -> AsyncIterator[tuple[SilentProxy, str]]:
    with tempfile.TemporaryDirectory(prefix="pg-") as directory:
        async with silent_proxy(database_url, Path(directory)) as (proxy, url):
            yield proxy, url
            proxy.passes.set()


async def test_a_deleted_media_is_gone_within_a_second_though_the_listener_died_in_silence(
    proxied: tuple[SilentProxy, str], make_api: ApiFactory
) -> None:
    proxy, url = proxied
    one, other = await make_api(), await make_api(DATABASE_URL=url)
    media = await one.uploaded("a.txt", b"text", "document")
    address = f"{MEDIA}/{media['id']}"
    while other.services.media._reads._cache._ttl_s <= UNHEARD_TTL_S:  # it does not hear yet
        await other.client.get(address)
    assert (await other.client.get(address)).status_code == 200
    proxy.passes.clear()
    await one.client.delete(address, headers=one.auth)
    first_read_at = time.monotonic()
    while (await other.client.get(address)).status_code == 200:
        assert time.monotonic() - first_read_at < 1.0
        await asyncio.sleep(0.02)
