"""What a hostile file can do from inside a worker costs its own upload a 400, and nobody else anything."""

import asyncio
import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from app.core.errors import FileTooComplex, UnreadableFile
from app.core.media_types import MIB
from app.core.metrics import WorkerEnd
from app.core.processing.contract import JsonObject, JsonValue, ProcessedFile, Rendition, Waveform
from app.core.processing.workers import worker_box
from app.core.processing.workers.answer_check import read_answer
from app.core.processing.workers.wire import HEADER, Answer, WireError, encode_answer
from tests.fixtures.sandboxes import JobMaker, SandboxMaker, until


@pytest.mark.parametrize(
    ("function", "tries"),
    [
        # What a signal ended may have been an accident: once.
        *(("segfault", 2), ("abort", 2)),
        *((name, 1) for name in ("leave", "garbage", "half_a_frame", "closed_pipe", "endless_answer", "escaped_path")),
        *(("kept_descriptor", 1), ("kept_mapping", 1), ("lying_rendition", 1)),
    ],
)
async def test_a_worker_that_crashes_or_lies_is_replaced(
    open_sandbox: SandboxMaker, job_named: JobMaker, function: str, tries: int
) -> None:
    async with open_sandbox() as sandbox:
        old = sandbox.pids
        with pytest.raises(UnreadableFile) as caught:
            await sandbox.run(job_named(function))
        assert str(caught.value) == "The file could not be read."
        await sandbox.run(job_named("plain"))
        assert sandbox.pids != old
        assert sandbox.stats.ended == {WorkerEnd.CRASHED: tries}


async def test_an_output_never_takes_the_place_of_the_upload(
    open_sandbox: SandboxMaker, job_named: JobMaker, staging: Path
) -> None:
    async with open_sandbox() as sandbox:
        with pytest.raises(UnreadableFile):
            # As in the service, where both lie in one directory.
            await sandbox.run(replace(job_named("output_named_like_the_upload"), output_dir=str(staging)))
    assert (staging / "incoming").read_bytes() == b"the upload"


@pytest.mark.parametrize("function", ["many_files", "many_bytes"])
async def test_what_a_job_writes_is_bounded_in_sum(
    open_sandbox: SandboxMaker, job_named: JobMaker, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_box, "MAX_JOB_BYTES", 40 * MIB)
    async with open_sandbox() as sandbox:
        with pytest.raises(FileTooComplex, match="too large a result"):
            await sandbox.run(job_named(function))
        await until(lambda: sandbox.stats.ended == {WorkerEnd.OUTPUT_LIMIT: 1})


