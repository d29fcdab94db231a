"""Staging that somebody removes comes back with its lock, and other machines' processes are judged by their age."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app.core.errors import StorageUnavailable
from app.core.held_directory import is_lock_held
from app.core.owner_names import Machine
from app.core.staging import Staging
from app.core.uploads.staged_file import StagedFile

AGE_S = 3600.0
HERE = Machine.this()
REBOOTED = Machine(boot="0" * 12, machine="1" * 12)
BEFORE = Machine(boot="2" * 12, machine="1" * 12)
ELSEWHERE = Machine(boot="0" * 12, machine="0" * 12)

Opener = Callable[[Machine], Staging]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """A Staging of some machine, all in one store."""
    with ExitStack() as closing:

        def make(machine: Machine) -> Staging:
            staging = Staging(tmp_path, machine=machine)
            staging.open()
            closing.callback(staging.close, is_settled=True)
            return staging

        yield make


@pytest.fixture
def staging(opened: Opener) -> Staging:
    return opened(HERE)


def own(staging: Staging) -> Path:
    return staging.root / staging.owner


def grow_old(directory: Path, *, by_s: float) -> None:
    used = directory.stat().st_mtime
    os.utime(directory, (used, used - by_s))


async def stage(staging: Staging) -> None:
    """An upload's bytes, as the service stages them."""
    async with staging.area() as area:
        file = StagedFile(area.incoming, restore=staging.hold)
        file.add(b"bytes", 0, 5)
        await file.finish()
        assert area.incoming.read_bytes() == b"bytes"


@pytest.mark.parametrize("which", ["own", "root"])
async def test_the_next_upload_makes_what_vanished_and_locks_it(staging: Staging, which: str) -> None:
    shutil.rmtree(own(staging) if which == "own" else staging.root)
    await stage(staging)
    assert is_lock_held(own(staging)) is True
    assert staging.dead_owners(age_s=AGE_S) == set()


def test_readiness_tries_the_directory_that_uploads_need_and_makes_it_anew(staging: Staging) -> None:
    shutil.rmtree(staging.root)
    staging.check_writable()
    assert is_lock_held(own(staging)) is True
    assert list(own(staging).iterdir()) == []


async def test_readiness_fails_as_long_as_uploads_do(staging: Staging) -> None:
    shutil.rmtree(own(staging))
    own(staging).write_bytes(b"a file in its place")
    with pytest.raises(StorageUnavailable):
        staging.check_writable()
    with pytest.raises(StorageUnavailable):
        await stage(staging)
    own(staging).unlink()
    staging.check_writable()
    await stage(staging)


@pytest.fixture
def unmount(tmp_path: Path) -> Callable[[], Callable[[], object]]:
    """Takes the store away; what it returns brings it back."""
    away = tmp_path.with_name(f"{tmp_path.name}-unmounted")

    def take() -> Callable[[], object]:
        tmp_path.rename(away)
        return lambda: away.rename(tmp_path)

    return take


async def test_nothing_is_made_where_the_store_is_gone(
    staging: Staging, unmount: Callable[[], Callable[[], object]]
) -> None:
    mount = unmount()
    with pytest.raises(StorageUnavailable):
        staging.check_writable()
    with pytest.raises(StorageUnavailable):
        await stage(staging)
    mount()  # which fails if anything was made in its place
    await stage(staging)


def test_nothing_is_made_on_another_disk_than_at_the_start(tmp_path: Path) -> None:
    # What a mount point shows when its disk is gone; the link stands for the mount.
    disk, store = tmp_path / "disk", tmp_path / "store"
    disk.mkdir()
    store.symlink_to(disk)
    staging = Staging(store)
    staging.open()
    with TemporaryDirectory(dir="/dev/shm") as beneath:
        assert Path(beneath).stat().st_dev != disk.stat().st_dev
        point_to(store, Path(beneath))
        with pytest.raises(StorageUnavailable):
            staging.check_writable()
        assert list(Path(beneath).iterdir()) == []
        point_to(store, disk)
        staging.check_writable()
    staging.close(is_settled=True)


def point_to(link: Path, directory: Path) -> None:
    link.unlink()
    link.symlink_to(directory)


def test_a_directory_that_a_sync_brought_back_is_locked_at_the_next_beat(staging: Staging) -> None:
    shutil.rmtree(own(staging))
    own(staging).mkdir()
    assert is_lock_held(own(staging)) is False
    staging.beat()
    assert is_lock_held(own(staging)) is True


def test_staging_that_is_closed_stays_closed(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    staging.open()
    staging.close(is_settled=True)
    staging.hold()
    staging.beat()
    assert not own(staging).exists()


def test_another_machines_process_lives_as_long_as_it_shows_it(staging: Staging, opened: Opener) -> None:
    other = opened(ELSEWHERE)
    other._held.release()  # as its lock looks from here: free
    grow_old(own(other), by_s=AGE_S - 60)
    assert staging.is_alive(other.owner, age_s=AGE_S) is True
    assert staging.dead_owners(age_s=AGE_S) == set()

    grow_old(own(other), by_s=120)
    assert staging.is_alive(other.owner, age_s=AGE_S) is False
    assert staging.dead_owners(age_s=AGE_S) == {other.owner}


def test_a_lock_that_another_machine_seems_to_hold_proves_nothing(staging: Staging, opened: Opener) -> None:
    other = opened(ELSEWHERE)
    grow_old(own(other), by_s=AGE_S + 60)
    assert staging.is_alive(other.owner, age_s=AGE_S) is False
    other.beat()
    assert staging.is_alive(other.owner, age_s=AGE_S) is True


def test_emptying_a_dead_machines_directory_does_not_make_it_look_alive(staging: Staging, opened: Opener) -> None:
    other = opened(ELSEWHERE)
    (own(other) / "upload").mkdir()
    grow_old(own(other), by_s=AGE_S + 60)
    dead = staging.dead_owners(age_s=AGE_S)
    assert staging.remove_dead(dead, indebted=dead).removed == 1
    assert staging.dead_owners(age_s=AGE_S) == {other.owner}
    staging.remove_dead(dead, indebted=())
    assert not own(other).exists()


def test_before_the_last_boot_nobody_lives(opened: Opener) -> None:
    now, before = opened(REBOOTED), opened(BEFORE)
    assert now.is_alive(before.owner, age_s=AGE_S) is False
    assert now.is_alive(BEFORE.new_owner(), age_s=AGE_S) is False  # its directory is gone
    assert now.dead_owners(age_s=AGE_S) == {before.owner}


def test_of_this_boot_the_lock_decides_at_any_age(staging: Staging, opened: Opener) -> None:
    other = opened(HERE)
    grow_old(own(other), by_s=10 * AGE_S)
    assert staging.is_alive(other.owner, age_s=AGE_S) is True
    other._held.release()
    other.root.joinpath(other.owner).touch()
    assert staging.is_alive(other.owner, age_s=AGE_S) is False


def test_names_of_the_release_before_are_judged_by_age(staging: Staging) -> None:
    old_name = uuid.uuid4().hex
    (staging.root / old_name).mkdir()
    assert staging.is_alive(old_name, age_s=AGE_S) is True
    grow_old(staging.root / old_name, by_s=AGE_S + 60)
    assert staging.dead_owners(age_s=AGE_S) == {old_name}
    assert staging.is_alive(uuid.uuid4().hex, age_s=AGE_S) is None
