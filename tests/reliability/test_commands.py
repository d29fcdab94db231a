"""`sweep`, `reconcile` and `scrub` as an operator or a cron job runs them, beside a running service."""

import asyncio
import os
import time
from typing import Any

import httpx
import orjson
from sqlalchemy import text

from tests.reliability.conftest import Rig
from tests.reliability.ledger import UPLOAD
from tests.storage.test_staging import other_process


async def uploaded(rig: Rig, count: int) -> list[str]:
    """The keys of so many new media."""
    replies = [
        await rig.client.post(UPLOAD, files={"file": ("a.txt", b"text %d" % n)}, data={"media_type": "document"})
        for n in range(count)
    ]
    return [str(reply.json()["url"]).partition("/files/")[2] for reply in replies]


async def said(rig: Rig, *arguments: str, status: int = 0) -> list[dict[str, Any]]:
    """What a command prints on standard output, which is nothing but JSON."""
    done = await asyncio.to_thread(rig.service.command, *arguments)
    assert done.returncode == status, done.stderr
    return [orjson.loads(line) for line in done.stdout.splitlines()]


async def test_a_sweep_beside_a_running_service_takes_what_is_dead_and_nothing_else(rig: Rig) -> None:
    keys = await uploaded(rig, 3)
    with other_process(rig.disk.view) as (process, owner):
        process.kill()
        process.wait()
    async with rig.database.transaction() as session:
        insert = text("INSERT INTO storage_journal (key, owner) VALUES ('2026/11/a_0.txt', :owner)")
        await session.execute(insert, {"owner": owner})

    [report] = await said(rig, "sweep")

    assert (report["keys_removed"], report["uploads_removed"], report["refused"]) == (1, 1, 0)
    assert (await rig.inspector.settled(within_s=1)).files == set(keys)


async def test_reconcile_reports_in_lines_and_refuses_what_is_not_plausible(rig: Rig) -> None:
    keys = await uploaded(rig, 4)
    (rig.disk.view / keys[0]).unlink()
    finding, last = await said(rig, "reconcile", status=1)
    assert (finding["problem"], finding["key"]) == ("row_without_file", keys[0])
    assert (last["summary"]["files"], last["summary"]["rows"]) == (3, 4)

    for key in keys[1:]:
        (rig.disk.view / key).unlink()
    *_, last = await said(rig, "reconcile", "--fix", status=3)
    assert last["refused"] == "implausible_share"
    async with rig.database.read() as session:
        assert (await session.execute(text("SELECT count(*) FROM media"))).scalar_one() == 4


async def test_a_scrub_that_was_stopped_goes_on_and_its_damage_is_a_metric(rig: Rig) -> None:
    keys = await uploaded(rig, 6)
    for key in keys:
        size_bytes = (rig.disk.view / key).stat().st_size
        (rig.disk.view / key).write_bytes(b"x" * size_bytes)

    # At this rate a file takes a second and more; it is stopped in the middle.
    checked = await asyncio.to_thread(stopped_scrub, rig)
    assert 0 < checked < len(keys)

    *findings, last = await said(rig, "scrub", status=1)
    assert last["summary"]["resumed"] is True
    assert {finding["damage"] for finding in findings} == {"wrong_checksum"}
    assert len(keys) - checked <= last["summary"]["files_checked"] < len(keys)
    metrics = (await asyncio.to_thread(httpx.get, f"{rig.service.url}/metrics")).text
    assert 'media_scrub_damaged_files_total{damage="wrong_checksum"}' in metrics


def stopped_scrub(rig: Rig) -> int:
    """Scrub at about six bytes a second and kill it after two files; how many were reported."""
    rate = str(6 / 1024 / 1024)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as printed, os.fdopen(writing, "wb") as output:
        process = rig.service.start_command("scrub", "--rate", rate, output=output)
        lines = [printed.readline() for _ in range(3)]
        time.sleep(0.1)
        process.kill()
        process.wait()
    return sum(b"wrong_checksum" in line for line in lines)
