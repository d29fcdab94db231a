"""A start that cannot succeed says why in one sentence; a bundled PostgreSQL that dies takes the service with it."""

import os
import signal
import uuid
from pathlib import Path

import httpx
import pytest

from tests.fixtures.live_service import LiveService
from tests.fixtures.nursery import shared_nursery
from tests.fixtures.pictures import png
from tests.fixtures.settings import SECRET

USER = uuid.UUID(int=7)


def serve(directory: Path, **environment: str) -> tuple[int, str]:
    """The exit status of `serve`, which ends by itself, and everything that it printed."""
    values = {"PATH": os.defpath, "AUTH_SECRET": SECRET, "PORT": "0", "PROCESSING_WORKERS": "1", **environment}
    done = shared_nursery().run(["serve"], environment=values, directory=directory)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("setting", ["UPLOAD_DIR", "DATA_DIR"])
@pytest.mark.parametrize("where", ["file", "file/below", "/proc/media", "/sys/kernel"])
def test_a_directory_that_cannot_be_used_is_named_in_one_sentence(tmp_path: Path, setting: str, where: str) -> None:
    (tmp_path / "file").write_text("not a directory")
    directory = tmp_path / where
    status, text = serve(tmp_path, **{"DATA_DIR": str(tmp_path / "data"), setting: str(directory)})
    assert status == 2
    assert text.startswith(f"Configuration error:\n{setting}: {directory}")
    assert len(text.splitlines()) == 2


def test_data_that_postgresql_refuses_is_one_sentence_that_names_its_log(embedded_data_dir: Path) -> None:
    (embedded_data_dir / "postgres").chmod(0o777)
    status, text = serve(embedded_data_dir, DATA_DIR=str(embedded_data_dir), UPLOAD_DIR=str(embedded_data_dir / "u"))
    assert status == 2
    [_, sentence] = text.splitlines()
    assert sentence.startswith(f"DATA_DIR: the embedded PostgreSQL in {embedded_data_dir} did not start: ")
    assert "invalid permissions" in sentence
    assert sentence.endswith(f"see {embedded_data_dir / 'postgres.log'}")


def test_a_store_that_turns_out_unusable_later_in_the_start_is_no_traceback(tmp_path: Path, database_url: str) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / ".staging").write_text("in the way")
    status, text = serve(
        tmp_path, DATABASE_URL=database_url, DATA_DIR=str(tmp_path), UPLOAD_DIR=str(tmp_path / "uploads")
    )
    assert status == 3
    assert f"UPLOAD_DIR: {tmp_path / 'uploads'} cannot be used: File exists" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_service_ends_with_its_postgresql_and_keeps_what_it_had(embedded_data_dir: Path, workers: str) -> None:
    directory = embedded_data_dir / "service"
    service = LiveService(directory, {"DATA_DIR": str(embedded_data_dir), "WORKERS": workers})
    try:
        service.start()
        reply = httpx.post(
            f"{service.url}/api/v1/media/upload",
            headers=service.auth_of(USER),
            files={"file": ("a.png", png(40, 30))},
            data={"media_type": "image"},
        )
        assert reply.status_code == 201, reply.text
        server_pid = int((embedded_data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(server_pid, signal.SIGKILL)
        assert service.process is not None
        assert service.process.wait(20) == 1
        log = service.log_path.read_text()
        assert f"The embedded PostgreSQL has ended; see {embedded_data_dir / 'postgres.log'}. Its data is kept." in log
        service.start()
        assert httpx.get(f"{service.url}/api/v1/media/{reply.json()['id']}").status_code == 200
        assert httpx.get(reply.json()["url"]).status_code == 200
    finally:
        service.close()
