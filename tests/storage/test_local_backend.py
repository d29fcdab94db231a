"""The local backend keeps the contract of all backends, and a few promises of a file system on top."""

import itertools
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import StorageUnavailable, StoredFileNotFound
from app.core.staging import STAGING_DIRECTORY
from app.core.storage_backends.local import LocalBackend
from tests.storage.contract import KEY, Stage, StorageContract, content, listed


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "uploads" / STAGING_DIRECTORY).mkdir(parents=True)
    return tmp_path / "uploads"


class TestLocalBackend(StorageContract):
    @pytest.fixture
    def backend(self, root: Path) -> LocalBackend:
        return LocalBackend(root)

    @pytest.fixture
    def stage(self, root: Path) -> Stage:
        numbers = itertools.count()

        def stage(data: bytes) -> Path:
            file = root / STAGING_DIRECTORY / f"staged-{next(numbers)}"
            file.write_bytes(data)
            return file

        return stage

    async def test_nobody_else_may_read_or_run_it(self, backend: LocalBackend, stage: Stage, root: Path) -> None:
        await backend.publish([(stage(b"x"), KEY)])
        assert stat.S_IMODE((root / KEY).stat().st_mode) == 0o640
        assert stat.S_IMODE((root / KEY).parent.stat().st_mode) & 0o007 == 0

    async def test_a_symlink_is_no_stored_file(self, backend: LocalBackend, root: Path, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(b"secret")
        (root / KEY).parent.mkdir(parents=True)
        (root / KEY).symlink_to(tmp_path / "secret")

        with pytest.raises(StoredFileNotFound):
            await content(backend, KEY)
        with pytest.raises(StoredFileNotFound):
            await backend.stat(KEY)
        assert await listed(backend) == {}

    async def test_a_directory_is_no_stored_file(self, backend: LocalBackend, root: Path) -> None:
        (root / KEY).mkdir(parents=True)
        with pytest.raises(StoredFileNotFound):
            await content(backend, KEY)
        with pytest.raises(StoredFileNotFound):
            await backend.stat(KEY)

    async def test_what_the_file_system_or_a_person_keeps_there_is_not_listed(
        self, backend: LocalBackend, stage: Stage, root: Path
    ) -> None:
        (root / "lost+found").mkdir()
        (root / "lost+found" / "#12").write_bytes(b"")
        (root / ".gitkeep").write_bytes(b"")
        await backend.publish([(stage(b"x"), KEY)])
        assert set(await listed(backend)) == {KEY}

    async def test_emptied_directories_go_and_others_stay(
        self, backend: LocalBackend, stage: Stage, root: Path
    ) -> None:
        await backend.publish([(stage(b"x"), "2025/01/a_0.txt")])
        await backend.publish([(stage(b"x"), "2025/02/a_0.txt")])
        await backend.delete("2025/01/a_0.txt")
        assert names(root / "2025") == ["02"]
        await backend.delete("2025/02/a_0.txt")
        assert names(root) == [STAGING_DIRECTORY]

    async def test_a_file_that_cannot_be_moved_in_one_step_is_not_stored_at_all(
        self, backend: LocalBackend, elsewhere: Path
    ) -> None:
        staged = elsewhere / "staged"
        staged.write_bytes(b"x")
        with pytest.raises(StorageUnavailable):
            await backend.publish([(staged, KEY)])
        assert await listed(backend) == {}


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def elsewhere(root: Path) -> Iterator[Path]:
    """A directory on another file system: rename(2) refuses to go from one to the other."""
    homes = [path for path in (Path("/dev/shm"), Path("/tmp"), Path.home()) if path.is_dir()]
    home = next(path for path in homes if path.stat().st_dev != root.stat().st_dev)
    directory = Path(tempfile.mkdtemp(dir=home))
    yield directory
    shutil.rmtree(directory)
