"""An uploaded video plays and seeks in a real browser, which asks for it in ranges."""

import uuid
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page

from tests.fixtures.av_files import FRAME_RATE, write_video
from tests.fixtures.live_service import LiveService

SECONDS = 8

# Resolves with the position after playing on, or with the media error.
PLAY_AND_SEEK = """async ([url, target]) => {
    const video = document.createElement('video');
    video.muted = true;
    video.preload = 'auto';
    video.src = url;
    document.body.append(video);
    const once = (name) => new Promise((resolve, reject) => {
        video.addEventListener(name, resolve, {once: true});
        video.addEventListener('error', () => reject(new Error('media error ' + video.error?.code)), {once: true});
    });
    await once('loadedmetadata');
    video.currentTime = target;
    await once('seeked');
    await video.play();
    while (video.currentTime < target + 0.2) await new Promise((resolve) => setTimeout(resolve, 20));
    return [video.currentTime, video.duration, video.videoWidth, video.videoHeight];
}"""


@pytest.fixture
def webm(tmp_path: Path) -> bytes:
    path = write_video(
        tmp_path / "clip.webm", container="webm", codec="libvpx", size=(320, 240), frames=SECONDS * FRAME_RATE
    )
    return path.read_bytes()


async def test_an_uploaded_webm_plays_and_seeks(page: Page, live_service: LiveService, webm: bytes) -> None:
    async with httpx.AsyncClient() as client:
        reply = await client.post(
            f"{live_service.url}/api/v1/media/upload",
            files={"file": ("clip.webm", webm)},
            data={"media_type": "video"},
            headers=live_service.auth_of(uuid.uuid4()),
        )
    body = reply.json()
    assert (reply.status_code, body["duration"], body["width"], body["height"]) == (201, SECONDS, 320, 240)

    statuses: list[int] = []
    page.on("response", lambda answer: statuses.append(answer.status) if answer.url == body["url"] else None)
    await page.goto(f"{live_service.url}/docs")
    position, duration, width, height = await page.evaluate(PLAY_AND_SEEK, [body["url"], 6])

    assert 6.2 <= position < SECONDS
    assert duration == pytest.approx(SECONDS, abs=0.1)
    assert (width, height) == (320, 240)
    assert set(statuses) == {206}
