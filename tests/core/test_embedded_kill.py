"""The bundled PostgreSQL when its parent or itself is killed, and when root starts it behind closed directories."""

import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from app.core.embedded import EmbeddedPostgres
from tests.fixtures.embedded import (
    ServerFactory,
    children_of,
    kill,
    package,
    query,
    start_parent,
    wait_until_gone,
)


def test_killed_parent_leaves_no_server_behind(embedded_data_dir: Path, embedded_of: ServerFactory) -> None:
    parent, pid = start_parent(embedded_data_dir)
    processes = [pid, *children_of(pid)]
    assert len(processes) > 1
    kill(parent)
    for process in processes:
        wait_until_gone(process)
    server = embedded_of(embedded_data_dir)
    server.start()
    assert query(server, "SELECT 1") == "1"


def test_start_right_after_the_kill_waits_for_the_old_server(
    embedded_data_dir: Path, embedded_of: ServerFactory
) -> None:
    for _ in range(2):
        parent, _pid = start_parent(embedded_data_dir)
        kill(parent)
        server = embedded_of(embedded_data_dir)
        server.start()
        assert query(server, "SELECT 1") == "1"
        server.stop()


def test_killed_server_is_recovered(embedded_data_dir: Path, embedded_of: ServerFactory) -> None:
    server = embedded_of(embedded_data_dir)
    server.start()
    assert server.pid is not None
    query(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    query(server, "CHECKPOINT")
    os.kill(server.pid, signal.SIGKILL)
    while server.is_running:
        time.sleep(0.01)
    server.start()
    assert query(server, "SELECT answer FROM kept") == "42"


def test_shared_memory_of_a_killed_server_is_waited_for(embedded_data_dir: Path, embedded_of: ServerFactory) -> None:
    server = embedded_of(embedded_data_dir)
    server.start()
    assert server.pid is not None
    straggler = children_of(server.pid)[0]
    os.kill(straggler, signal.SIGSTOP)
    os.kill(server.pid, signal.SIGKILL)
    wake = threading.Timer(0.7, os.kill, (straggler, signal.SIGCONT))
    wake.start()
    started = time.monotonic()
    server.stop()
    server.start()
    wake.join()
    assert time.monotonic() - started > 0.5
    assert query(server, "SELECT 1") == "1"


def test_lock_file_that_names_another_process_does_not_stop_it(
    embedded_data_dir: Path, embedded_of: ServerFactory
) -> None:
    # As after a restart of a container, where the ids of its last life are handed out again.
    server = embedded_of(embedded_data_dir)
    server.start()
    server.stop()
    owner = (embedded_data_dir / "postgres").stat()
    with subprocess.Popen(["sleep", "60"], user=owner.st_uid if os.geteuid() == 0 else None) as stranger:
        try:
            (embedded_data_dir / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n", encoding="ascii")
            server.start()
        finally:
            stranger.kill()


# -- as root ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone has to become somebody else")
def test_root_runs_it_as_another_user_who_may_only_pass_through_closed_directories(
    embedded_data_dir: Path,
) -> None:
    # As in a checkout under /root: the binaries and the data lie behind a directory that is closed to others.
    closed = embedded_data_dir / "closed"
    closed.mkdir(mode=0o700)
    for folder in (package(), package().with_suffix(".libs")):
        shutil.copytree(folder, closed / folder.name, symlinks=True)
    shutil.copytree(embedded_data_dir / "postgres", closed / "data" / "postgres")
    parent, pid = start_parent(closed / "data", packages=closed)
    try:
        assert Path(f"/proc/{pid}/cmdline").read_bytes().startswith(os.fsencode(closed))
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        )
        assert status["Uid"].split() == ["65534"] * 4
        assert status["Groups"].strip() == ""
        assert int(status["CapEff"], 16).bit_count() == 1
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        server = EmbeddedPostgres(closed / "data")
        # It may pass through every directory, and yet reads nothing but its own.
        (closed / "secret").write_text("of root", encoding="ascii")
        for elsewhere in (closed / "secret", Path("/etc/shadow"), Path("/proc/1/environ")):
            with pytest.raises(subprocess.CalledProcessError) as refused:
                query(server, f"SELECT pg_read_file('{elsewhere}')")
            assert "Permission denied" in refused.value.stderr
        query(server, "CREATE TABLE kept AS SELECT generate_series(1, 100000); CHECKPOINT")
        assert query(server, "SELECT count(*) FROM kept") == "100000"
    finally:
        kill(parent)
    wait_until_gone(pid)
