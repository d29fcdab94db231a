"""What a log line looks like, what never gets into one, and that LOG_FILE is shared safely."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from app.core.config import ConfigurationError, Settings
from app.core.log_file import SharedRotatingFile
from app.core.log_masking import MAX_TEXT_CHARS, clean, mask_text
from app.core.logging import bind_context, clear_context, configure_logging, get_logger, log_context
from tests.fixtures.settings import given_settings

log = get_logger("tests.logging")
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
PRODUCTION = {
    "ENVIRONMENT": "production", "AUTH_SECRET": "0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0u",
    "DATABASE_URL": "postgresql://media@db/media", "BASE_URL": "https://media.test",
}  # fmt: skip


@pytest.fixture(autouse=True)
def unchanged_afterwards() -> Iterator[None]:
    """Gives the process back the loggers that the test runner knows."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in [added for added in root.handlers if added not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.captureWarnings(False)
    clear_context()


def settings(**values: object) -> Settings:
    return given_settings(values)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [cast("dict[str, object]", json.loads(line)) for line in capsys.readouterr().out.splitlines()]


def test_production_writes_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings(**PRODUCTION))
    log.info("media.ready", filename="a\nb\u2028c\x1b[31m\udc80", size_bytes=3, ratio=float("nan"))
    output = capsys.readouterr().out
    assert output.isascii()
    assert output.count("\n") == 1
    line = json.loads(output)
    assert (line["event"], line["level"], line["logger"]) == ("media.ready", "info", "tests.logging")
    assert (line["filename"], line["size_bytes"], line["ratio"]) == ("a\nb\u2028c\x1b[31m\udc80", 3, "nan")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])


def test_development_writes_a_readable_line_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings())
    log.info("media.ready", filename="a\nb\x1b[31m\u202e")
    output = capsys.readouterr().out
    assert output.count("\n") == 1
    assert r"filename=a\nb\x1b[31m\u202e" in output
    assert "{" not in output


def test_libraries_share_the_format_and_the_request_id(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings(**PRODUCTION))
    bind_context(request_id="r1")
    with log_context(media_id="m1"):
        logging.getLogger("uvicorn.error").warning("lost %s", "client")
    logging.getLogger("sqlalchemy.pool").warning("gone")
    log.warning("own")
    assert [(line["event"], line["request_id"], line.get("media_id")) for line in lines(capsys)] == [
        ("lost client", "r1", "m1"), ("gone", "r1", None), ("own", "r1", None)
    ]  # fmt: skip


def test_libraries_that_log_contents_stay_quiet_when_debugging(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings(DEBUG=True))
    for name in ("python_multipart.multipart", "sqlalchemy.engine.Engine", "sqlalchemy.orm", "httpx", "uvicorn.access"):
        logging.getLogger(name).info("contents")
    log.debug("own")
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_level_is_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings(**PRODUCTION, LOG_LEVEL="ERROR"))
    log.warning("unseen")
    log.error("seen")
    assert [line["event"] for line in lines(capsys)] == ["seen"]


def test_configuring_twice_does_not_double_the_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for _ in range(2):
        configure_logging(settings(**PRODUCTION, LOG_FILE=tmp_path / "logs" / "service.log"))
    log.info("once")
    assert len(lines(capsys)) == 1
    assert (tmp_path / "logs" / "service.log").read_text().count("once") == 1


def test_exceptions_are_in_the_line_and_masked(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(settings(**PRODUCTION))
    try:
        raise ValueError(f"refused {JWT}")
    except ValueError:
        log.exception("upload.failed")
    (line,) = lines(capsys)
    assert "Traceback" in str(line["exception"])
    assert JWT not in str(line)


def test_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="LOG_FILE"):
        configure_logging(settings(LOG_FILE=tmp_path / "file" / "service.log"))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer ***"),
        (f"got {JWT}!", "got ***!"),
        ("/files/a?token=abc&page=2", "/files/a?token=***&page=2"),
        ("postgresql://media:hunter2@db/media", "postgresql://media:***@db/media"),
        ("password: hunter2", "password: ***"),
        ("{'client_secret': 'a b', 'n': 1}", "{'client_secret': ***, 'n': 1}"),
        ('{"access_token":"abc"}', '{"access_token":***}'),
        ("AUTH_SECRET=abc def", "AUTH_SECRET=*** def"),
        ("Cookie: session=1; other=2", "Cookie: ***"),
        ("invalid token: it has expired", "invalid token: it has expired"),
        ("2 tokens left, secretary informed", "2 tokens left, secretary informed"),
    ],
)
def test_mask_finds_secrets_and_leaves_sentences(text: str, masked: str) -> None:
    assert mask_text(text) == masked
    assert mask_text(masked) == masked


def test_mask_goes_by_field_names_too() -> None:
    nested = {"password": "x", "token_count": 3, "headers": {"Authorization": "y"}, "list": [{"api_key": "z"}]}
    assert clean(nested) == {
        "password": "***", "token_count": 3, "headers": {"Authorization": "***"}, "list": [{"api_key": "***"}]
    }  # fmt: skip


def test_contents_and_floods_are_not_logged() -> None:
    cyclic: list[object] = [b"\x00" * 5]
    cyclic.append(cyclic)
    assert len(json.dumps(clean(cyclic))) < 2000
    assert clean(b"secret bytes") == "<12 bytes>"
    assert len(mask_text("x" * 10_000_000)) < MAX_TEXT_CHARS + 100


class _Hostile:
    def __str__(self) -> str:
        raise RuntimeError


def test_a_value_without_text_does_not_break_the_call() -> None:
    assert clean(_Hostile()) == "<_Hostile without text: RuntimeError>"


_WRITER = """
import logging, sys
from pathlib import Path
from app.core.log_file import SharedRotatingFile
handler = SharedRotatingFile(Path(sys.argv[1]), max_bytes=20_000, kept=50)
for number in range(400):
    text = f"{sys.argv[2]}:{number}:{'x' * 100}"
    handler.handle(logging.LogRecord("n", logging.INFO, "p", 1, text, None, None))
"""


def test_processes_share_one_rotated_file_without_losing_a_line(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(number)]) for number in range(3)]
    assert [process.wait(30) for process in writers] == [0, 0, 0]
    files = list(tmp_path.iterdir())
    written = [line for file in files for line in file.read_text().splitlines()]
    assert sorted(line.rsplit(":", 1)[0] for line in written) == sorted(
        f"{w}:{n}" for w in range(3) for n in range(400)
    )
    assert len(files) > 3
    # Siblings that look at the size at the same moment may each add one line.
    assert all(file.stat().st_size <= 20_000 + 3 * 120 for file in files)


def test_only_the_newest_rotated_files_are_kept(tmp_path: Path) -> None:
    handler = SharedRotatingFile(tmp_path / "service.log", max_bytes=100, kept=2)
    for number in range(9):
        handler.handle(logging.LogRecord("n", logging.INFO, "p", 1, f"{number}" * 60, None, None))
    handler.close()
    assert {path.name: path.read_text()[0] for path in tmp_path.iterdir()} == {
        "service.log": "8", "service.log.1": "7", "service.log.2": "6"
    }  # fmt: skip


def test_file_moved_away_by_logrotate_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    handler = SharedRotatingFile(path)
    record = logging.LogRecord("n", logging.INFO, "p", 1, "line", None, None)
    handler.handle(record)
    path.rename(tmp_path / "moved")
    handler.handle(record)
    handler.close()
    assert (path.read_text(), (tmp_path / "moved").read_text()) == ("line\n", "line\n")
