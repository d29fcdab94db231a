"""The bundled PostgreSQL: it starts anywhere, keeps its data, and says in one sentence why it cannot start."""

import os
import stat
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from app.core.config import ConfigurationError
from app.core.embedded import AlreadyRunning, EmbeddedPostgres
from app.core.postgres.cluster import MAX_LOG_BYTES
from tests.fixtures.embedded import ServerFactory, is_alive, kill, query, start_parent, wait_until_gone


def test_data_are_kept_from_start_to_start(embedded_data_dir: Path, embedded_of: ServerFactory) -> None:
    server = embedded_of(embedded_data_dir)
    url = server.start()
    query(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    assert not server.is_running
    assert server.start() == url
    assert query(server, "SELECT answer FROM kept") == "42"


def test_start_makes_a_cluster_where_there_is_none(tmp_path: Path, embedded_of: ServerFactory) -> None:
    (tmp_path / "data" / "postgres.new").mkdir(parents=True)  # what a killed start left behind
    (tmp_path / "data" / "postgres.new" / "PG_VERSION").write_text("1", encoding="ascii")
    server = embedded_of(tmp_path / "data")
    server.start()
    asked = "SELECT pg_encoding_to_char(encoding), datlocprovider, datlocale FROM pg_database"
    assert set(query(server, asked).splitlines()) == {"UTF8|b|C.UTF-8"}
    assert not (tmp_path / "data" / "postgres.new").exists()


def test_start_and_stop_may_be_called_again(embedded_data_dir: Path, embedded_of: ServerFactory) -> None:
    server = embedded_of(embedded_data_dir)
    server.stop()
    server.start()
    pid = server.pid
    server.start()
    assert server.pid == pid
    server.stop()
    server.stop()
    assert server.pid is None


def test_only_this_user_reaches_the_server(embedded_data_dir: Path, embedded_of: ServerFactory) -> None:
    server = embedded_of(embedded_data_dir)
    server.start()
    assert query(server, "SHOW listen_addresses") == ""
    for private in ("postgres", "postgres-socket"):
        assert stat.S_IMODE((embedded_data_dir / private).stat().st_mode) == 0o700


def test_what_users_sent_does_not_get_into_the_log(embedded_data_dir: Path, embedded_of: ServerFactory) -> None:
    server = embedded_of(embedded_data_dir)
    server.start()
    query(server, "CREATE TABLE people (name text PRIMARY KEY, age int NOT NULL)")
    query(server, "INSERT INTO people VALUES ('a secret', 1)")
    for refused in ("VALUES ('a secret', 2)", "VALUES ('a secret', NULL)", "SELECT 'b', 'a secret'::int"):
        with pytest.raises(subprocess.CalledProcessError):
            query(server, f"INSERT INTO people {refused}")
    log = server.log_path.read_text()
    assert "ready to accept connections" in log
    assert "secret" not in log
    assert "people" not in log


def test_durability_is_on_unless_it_is_turned_off(embedded_data_dir: Path) -> None:
    server = EmbeddedPostgres(embedded_data_dir)
    server.start()
    try:
        assert query(server, "SHOW fsync") == "on"
        assert query(server, "SHOW synchronous_commit") == "on"
    finally:
        server.stop()


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(embedded_data_dir: Path, embedded_of: ServerFactory) -> None:
    server = embedded_of(embedded_data_dir)
    server.start()
    assert server.pid is not None
    assert os.getpgid(server.pid) != os.getpgid(0)


def test_thread_other_than_the_main_one_is_refused(embedded_data_dir: Path) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            EmbeddedPostgres(embedded_data_dir).start()
        except RuntimeError as exc:
            caught.append(exc)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


@pytest.mark.parametrize("name", ["x" * 120, "with space", "quo'te", 'double"quote', "com,ma", "ünïcode", "per%cent"])
def test_every_path_will_do(embedded_data_dir: Path, embedded_of: ServerFactory, name: str) -> None:
    server = embedded_of(embedded_data_dir / name)
    (embedded_data_dir / name).mkdir()
    (embedded_data_dir / "postgres").rename(embedded_data_dir / name / "postgres")
    server.start()
    assert query(server, "SELECT 1") == "1"
    [socket_dir] = parse_qs(urlsplit(server.url).query)["host"]
    assert stat.S_IMODE(Path(socket_dir).stat().st_mode) == 0o700
    server.stop()
    assert not Path(socket_dir).exists()


def test_long_log_is_put_aside(embedded_data_dir: Path, embedded_of: ServerFactory) -> None:
    with (embedded_data_dir / "postgres.log").open("wb") as log:
        log.truncate(MAX_LOG_BYTES + 1)
    embedded_of(embedded_data_dir).start()
    assert (embedded_data_dir / "postgres.log.1").stat().st_size == MAX_LOG_BYTES + 1
    assert (embedded_data_dir / "postgres.log").stat().st_size < 10_000


# -- when it cannot start ---------------------------------------------------------------------------------------------


def test_second_server_on_the_same_data_is_refused(embedded_data_dir: Path, embedded_of: ServerFactory) -> None:
    first = embedded_of(embedded_data_dir)
    first.start()
    with pytest.raises(AlreadyRunning, match="already in use"):
        embedded_of(embedded_data_dir).start()
    assert query(first, "SELECT 1") == "1"


def test_second_process_on_the_same_data_is_refused(embedded_data_dir: Path, embedded_of: ServerFactory) -> None:
    parent, pid = start_parent(embedded_data_dir)
    try:
        with pytest.raises(AlreadyRunning, match="already in use"):
            embedded_of(embedded_data_dir).start()
        assert is_alive(pid)
    finally:
        kill(parent)
        wait_until_gone(pid)


def test_directory_that_cannot_be_used_is_named(tmp_path: Path, embedded_of: ServerFactory) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"DATA_DIR.*file"):
        embedded_of(tmp_path / "file").start()


def test_damaged_cluster_is_reported_at_once_with_the_words_of_the_server(
    embedded_data_dir: Path, embedded_of: ServerFactory
) -> None:
    (embedded_data_dir / "postgres" / "PG_VERSION").write_text("9.1\n", encoding="ascii")
    started = time.monotonic()
    with pytest.raises(ConfigurationError, match="not compatible with this version"):
        embedded_of(embedded_data_dir).start()
    assert time.monotonic() - started < 5
    (embedded_data_dir / "postgres" / "PG_VERSION").write_text("18\n", encoding="ascii")
    embedded_of(embedded_data_dir).start()  # the failed start holds no lock
