"""libvips inside a worker: confined with all its threads, and content with little memory."""

import tempfile
from pathlib import Path

import pytest

from app.core.file_processing import process_file
from app.core.media_types import MIB, MediaType
from app.core.processing.contract import Job, ProcessingOptions
from app.core.processing.imaging import vips_codec
from app.core.processing.sandbox import DEFAULT_ENTRY
from tests.fixtures import image_files as files
from tests.fixtures.sandboxes import SandboxMaker, until

OPTIONS = ProcessingOptions()


def job_for(data: bytes, extension: str, staging: Path) -> Job:
    (staging / "incoming").write_bytes(data)
    made = tempfile.mkdtemp(dir=staging)
    return Job(str(staging / "incoming"), made, f"photo.{extension}", MediaType.IMAGE, OPTIONS)


def statuses(pid: int) -> list[dict[str, str]]:
    """What the kernel says of each thread of a process."""
    texts = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return [dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line) for text in texts]


async def test_libvips_works_under_the_confinement(
    open_sandbox: SandboxMaker, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = files.png(files.photo(2500, 1500))
    async with open_sandbox(entry=DEFAULT_ENTRY, memory_bytes=640 * MIB) as sandbox:
        [pid] = sandbox.pids
        assert len(statuses(pid)) == 1, "a thread from before the confinement would be free"
        file = await sandbox.run(job_for(data, "png", staging))
        threads = statuses(pid)
    assert {(thread["Seccomp"], thread["NoNewPrivs"]) for thread in threads} == {("2", "1")}
    assert {int(thread["CapEff"], 16) & ~0b100 for thread in threads} == {0}
    made = {}
    for name, uses_libvips in (("libvips", True), ("pillow", False)):
        monkeypatch.setattr(vips_codec, "is_available", uses_libvips)
        made[name] = _bytes_of(process_file(job_for(data, "png", staging)).main_path)
    assert _bytes_of(file.main_path) == made["libvips"] != made["pillow"]


async def test_a_worker_that_rests_gives_back_what_a_photograph_needed(
    open_sandbox: SandboxMaker, staging: Path
) -> None:
    data = files.jpeg(files.photo(4000, 3000))
    async with open_sandbox(entry=DEFAULT_ENTRY, memory_bytes=640 * MIB) as sandbox:
        [pid] = sandbox.pids
        before_kib = _kibibytes(statuses(pid)[0]["VmRSS"])
        for _ in range(2):
            await sandbox.run(job_for(data, "jpg", staging))
        at_work_kib = _kibibytes(statuses(pid)[0]["VmRSS"])
        await until(lambda: _kibibytes(statuses(pid)[0]["VmRSS"]) < before_kib + 16 * 1024)
    assert before_kib + 16 * 1024 < at_work_kib < before_kib + 80 * 1024


@pytest.mark.parametrize(("width", "height", "most_mib"), [(6000, 4000, 80), (7600, 5000, 96)])
async def test_a_large_photograph_is_never_whole_in_memory(
    width: int, height: int, most_mib: int, open_sandbox: SandboxMaker, staging: Path
) -> None:
    data = files.jpeg(files.photo(width, height))
    async with open_sandbox(entry=DEFAULT_ENTRY, memory_bytes=640 * MIB) as sandbox:
        [pid] = sandbox.pids
        [before] = statuses(pid)
        for _ in range(2):
            await sandbox.run(job_for(data, "jpg", staging))
        after = statuses(pid)[0]
        await until(lambda: _kibibytes(statuses(pid)[0]["VmRSS"]) < 120 * 1024)
    grown = _kibibytes(after["VmHWM"]) - _kibibytes(before["VmRSS"])
    assert grown < most_mib * 1024, "as RGB, Pillow holds 92 and 145 MiB of it"


def _kibibytes(value: str) -> int:
    return int(value.split(maxsplit=1)[0])


def _bytes_of(path: str | None) -> bytes:
    assert path is not None
    return Path(path).read_bytes()
