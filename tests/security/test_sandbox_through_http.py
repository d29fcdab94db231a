"""A file that breaks its decoder costs its own upload a 400 and nobody else anything, seen from the public routes.

The first half runs a service whose decoder is replaced by functions that crash, spin and hoard (hostile_jobs); the
second sends real bombs to a service as it ships. What the sandbox does in detail is shown in tests/core/processing.
"""

import asyncio
import base64
import statistics
import time
from collections.abc import Awaitable
from pathlib import Path

import httpx
import pytest

from app import main
from app.core.config import Settings
from app.core.machine_slots import MachineSlots
from app.core.media_types import MIB
from app.core.processing.sandbox import Sandbox
from tests.fixtures import document_files as documents
from tests.fixtures import image_files, svg_files
from tests.fixtures.api import MEDIA, Api, ApiFactory
from tests.fixtures.pictures import png
from tests.fixtures.sandboxes import HOSTILE_ENTRY
from tests.security.conftest import Target

HOSTILE = {
    "segfault": "unreadable_file",
    "abort": "unreadable_file",
    "leave": "unreadable_file",
    "garbage": "unreadable_file",
    "endless_answer": "unreadable_file",
    "loop": "file_too_complex",
    "loop_in_c": "file_too_complex",
    "sleep": "file_too_complex",
    "memory_at_once": "file_too_complex",
    "memory_bit_by_bit": "file_too_complex",
}
LONGEST_WAIT_S = 1.0


def hostile_sandbox(_: Settings, *, boxes_dir: Path, slots: MachineSlots | None = None, **_others: object) -> Sandbox:
    """The sandbox of the composition root, with short limits and a decoder that does what the file's name says."""
    return Sandbox(
        workers=2,
        queue_size=64,
        timeout_s=6,
        cpu_s=1,
        memory_bytes=256 * MIB,
        boxes_dir=boxes_dir,
        slots=slots,
        entry=HOSTILE_ENTRY,
    )


@pytest.fixture
async def hostile_api(make_api: ApiFactory, monkeypatch: pytest.MonkeyPatch) -> Api:
    """A service whose uploads do what their names say: `segfault.jpg`, `loop.jpg`, `plain.jpg`."""
    monkeypatch.setattr(main, "create_sandbox", hostile_sandbox)
    return await make_api(PROCESSING_WORKERS=2)


async def verdict_on(api: Api, function: str) -> str:
    reply = await api.upload(f"{function}.jpg", b"bytes", "image")
    return "stored" if reply.status_code == 201 else f"{reply.status_code} {reply.json()['code']}"


async def waits_meanwhile(client: httpx.AsyncClient, path: str, work: Awaitable[object]) -> list[float]:
    """Seconds that each of the requests took that were sent until `work` was done."""
    waits: list[float] = []
    task = asyncio.ensure_future(work)
    while not task.done():
        began_at = time.perf_counter()
        assert (await client.get(path)).status_code == 200
        waits.append(time.perf_counter() - began_at)
        await asyncio.sleep(0.01)
    await task
    return waits


def show(what: str, waits: list[float]) -> None:
    middle, worst = statistics.median(waits) * 1000, max(waits) * 1000
    print(f"\n{what}: {len(waits)} other requests, median {middle:.1f} ms, longest {worst:.1f} ms")  # noqa: T201 - asked for


@pytest.mark.parametrize(("function", "code"), HOSTILE.items())
async def test_it_costs_its_own_upload_a_400_and_leaves_nothing(hostile_api: Api, function: str, code: str) -> None:
    assert await verdict_on(hostile_api, function) == f"400 {code}"
    await hostile_api.assert_nothing_left()
    assert await verdict_on(hostile_api, "plain") == "stored"


async def test_others_keep_their_latency_and_their_uploads_meanwhile(hostile_api: Api) -> None:
    assert await verdict_on(hostile_api, "plain") == "stored"
    functions = ["segfault", "loop", "memory_at_once", "plain", "plain", "memory_bit_by_bit", "plain"]
    outcomes: list[str] = []

    async def attack() -> None:
        outcomes.extend(await asyncio.gather(*(verdict_on(hostile_api, function) for function in functions)))

    waits = await waits_meanwhile(hostile_api.client, "/healthz", attack())
    show("crash, loop and hoard", waits)
    assert outcomes == ["stored" if name == "plain" else f"400 {HOSTILE[name]}" for name in functions]
    assert max(waits) < LONGEST_WAIT_S


