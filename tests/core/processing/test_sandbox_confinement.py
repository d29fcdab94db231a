"""What code inside a worker can reach: nothing of the server, of the network or of the machine's files."""

import json
import os
import struct
from pathlib import Path

import pytest

from app.core.media_types import MIB
from app.core.processing.workers import seccomp
from app.core.processing.workers.answer_check import MAX_OUTPUT_BYTES
from app.core.processing.workers.confinement import load_libc
from tests.fixtures.sandboxes import JobMaker, SandboxMaker

_HAS_LANDLOCK = load_libc().syscall(444, None, 0, 1) > 0
_FILE_ATTEMPTS = ("read_outside", "read_neighbour", "list_outside", "environ_of_parent", "write_outside")


async def test_a_worker_reaches_nothing_outside(open_sandbox: SandboxMaker, job_named: JobMaker, staging: Path) -> None:
    async with open_sandbox() as sandbox:
        found = (await sandbox.run(job_named("confinement"))).properties
    assert found.pop("thread") == "works"
    if not _HAS_LANDLOCK:
        for name in _FILE_ATTEMPTS:
            del found[name]
    assert {name: how for name, how in found.items() if how not in ("EPERM", "EACCES")} == {}
    assert not (staging.parent / "new.txt").exists()


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
    # Of all capabilities, root keeps at most the one to reach files of other owners.
    assert int(status["CapEff"], 16) & ~0b10 == 0
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
    assert struct.unpack("=HBBI", program[-1])[3] == seccomp._ALLOW


@pytest.mark.parametrize(
    ("number", "argument", "verdict"),
    [
        (0, 0, "allow"),  # read
        (41, 2, "EPERM"),  # socket
        (59, 0, "EPERM"),  # execve
        (56, 0x00010000 | 0x100, "allow"),  # clone of a thread
        (56, 17, "EPERM"),  # clone of a process
        (435, 0, "ENOSYS"),  # clone3
        (62, 4321, "allow"),  # kill of itself
        (62, 1, "EPERM"),
        (302, 0, "allow"),  # prlimit64 of itself
        (302, 1, "EPERM"),
        (0x40000000 | 41, 0, "kill"),  # the x32 way around the table
    ],
)
def test_the_filter_decides(number: int, argument: int, verdict: str) -> None:
    program = [struct.unpack("=HBBI", code) for code in seccomp.build_program(seccomp._X86_64, pid=4321)]
    words = {0: number, 4: seccomp._X86_64.audit_number, 16: argument}
    outcomes = {0x7FFF0000: "allow", 0x00050001: "EPERM", 0x00050026: "ENOSYS", 0x80000000: "kill"}
    accumulator = position = 0
    while True:
        code, true, false, value = program[position]
        position += 1
        if code == 0x20:
            accumulator = words[value]
        elif code == 0x06:
            assert outcomes[value] == verdict
            return
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: accumulator & value}[code]
            position += true if holds else false
