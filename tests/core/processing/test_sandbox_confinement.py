"""What code inside a worker can reach: nothing of the server, of the network or of the machine's files."""

import asyncio
import errno
import json
import os
import shutil
import signal
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from app.core import landlock
from app.core.errors import UnreadableFile
from app.core.media_types import MIB
from app.core.processing.workers import seccomp, worker_box
from app.core.processing.workers.answer_check import MAX_OUTPUT_BYTES
from app.core.processing.workers.confinement import load_libc
from tests.fixtures.sandboxes import JobMaker, SandboxMaker, until

_HAS_LANDLOCK = load_libc().syscall(444, None, 0, 1) > 0
_REFUSED = ("EPERM", "EACCES", "ENOSYS", "ENOTTY")


@pytest.mark.skipif(not _HAS_LANDLOCK, reason="this kernel has no Landlock")
@pytest.mark.parametrize("max_landlock", [landlock.NEWEST, 2, 1])
async def test_a_worker_reaches_nothing_outside(
    open_sandbox: SandboxMaker, job_named: JobMaker, staging: Path, max_landlock: int
) -> None:
    async with open_sandbox(max_landlock=max_landlock) as sandbox:
        found = (await sandbox.run(job_named("confinement"))).properties
        assert sandbox.gaps == {}
    assert found.pop("thread") == "works"
    assert {name: how for name, how in found.items() if how not in _REFUSED} == {}
    assert not (staging.parent / "new.txt").exists()
    assert (staging / "incoming").read_bytes() == b"the upload"


async def test_a_kernel_without_landlock_is_told(open_sandbox: SandboxMaker, job_named: JobMaker) -> None:
    async with open_sandbox(max_landlock=0) as sandbox:
        assert sandbox.gaps == {"landlock": "off: landlock"}
        await sandbox.run(job_named("plain"))


async def test_nothing_of_one_job_is_left_to_the_next(
    open_sandbox: SandboxMaker, job_named: JobMaker, staging: Path
) -> None:
    async with open_sandbox() as sandbox:
        for function in ("leftovers", "useful", "bug", "leftovers"):
            with suppress(UnreadableFile):
                found = (await sandbox.run(job_named(function))).properties
            assert [path for path in (staging / "boxes").rglob("*") if path.is_file()] == []
        assert found == {"seen": ["secret"], "sources": ["incoming"]}
        os.kill(sandbox.pids[0], signal.SIGKILL)
        await until(lambda: len(list((staging / "boxes").iterdir())) == 1 and len(sandbox.pids) == 1)
    assert list((staging / "boxes").iterdir()) == []


async def test_a_sandbox_whose_boxes_vanished_makes_new_ones(
    open_sandbox: SandboxMaker, job_named: JobMaker, staging: Path
) -> None:
    async with open_sandbox(workers=2) as sandbox:
        shutil.rmtree(staging / "boxes")
        await asyncio.gather(*(sandbox.run(job_named("useful")) for _ in range(1)))
        assert (staging / "made" / "main.jpg").read_bytes() == b"the uploadthe upload"


async def test_outputs_are_copied_where_the_file_system_does_not_tell_who_writes(
    open_sandbox: SandboxMaker, job_named: JobMaker, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_box, "_knows_writers", lambda _: False)
    async with open_sandbox() as sandbox:
        await sandbox.run(job_named("useful"))
        assert (staging / "made" / "main.jpg").read_bytes() == b"the uploadthe upload"
        await sandbox.run(job_named("kept_descriptor"))  # it keeps another inode than the one that is stored
    assert (staging / "made" / "main.jpg").read_bytes() == b"harmless"


