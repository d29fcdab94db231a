"""After real traffic on two server processes, `/metrics` has what the dashboard and the alerts ask for."""

import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.core.embedded import EmbeddedPostgres
from tests.fixtures.live_service import LiveService
from tests.fixtures.pictures import jpeg, png
from tests.operations.test_dashboards import expressions

UPLOAD = "/api/v1/media/upload"
PICTURE = jpeg(640, 480)


@pytest.fixture(scope="module")
def service(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[LiveService]:
    directory = tmp_path_factory.mktemp("metrics")
    running = LiveService(directory, {"DATABASE_URL": postgres.url, "WORKERS": "2"})
    running.start()
    deadline = time.monotonic() + 20
    while samples(httpx.get(f"{running.url}/metrics").text).get("media_sandbox_workers") != 2:
        assert time.monotonic() < deadline, "the second server process has not started"
        time.sleep(0.05)  # one of them is ready before the other
    yield running
    running.close()


@pytest.fixture(scope="module")
def scraped(service: LiveService) -> dict[str, float]:
    """The samples by name with labels, after one of everything."""
    user = service.auth_of(uuid.uuid4())
    with httpx.Client(base_url=service.url, timeout=30) as client:
        kept = _upload(client, "a.jpg", PICTURE, user)
        assert kept.status_code == 201, kept.text
        assert _upload(client, "a.png", b"not a picture" * 100, user).status_code == 400
        assert _upload(client, "a.png", png(10, 10), {}).status_code == 401
        address = f"/api/v1/media/{kept.json()['id']}"
        for path in (address, f"{address}/download", "/api/v1/media/"):
            client.get(path, headers=user)
        for path in ("/readyz", "/nowhere", "/docs-assets/favicon.png"):
            client.get(path)
        assert service.command("scrub").returncode == 0
        time.sleep(0.2)  # the last answer is counted after its last byte
        return samples(client.get("/metrics").text)


def samples(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^([a-z_]+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)}


def _upload(client: httpx.Client, name: str, content: bytes, headers: dict[str, str]) -> httpx.Response:
    return client.post(UPLOAD, files={"file": (name, content)}, data={"media_type": "image"}, headers=headers)


def test_everything_that_the_dashboard_and_the_alerts_ask_for_has_samples(scraped: dict[str, float]) -> None:
    asked = {name for text in expressions() for name in re.findall(r"\bmedia_[a-z_]+", text)} - {"media_type"}
    assert asked - {name.partition("{")[0] for name in scraped} == set()


def test_requests_are_counted_by_the_template_of_their_route(scraped: dict[str, float]) -> None:
    counted = {name: value for name, value in scraped.items() if name.startswith("media_http_requests_total{")}
    assert {
        f'media_http_requests_total{{method="{method}",route="{route}",status="{status}"}}'
        for method, route, status in [
            ("POST", "/api/v1/media/upload", "2xx"),
            ("POST", "/api/v1/media/upload", "4xx"),
            ("GET", "/api/v1/media/{media_id}", "2xx"),
            ("GET", "/api/v1/media/{media_id}/download", "2xx"),
            ("GET", "/api/v1/media/", "2xx"),
            ("GET", "/docs-assets/*", "2xx"),
            ("GET", "unmatched", "4xx"),
        ]
    } <= set(counted)
    assert counted['media_http_requests_total{method="POST",route="/api/v1/media/upload",status="4xx"}'] == 2


def test_uploads_are_counted_by_outcome_also_those_without_a_token(scraped: dict[str, float]) -> None:
    uploads = {name: value for name, value in scraped.items() if name.startswith("media_uploads_total")}
    assert uploads['media_uploads_total{media_type="image",outcome="ok"}'] == 1
    assert uploads['media_uploads_total{media_type="unknown",outcome="unauthenticated"}'] == 1
    assert sum(uploads.values()) == 3
    assert scraped['media_upload_received_bytes_total{media_type="image"}'] > len(PICTURE)
    assert scraped["media_uploads_in_progress"] == 0


def test_bytes_and_seconds_are_counted_where_they_are_spent(scraped: dict[str, float]) -> None:
    assert scraped['media_download_sent_bytes_total{sender="service"}'] > 1000
    assert scraped['media_processing_seconds_count{kind="image",outcome="ok"}'] == 1
    assert scraped['media_processing_seconds_count{kind="image",outcome="refused"}'] == 1
    assert scraped["media_processing_wait_seconds_count"] == 2


def test_gauges_of_two_processes_add_up_and_those_of_commands_do_not(scraped: dict[str, float]) -> None:
    assert scraped["media_sandbox_workers"] == 2
    assert scraped["media_db_pool_size"] == 20
    assert scraped["media_db_pool_in_use"] <= 1
    assert scraped["media_http_requests_in_progress"] == 1  # the scrape itself


def test_the_store_and_its_parts_are_measured(scraped: dict[str, float]) -> None:
    assert scraped["media_storage_free_bytes"] > 0
    for part in ("database", "storage", "workers"):
        assert scraped[f'media_dependency_up{{dependency="{part}"}}'] == 1
    assert scraped['media_storage_files{media_type="video"}'] == 0


def test_commands_count_with_the_service(scraped: dict[str, float]) -> None:
    assert scraped["media_scrub_files_checked_total"] >= 1
    assert scraped['media_sweep_runs_total{outcome="ok"}'] >= 1  # the one at the start


def test_a_log_line_names_the_same_route(service: LiveService, scraped: dict[str, float]) -> None:
    assert "route=/api/v1/media/{media_id}/download" in Path(service.log_path).read_text()
