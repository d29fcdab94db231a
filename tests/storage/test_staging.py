"""Staging: what a dead process left goes, what a live one uses stays, and the kernel says which is which."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from app.core.errors import StorageFull, StorageUnavailable
from app.core.staging import Staging, StagingArea, StagingSweep
from tests.fixtures.nursery import Forked, shared_nursery


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    staging = Staging(tmp_path)
    staging.open()
    yield staging
    staging.close(is_settled=True)


@contextmanager
def other_process(upload_dir: Path) -> Iterator[tuple[Forked, str]]:
    """A process that stages half an upload, and its name in the staging tree."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as said, os.fdopen(writing, "wb") as output:
        process = shared_nursery().start(
            [str(upload_dir)],
            entry="tests.fixtures.half_upload:main",
            environment={},
            directory=upload_dir,
            output=output,
            error=output,
        )
        try:
            yield process, said.readline().decode().strip()
        finally:
            process.kill()
            process.wait()


def swept(staging: Staging, *, indebted: tuple[str, ...] = ()) -> StagingSweep:
    return staging.remove_dead(staging.dead_owners(age_s=3600), indebted=indebted)


def use(area: StagingArea) -> None:
    """What receiving an upload does first."""
    area.directory.mkdir()
    area.incoming.write_bytes(b"x")


async def test_an_area_is_fresh_and_gone_afterwards(staging: Staging) -> None:
    async with staging.area() as area:
        assert not area.directory.exists()
        use(area)
    assert list((staging.root / staging.owner).iterdir()) == []


async def test_whatever_was_made_in_an_area_goes_with_it(staging: Staging) -> None:
    async with staging.area() as area:
        use(area)
        (area.directory / "left.jpg").write_bytes(b"x")
        (area.directory / "nested").mkdir()
    assert list((staging.root / staging.owner).iterdir()) == []


async def test_an_area_that_nobody_used_leaves_nothing(staging: Staging) -> None:
    async with staging.area():
        pass
    assert list((staging.root / staging.owner).iterdir()) == []


async def test_an_area_goes_with_an_upload_that_fails(staging: Staging) -> None:
    async def upload() -> None:
        async with staging.area() as area:
            use(area)
            raise StorageFull

    with pytest.raises(StorageFull):
        await upload()
    assert list((staging.root / staging.owner).iterdir()) == []


@pytest.mark.parametrize("steps", range(6))
async def test_an_area_goes_wherever_its_upload_is_cancelled(staging: Staging, steps: int) -> None:
    async def upload() -> None:
        async with staging.area() as area:
            use(area)
            await asyncio.sleep(0)

    task = asyncio.create_task(upload())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert list((staging.root / staging.owner).iterdir()) == []


async def test_a_live_process_keeps_what_it_stages(staging: Staging, tmp_path: Path) -> None:
    with other_process(tmp_path) as (_, owner):
        async with staging.area() as area:
            use(area)
            assert staging.is_alive(owner, age_s=3600) is True
            assert swept(staging) == StagingSweep(0, 0)
            assert area.incoming.exists()
        assert (staging.root / owner / "upload" / "incoming").exists()


async def test_what_a_killed_process_staged_goes(staging: Staging, tmp_path: Path) -> None:
    with other_process(tmp_path) as (process, owner):
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert staging.is_alive(owner, age_s=3600) is False
    assert swept(staging) == StagingSweep(1, 0)
    assert not (staging.root / owner).exists()
    assert staging.is_alive(owner, age_s=3600) is None


async def test_a_dead_process_that_the_journal_knows_keeps_its_sign(staging: Staging, tmp_path: Path) -> None:
    with other_process(tmp_path) as (process, owner):
        process.kill()
        process.wait()
    assert swept(staging, indebted=(owner,)) == StagingSweep(1, 0)
    assert staging.is_alive(owner, age_s=3600) is False
    assert swept(staging) == StagingSweep(0, 0)
    assert staging.is_alive(owner, age_s=3600) is None


async def test_a_process_that_ends_with_debts_leaves_a_sign(tmp_path: Path, staging: Staging) -> None:
    settled, indebted = Staging(tmp_path), Staging(tmp_path)
    for other in (settled, indebted):
        other.open()
    settled.close(is_settled=True)
    indebted.close(is_settled=False)
    assert staging.is_alive(settled.owner, age_s=3600) is None
    assert staging.is_alive(indebted.owner, age_s=3600) is False


async def test_asking_never_makes_a_dead_process_look_alive(staging: Staging, tmp_path: Path) -> None:
    ended = Staging(tmp_path)
    ended.open()
    ended.close(is_settled=False)
    answers = await asyncio.gather(*(asyncio.to_thread(staging.is_alive, ended.owner, age_s=3600) for _ in range(200)))
    assert set(answers) == {False}


async def test_what_could_not_be_removed_before_is_removed_later(staging: Staging) -> None:
    (staging.root / staging.owner / "left" / "made").mkdir(parents=True)
    async with staging.area() as area:
        use(area)
        assert swept(staging) == StagingSweep(1, 0)
        assert area.incoming.exists()


async def test_an_old_trial_file_goes_and_a_young_one_stays(staging: Staging) -> None:
    old, young = staging.root / ".probe-1", staging.root / ".probe-2"
    for probe in (old, young):
        probe.write_bytes(b"")
    os.utime(old, (time.time() - 3600, time.time() - 3600))
    swept(staging)
    assert (old.exists(), young.exists()) == (False, True)


async def test_many_processes_start_while_others_sweep(staging: Staging, tmp_path: Path) -> None:
    def start() -> Staging:
        other = Staging(tmp_path)
        other.open()
        return other

    with ExitStack() as closing:
        sweeping = asyncio.gather(*(asyncio.to_thread(swept, staging) for _ in range(20)))
        opened = await asyncio.gather(*(asyncio.to_thread(start) for _ in range(20)))
        await sweeping
        for other in opened:
            closing.callback(other.close, is_settled=True)
        assert {staging.is_alive(other.owner, age_s=3600) for other in opened} == {True}


def test_a_place_that_is_no_directory_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "uploads").write_bytes(b"")
    with pytest.raises(StorageUnavailable):
        Staging(tmp_path / "uploads").open()