async def test_a_worker_sees_no_secret_and_no_descriptor_of_the_server(
    open_sandbox: SandboxMaker, job_named: JobMaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTH_SECRET", "only for the server")
    with (tmp_path / "outside.txt").open() as secret:
        os.set_inheritable(secret.fileno(), True)
        async with open_sandbox() as sandbox:
            command_line = _proc(sandbox.pids[0], "cmdline")
            found = (await sandbox.run(job_named("environment"))).properties
    assert json.loads(str(found["environ"])).keys() <= {"PATH", "LANG", "LC_CTYPE"}
    # The standard three, the two pipes, and the worker's own view of its memory.
    assert found["open"] == [0, 1, 2, 3, 4, 5]
    assert "only for the server" not in command_line


async def test_the_kernel_agrees_that_a_worker_is_confined(open_sandbox: SandboxMaker) -> None:
    async with open_sandbox() as sandbox:
        [pid] = sandbox.pids
        status = dict(line.split(":\t", 1) for line in _proc(pid, "status").splitlines() if ":\t" in line)
        limits = {line[:25].strip(): line[25:].split()[0] for line in _proc(pid, "limits").splitlines()}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    # Of all capabilities, root keeps at most the one to read files of other owners.
    assert int(status["CapEff"], 16) & ~0b100 == 0
    assert int(status["VmSize"].split()[0]) * 1024 < int(limits["Max address space"]) < 2 * 1024 * MIB
    assert (limits["Max core file size"], limits["Max open files"]) == ("0", "64")
    assert limits["Max file size"] == str(MAX_OUTPUT_BYTES)


def _proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


@pytest.mark.parametrize("architecture", [seccomp._X86_64, seccomp._AARCH64])
def test_every_jump_of_the_filter_lands_inside_it(architecture: seccomp._Architecture) -> None:
    program = seccomp.build_program(architecture, pid=4321)
    assert len(program) < 4096
    for position, instruction in enumerate(program):
        code, true, false, _ = struct.unpack("=HBBI", instruction)
        if code & 0x07 == 0x05:
            assert position + 1 + max(true, false) < len(program)
    assert struct.unpack("=HBBI", program[-1])[3] == seccomp._ERRNO | errno.EPERM


@pytest.mark.parametrize("architecture", [seccomp._X86_64, seccomp._AARCH64])
@pytest.mark.parametrize(
    ("call", "arguments", "verdict"),
    [
        ("read", (), "allow"),
        ("clone", (0x00010000 | 0x100,), "allow"),  # of a thread
        ("clone", (17,), "EPERM"),  # of a process
        ("kill", (4321,), "allow"),
        ("kill", (1,), "EPERM"),
        ("tgkill", (1,), "EPERM"),
        ("prlimit64", (0,), "allow"),
        ("prlimit64", (1,), "EPERM"),
        ("openat", (0, 0, os.O_RDONLY | os.O_CLOEXEC), "allow"),
        ("openat", (0, 0, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "allow"),
        ("openat", (0, 0, os.O_RDWR | os.O_TRUNC), "allow"),
        ("openat", (0, 0, os.O_RDONLY | os.O_TRUNC), "EPERM"),
        ("openat", (0, 0, os.O_RDWR | os.O_TMPFILE), "EPERM"),
        ("openat", (0, 0, 3), "EPERM"),
        ("openat", (0, 0, 3 | os.O_TRUNC), "EPERM"),
        ("fcntl", (5, 4, os.O_NONBLOCK), "allow"),  # F_SETFL
        ("fcntl", (5, 4, 0o20000), "EPERM"),  # with O_ASYNC
        ("fcntl", (5, 1030, 3), "allow"),  # F_DUPFD_CLOEXEC
        *(("fcntl", (5, command), "EPERM") for command in (6, 8, 10, 15, 1024, 1026, 1031, 1033)),
        ("ioctl", (0, 0x5401), "allow"),  # TCGETS
        ("ioctl", (0, 0x5412), "ENOTTY"),  # TIOCSTI
        ("prctl", (15,), "allow"),  # PR_SET_NAME
        *(("prctl", (option,), "EPERM") for option in (1, 4, 8, 24, 38, 47)),
    ],
)
def test_the_filter_decides(
    architecture: seccomp._Architecture, call: str, arguments: tuple[int, ...], verdict: str
) -> None:
    number = {**architecture.allowed, **architecture.filtered}[call]
    assert _verdict(architecture, number, *arguments) == verdict


@pytest.mark.parametrize(
    ("number", "verdict"),
    [
        (41, "EPERM"),  # socket
        (48, "EPERM"),  # shutdown
        (54, "EPERM"),  # setsockopt
        (59, "EPERM"),  # execve
        (76, "EPERM"),  # truncate
        (280, "EPERM"),  # utimensat
        (319, "EPERM"),  # memfd_create
        (425, "ENOSYS"),  # io_uring_setup
        (435, "ENOSYS"),  # clone3
        (10_000, "ENOSYS"),  # what is invented tomorrow
        (0x40000000 | 41, "kill"),  # the x32 way around the table
    ],
)
def test_what_is_not_in_the_list_is_refused(number: int, verdict: str) -> None:
    assert _verdict(seccomp._X86_64, number) == verdict


def _verdict(architecture: seccomp._Architecture, number: int, *arguments: int) -> str:
    """What the kernel would do: the program run by hand."""
    program = [struct.unpack("=HBBI", code) for code in seccomp.build_program(architecture, pid=4321)]
    words = {0: number, 4: architecture.audit_number}
    words |= {16 + 8 * index: value for index, value in enumerate((*arguments, *[0] * (6 - len(arguments))))}
    outcomes = {0x7FFF0000: "allow", 0x50001: "EPERM", 0x50019: "ENOTTY", 0x50026: "ENOSYS", 0x80000000: "kill"}
    accumulator = position = 0
    while True:
        code, true, false, value = program[position]
        position += 1
        if code == 0x20:
            accumulator = words[value]
        elif code == 0x54:
            accumulator &= value
        elif code == 0x06:
            return outcomes[value]
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: accumulator & value}[code]
            position += true if holds else false
