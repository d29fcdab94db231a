"""The documentation pages in a real browser: Swagger UI uploads a file, and nothing comes from a foreign host."""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Error, Page, expect

from tests.fixtures.live_service import LiveService, LiveServiceFactory
from tests.fixtures.pictures import png


@pytest.fixture
def requested(page: Page) -> list[str]:
    """Every address that the page really asks; what its policy stops inside the browser asks nobody."""
    addresses: list[str] = []
    page.on("requestfinished", lambda request: addresses.append(request.url))
    page.on("requestfailed", lambda request: addresses.append(request.url) if request.failure != "csp" else None)
    return addresses


def foreign(addresses: list[str], service: LiveService) -> list[str]:
    return [url for url in addresses if not url.startswith((service.url, "data:", "blob:"))]


async def test_swagger_ui_authorises_uploads_an_image_and_shows_its_thumbnail(
    page: Page, requested: list[str], live_service: LiveService, tmp_path: Path
) -> None:
    picture = tmp_path / "picked photo.png"
    picture.write_bytes(png(640, 480))
    token = live_service.auth_of(uuid.uuid4())["Authorization"].removeprefix("Bearer ")

    await page.goto(f"{live_service.url}/docs")
    await page.get_by_role("button", name="Authorize").first.click()
    await page.locator(".auth-container input").fill(token)
    await page.locator(".auth-btn-wrapper .authorize").click()
    await page.locator(".auth-btn-wrapper .btn-done").click()

    operation = page.locator("#operations-media-uploadMedia")
    await operation.locator(".opblock-summary-control").click()
    await operation.locator("input[type=file]").set_input_files(picture)
    await operation.locator("tr[data-property-name=media_type] select").select_option("image")
    await operation.get_by_role("button", name="Execute").click()

    answer = operation.locator(".live-responses-table")
    await expect(answer.locator("tr.response td.response-col_status")).to_contain_text("201")
    text = await answer.locator(".highlight-code code").first.inner_text()
    body = json.loads(re.sub(r"^[^{]*|[^}]*$", "", text))
    assert body["filename"] == "picked photo.png"
    assert foreign(requested, live_service) == []

    reply = await page.goto(body["thumbnail_url"])
    assert reply is not None
    assert reply.status == 200
    size = await page.evaluate("() => [document.images[0].naturalWidth, document.images[0].naturalHeight]")
    assert size == [300, 225]


async def test_redoc_shows_the_api_and_asks_nobody_else(
    page: Page, requested: list[str], live_service: LiveService
) -> None:
    await page.goto(f"{live_service.url}/redoc")

    await expect(page.get_by_role("heading", name="Upload a file").first).to_be_visible()
    assert foreign(requested, live_service) == []


@pytest.fixture
async def frontend() -> AsyncIterator[str]:
    """The origin of some other web server with an empty page."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_page_of_another_origin_may_upload_when_it_is_allowed(
    page: Page, frontend: str, make_live_service: LiveServiceFactory
) -> None:
    service = make_live_service(CORS_ORIGINS=frontend)
    await page.goto(frontend)
    status, location = await page.evaluate(_UPLOAD, [service.url, service.auth_of(uuid.uuid4())])

    assert status == 201
    assert location.startswith("/api/v1/media/")


async def test_a_page_of_another_origin_may_not_without_being_allowed(
    page: Page, frontend: str, live_service: LiveService
) -> None:
    await page.goto(frontend)
    with pytest.raises(Error, match="Failed to fetch"):
        await page.evaluate(_UPLOAD, [live_service.url, live_service.auth_of(uuid.uuid4())])


_UPLOAD = """async ([url, headers]) => {
    const form = new FormData();
    form.append('file', new File(['hello'], 'hello.txt', {type: 'text/plain'}));
    form.append('media_type', 'document');
    const reply = await fetch(`${url}/api/v1/media/upload`, {method: 'POST', headers, body: form});
    return [reply.status, reply.headers.get('Location')];
}"""