def _picture_in_svg() -> bytes:
    bomb = image_files.png_of(30_000, 30_000, bits=1, color=0)
    encoded = base64.b64encode(bomb).decode()
    return svg_files.svg(f'<image width="40" height="20" href="data:image/png;base64,{encoded}"/>')


def _long_docx() -> bytes:
    members = documents.docx_members()
    members["word/document.xml"] = b"<w>" + b" " * 250_000_000 + b"</w>"
    return documents.zip_of(members)


def _crowded_docx() -> bytes:
    return documents.zip_of({**documents.docx_members(), **{f"word/{number}": b"" for number in range(6_000)}})


def bombs() -> dict[str, tuple[str, bytes, str]]:
    """Name, content and media type of what is small and wants to be large."""
    return {
        "a PNG of 900 megapixels": ("a.png", image_files.png_of(30_000, 30_000, bits=1, color=0), "image"),
        "a GIF of 65535 x 65535": ("a.gif", image_files.gif_of_frames(2, width=65_535, height=65_535), "image"),
        "a WebP of 268 megapixels in 42 bytes": ("a.webp", image_files.webp_bomb(), "image"),
        "a JPEG whose header lies": ("a.jpg", image_files.jpeg_with_size(65_500, 65_500), "image"),
        "a JPEG of 700 scans": ("a.jpg", image_files.jpeg_of_scans(700), "image"),
        "a GIF of 20,000 frames": ("a.gif", image_files.gif_of_frames(20_000), "image"),
        "an SVG of a million laughs": (
            "a.svg",
            b'<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + svg_files.svg("<text>&b;</text>"),
            "image",
        ),
        "an SVG 100,000 levels deep": ("a.svg", svg_files.svg("<g>" * 100_000 + "</g>" * 100_000), "image"),
        "a DOCX that unpacks to 250 MB": ("a.docx", _long_docx(), "document"),
        "a DOCX of 6,000 members": ("a.docx", _crowded_docx(), "document"),
        "a DOCX whose sizes lie": (
            "a.docx",
            documents.lying_zip(documents.make_docx(), name="word/document.xml", claimed_bytes=10),
            "document",
        ),
    }


async def test_real_bombs_are_refused_in_no_time_while_others_keep_their_latency(target: Target) -> None:
    before, rows = target.files(), target.media_count()
    replies: dict[str, httpx.Response] = {}
    took_s: dict[str, float] = {}
    made = bombs()

    async with httpx.AsyncClient(base_url=target.service.url, timeout=60) as client:

        async def send(what: str, name: str, data: bytes, media_type: str) -> None:
            began_at = time.perf_counter()
            replies[what] = await client.post(
                f"{MEDIA}/upload", files={"file": (name, data)}, data={"media_type": media_type}, headers=target.auth
            )
            took_s[what] = time.perf_counter() - began_at

        async def attack() -> None:
            await asyncio.gather(*(send(what, *bomb) for what, bomb in made.items()))

        waits = await waits_meanwhile(client, "/healthz", attack())

    show("real bombs", waits)
    codes = {"file_too_complex", "unreadable_file", "unsupported_file_type", "file_type_mismatch"}
    assert {w: r.text for w, r in replies.items() if r.status_code != 400 or r.json()["code"] not in codes} == {}
    assert max(took_s.values()) < 20
    assert max(waits) < LONGEST_WAIT_S
    assert target.files() == before
    assert target.media_count() == rows


async def test_a_picture_bomb_inside_a_drawing_is_bounded(target: Target) -> None:
    async with httpx.AsyncClient(base_url=target.service.url, timeout=60) as client:
        reply = await client.post(
            f"{MEDIA}/upload",
            files={"file": ("a.svg", _picture_in_svg())},
            data={"media_type": "image"},
            headers=target.auth,
        )
        assert reply.status_code in {201, 400}
        picture = await client.post(
            f"{MEDIA}/upload", files={"file": ("a.png", png(5, 5))}, data={"media_type": "image"}, headers=target.auth
        )
        assert picture.status_code == 201
        for made in (reply, picture):
            if made.status_code == 201:
                await client.delete(f"{MEDIA}/{made.json()['id']}", headers=target.auth)