async def test_threads_are_bounded(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox(memory_bytes=1 << 30) as sandbox:
        with pytest.raises(UnreadableFile):
            await sandbox.run(job_named("many_threads"))


@pytest.mark.parametrize("function", ["loop_in_c", "sleep"])
async def test_wall_time_is_bounded(open_sandbox: SandboxMaker, job_named: JobMaker, function: str) -> None:
    async with open_sandbox(timeout_s=0.4) as sandbox:
        with pytest.raises(FileTooComplex, match="too long"):
            await sandbox.run(job_named(function))
        await until(lambda: sandbox.stats.ended == {WorkerEnd.TIMED_OUT: 1})


async def test_cpu_time_is_bounded(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox(cpu_s=0.1) as sandbox:
        with pytest.raises(FileTooComplex, match="too long"):
            await sandbox.run(job_named("loop_in_c"))
        await until(lambda: sandbox.stats.ended == {WorkerEnd.CPU_LIMIT: 1})


async def test_a_preview_that_takes_too_long_costs_the_picture_and_not_the_upload(
    open_sandbox: SandboxMaker, job_named: JobMaker
) -> None:
    async with open_sandbox() as sandbox:
        assert (await sandbox.run(job_named("long_preview"))).extension == "jpg"
        assert sandbox.stats.ended == {WorkerEnd.PREVIEW_LIMIT: 1}


async def test_memory_is_bounded(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox() as sandbox:
        for function in ("memory_at_once", "memory_bit_by_bit"):
            with pytest.raises(FileTooComplex, match="memory"):
                await sandbox.run(job_named(function))
        await sandbox.run(job_named("plain"))


async def test_a_bloated_worker_retires(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox(memory_bytes=1 << 30) as sandbox:
        await sandbox.run(job_named("bloat"))
        await sandbox.run(job_named("plain"))
        assert sandbox.stats.ended == {WorkerEnd.RETIRED: 1}


async def test_an_answer_too_many_never_becomes_the_next_jobs(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox() as sandbox:
        await sandbox.run(job_named("extra_answer"))
        await until(lambda: sandbox.stats.ended == {WorkerEnd.CRASHED: 1})
        await sandbox.run(job_named("plain"))


async def test_others_are_not_held_up_by_an_endless_loop(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox(workers=2) as sandbox:
        hung = asyncio.create_task(sandbox.run(job_named("loop_in_c")))
        await asyncio.sleep(0.05)
        slowest_s = 0.0
        for _ in range(20):
            began = time.monotonic()
            await sandbox.run(job_named("plain"))
            slowest_s = max(slowest_s, time.monotonic() - began)
        assert slowest_s < 0.5
        hung.cancel()
        await asyncio.gather(hung, return_exceptions=True)


# -- answers that are read in the server ---------------------------------------------------------------------------


def _said(**changes: JsonValue) -> bytes:
    value: JsonObject = {**asdict(ProcessedFile(mime_type="image/jpeg", extension="jpg")), **changes}
    return json.dumps({"kind": "processed", "value": value, "has_text": False, "cpu_s": 0.1, "rss_bytes": 1}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"[" * 1_000_000,
        b'{"kind":"processed"}',
        b'{"kind":"other","value":{}}',
        b'{"kind":"fault","value":{"message":1}}',
        b'{"kind":"refusal","value":{"code":"x","detail":"' + b"x" * 501 + b'"}}',
        _said(mime_type="text/html", extension="html"),
        _said(mime_type="video/mp4", extension="mp4"),
        _said(extension="html"),
        _said(extension=["jpg"]),
        _said(width_px=-1),
        _said(width_px=True),
        _said(width_px=1.5),
        _said(height_px=2**31),
        _said(duration_s=-1),
        _said(duration_s=True),
        _said().replace(b'"duration_s": null', b'"duration_s": NaN'),
        _said().replace(b'"duration_s": null', b'"duration_s": 1e999'),
        _said().replace(b'"properties": {}', b'"properties": {"a": 1e999}'),
        _said().replace(b'"properties": {}', b'"properties": {"a": ' + b"9" * 30 + b"}"),
        _said(properties=[]),
        _said(properties={"a": "\0"}),
        _said(properties={"\ud800": 1}),
        _said(properties={"a": json.loads("[" * 40 + "]" * 40)}),
        _said(thumbnail={"path": "/etc/passwd", "mime_type": "image/jpeg", "width_px": 1, "height_px": 1}),
        _said(waveform={"sample_rate": 1, "samples_per_pixel": 1, "length": 9, "data_base64": "AAAA"}),
        _said(main_path="relative.jpg"),
        _said(main_path=1),
    ],
)
def test_an_answer_that_no_honest_worker_gives_is_refused(body: bytes, job_named: JobMaker) -> None:
    with pytest.raises(WireError):
        read_answer(body, b"", job=job_named("plain"))


def test_only_plain_files_inside_the_output_directory_are_taken(job_named: JobMaker, staging: Path) -> None:
    job, made = job_named("plain"), staging / "made"
    (made / "link").symlink_to("/etc/passwd")
    (made / "twin").hardlink_to(staging / "incoming")
    (made / "folder").mkdir()
    (made / "folder" / "inner").write_bytes(b"x")
    (made / "empty").touch()
    os.mkfifo(made / "pipe")
    with (made / "huge").open("wb") as file:
        file.truncate(1 << 30)
    (staging / "made-sibling").write_bytes(b"x")
    for name in ("link", "twin", "folder", "folder/inner", "empty", "pipe", "huge", "missing", "..", ".", "",
                 "../incoming", "../made-sibling", "x" * 300):  # fmt: skip
        with pytest.raises(WireError):
            read_answer(_said(main_path=f"{made}/{name}"), b"", job=job)
    with pytest.raises(WireError):
        read_answer(_said(main_path=f"{made}-sibling"), b"", job=job)


def test_text_is_checked_and_bounded(job_named: JobMaker) -> None:
    body = _said().replace(b'"has_text": false', b'"has_text": true')
    for text in (b"\xff", b"\0", b"x" * 1_000_001):
        with pytest.raises(WireError):
            read_answer(body, text, job=job_named("plain"))


def test_an_honest_answer_survives_the_round_trip(job_named: JobMaker, staging: Path) -> None:
    main, poster = staging / "made" / "a.jpg", staging / "made" / "b.webp"
    main.write_bytes(b"main")
    poster.write_bytes(b"poster")
    answer = Answer(
        ProcessedFile(
            mime_type="image/jpeg",
            extension="jpg",
            main_path=str(main),
            width_px=4,
            height_px=3,
            duration_s=0.04,
            properties={"camera": "Ünïcode", "nested": [1, 2.5, None, True, {"a": []}]},
            poster=Rendition(str(poster), "image/webp", 2, 2),
            waveform=Waveform(8000, 256, 2, "AAAAAA=="),
            text="",
        ),
        cpu_s=0.5,
        rss_bytes=123,
    )
    frame = encode_answer(answer)
    json_bytes, text_bytes = HEADER.unpack_from(frame)
    assert len(frame) == HEADER.size + json_bytes + text_bytes
    assert read_answer(frame[HEADER.size :], b"", job=job_named("plain")) == answer
