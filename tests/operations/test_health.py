"""`/readyz` names the part that does not work, while `/healthz` goes on saying that the process is fine."""

import re

from app.core.embedded import EmbeddedPostgres
from tests.fixtures.api import Api, ApiFactory

ALL_WELL = {"database": "ok", "storage": "ok", "workers": "ok", "server": "ok"}


async def readiness(api: Api) -> tuple[int, dict[str, str]]:
    """Status and checks of `/readyz`; `/healthz` must be fine all the time."""
    assert (await api.client.get("/healthz")).status_code == 200
    reply = await api.client.get("/readyz")
    body = reply.json()
    assert body["status"] == ("ready" if reply.status_code == 200 else "not_ready")
    assert reply.headers["cache-control"] == "no-store"
    return reply.status_code, body["checks"]


async def up(api: Api, dependency: str) -> float:
    """The gauge of a dependency, as Prometheus reads it."""
    text = (await api.client.get("/metrics")).text
    match = re.search(rf'media_dependency_up\{{dependency="{dependency}"\}} (\S+)', text)
    assert match is not None
    return float(match[1])


async def test_all_is_well(api: Api) -> None:
    assert await readiness(api) == (200, ALL_WELL)
    assert await up(api, "database") == 1


async def test_a_stopped_database_is_named_and_comes_back(make_api: ApiFactory, own_postgres: EmbeddedPostgres) -> None:
    api = await make_api(DATABASE_URL=own_postgres.url, DATABASE_TIMEOUT_S=1)
    own_postgres.stop()
    assert await readiness(api) == (503, ALL_WELL | {"database": "database_unavailable"})
    assert await up(api, "database") == 0
    own_postgres.start()
    assert await readiness(api) == (200, ALL_WELL)
    assert await up(api, "database") == 1


async def test_a_storage_that_was_removed_is_named_and_comes_back(make_api: ApiFactory) -> None:
    api = await make_api()
    away = api.settings.UPLOAD_DIR.with_name("away")
    api.settings.UPLOAD_DIR.rename(away)
    assert await readiness(api) == (503, ALL_WELL | {"storage": "storage_unavailable"})
    assert await up(api, "storage") == 0
    away.rename(api.settings.UPLOAD_DIR)
    assert await readiness(api) == (200, ALL_WELL)


async def test_workers_that_are_gone_are_named(make_api: ApiFactory) -> None:
    api = await make_api()
    await api.services.sandbox.close()
    assert await readiness(api) == (503, ALL_WELL | {"workers": "no_workers"})
    assert await up(api, "workers") == 0


async def test_balancers_may_ask_with_head(api: Api) -> None:
    for path in ("/healthz", "/readyz"):
        reply = await api.client.head(path)
        assert (reply.status_code, reply.content) == (200, b"")
