"""The command line explains itself, shows no secret, and its exit status tells scripts how it went."""

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.cli.check import shown
from app.cli.main import main
from tests.fixtures.nursery import PROJECT, shared_nursery
from tests.fixtures.settings import SECRET

COMMANDS = ["serve", "token", "migrate", "sweep", "reconcile", "scrub", "check", "openapi", "reference"]
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """`command("check", DATABASE_URL=…)`: exit status and everything printed, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **environment: str) -> tuple[int, str]:
        for name, value in {"AUTH_SECRET": SECRET, "PROCESSING_WORKERS": "1", **environment}.items():
            monkeypatch.setenv(name, value)
        try:
            status = main(arguments)
        except SystemExit as exc:  # argparse
            status = int(exc.code or 0)
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


def test_help_lists_every_command_on_a_line_of_its_own(command: Command) -> None:
    status, text = command("--help")
    assert status == 0
    assert re.findall(r"^  ([a-z]+)  +[A-Z].+$", text, re.MULTILINE) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(command: Command, name: str) -> None:
    status, text = command(name, "--help")
    assert (status, text.splitlines()[0].startswith(f"usage: python -m app {name}")) == (0, True)
    assert len(text.partition("options:")[0]) > 60


def test_an_unknown_command_is_status_2(command: Command) -> None:
    assert command("serv")[0] == 2


def test_a_wrong_setting_is_one_sentence_that_names_it_and_status_2(command: Command) -> None:
    status, text = command("check", PORT="http")
    assert status == 2
    assert text.startswith("Configuration error:\nPORT: ")
    assert "Traceback" not in text


def test_token_is_one_line(command: Command) -> None:
    status, text = command("token", "--user", str(uuid.uuid4()), "--expires", "15m")
    assert (status, len(text.splitlines()), text.count(".")) == (0, 1, 2)


def test_openapi_is_the_document(command: Command) -> None:
    status, text = command("openapi")
    assert (status, json.loads(text)["openapi"]) == (0, "3.1.0")


_ENVIRONMENT = {"PATH": os.defpath, "AUTH_SECRET": SECRET, "PROCESSING_WORKERS": "1"}


def _check(directory: Path, **environment: str) -> tuple[int, str]:
    """`check` as a process of its own: it runs an event loop, and there can only be one here."""
    done = shared_nursery().run(["check"], environment=_ENVIRONMENT | environment, directory=directory)
    return done.returncode, done.stdout + done.stderr


class TestCheck:
    def test_it_tries_every_part(self, database_url: str, tmp_path: Path) -> None:
        # The command as an operator types it; the other tests save the interpreter's start.
        done = subprocess.run(
            [sys.executable, "-m", "app", "check"],
            cwd=tmp_path,
            env=_ENVIRONMENT | {"PYTHONPATH": str(PROJECT), "DATABASE_URL": database_url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        status, text = done.returncode, done.stdout + done.stderr
        tried = re.findall(r"^ok +(.+)$", text, re.MULTILINE)
        assert status == 0, text
        assert {"auth service", "database", "storage", "worker processes and their libraries"} <= set(tried)

    def test_it_shows_the_effective_settings_without_a_secret(self, database_url: str, tmp_path: Path) -> None:
        _, text = _check(tmp_path, DATABASE_URL=database_url, PORT="8123")
        assert "PORT=8123" in text.splitlines()
        assert "AUTH_SECRET=********" in text.splitlines()
        assert SECRET not in text

    def test_a_database_that_is_not_there_is_status_1_and_hides_its_password(self, tmp_path: Path) -> None:
        url = "postgresql://media:hunter22@127.0.0.1:1/media"
        status, text = _check(tmp_path, DATABASE_URL=url, DATABASE_STARTUP_TIMEOUT_S="0.1")
        assert status == 1
        assert "DATABASE_URL=postgresql://media:********@127.0.0.1:1/media" in text
        assert re.search(r"^FAILED +database", text, re.MULTILINE)
        assert "hunter22" not in text

    def test_a_storage_that_takes_nothing_is_status_1(self, database_url: str, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a directory")
        status, text = _check(tmp_path, DATABASE_URL=database_url, UPLOAD_DIR=str(tmp_path / "file"))
        assert status == 1
        assert re.search(r"^FAILED .*storage", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (SecretStr("plain-secret"), "********"),
        (SecretStr("postgresql://u:p%40ss@h:5432/d?sslmode=require"), "postgresql://u:********@h:5432/d?********"),
        (SecretStr("postgresql://u:pa/ss@h/d"), "********"),
        (SecretStr("postgresql://u:p@h:port/d"), "********"),
        (SecretStr("postgresql:///d?host=/run&password=x"), "postgresql:///d?********"),
        ("https://user:secret@auth.test/keys", "https://user:********@auth.test/keys"),
        ("https://auth.test/keys?a=b", "https://auth.test/keys?a=b"),
        ((300, 300), "300,300"),
        (None, ""),
    ],
)
def test_no_form_of_an_address_gives_its_password_away(value: object, text: str) -> None:
    assert shown(value) == text
