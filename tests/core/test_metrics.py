"""The numbers are right with several server processes, and what a killed one leaves behind is not counted."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.core import metrics
from app.core.media_types import MediaType, Processor
from app.core.metrics_directory import claimed_directory, running_directory

# A server process: counts by its number, says so, and waits until its standard input is closed.
_SERVER = """
import sys
from app.core import metrics
number = int(sys.argv[1])
metrics.observe_request(method="GET", route="/healthz", status=200, duration_s=0.02, size_bytes=10)
metrics.upload_finished(metrics.MediaType.IMAGE, "ok", number)
metrics.sandbox_load(workers=2, busy=number, queued=0)
metrics.storage_measured(metrics.MediaType.IMAGE, files=number, size_bytes=number)
print("counted", flush=True)
sys.stdin.read()
"""
_OWNER = """
import sys
from pathlib import Path
from app.core import metrics
with metrics.serving(Path(sys.argv[1])):
    print("serving", flush=True)
    sys.stdin.read()
"""
UPLOADED = 'media_upload_received_bytes_total{media_type="image"}'
STORED = 'media_storage_files{media_type="image"}'


@contextmanager
def process(script: str, argument: str, *, by_server: bool = True) -> Iterator["subprocess.Popen[str]"]:
    """A Python process that has printed its line, started by the server or by hand; ends with the block."""
    command = [sys.executable, "-c", script, argument]
    env = {name: value for name, value in os.environ.items() if by_server or name != "PROMETHEUS_MULTIPROC_DIR"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as running:
        assert running.stdout is not None
        assert running.stdout.readline().strip()
        yield running


def samples() -> dict[str, float]:
    text = metrics.render_metrics()[0].decode()
    return {name: float(value) for name, value in re.findall(r"^([a-z_]+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)}


def test_any_process_answers_for_all(tmp_path: Path) -> None:
    with metrics.serving(tmp_path):
        metrics.upload_finished(MediaType.IMAGE, "ok", 10)
        metrics.sandbox_load(workers=2, busy=0, queued=3)
        with process(_SERVER, "1"), process(_SERVER, "2"):
            merged = samples()
        assert merged['media_uploads_total{media_type="image",outcome="ok"}'] == 3
        assert merged[UPLOADED] == 13
        assert (merged["media_sandbox_workers"], merged["media_sandbox_workers_busy"]) == (6, 3)
        assert merged["media_sandbox_queue_length"] == 3
        assert merged[STORED] == 2  # one store, seen by all: the latest word counts, not the sum
        request = 'method="GET",route="/healthz",status="2xx"'
        assert merged[f"media_http_requests_total{{{request}}}"] == 2
        assert merged[f'media_http_request_duration_seconds_bucket{{le="0.025",{request}}}'] == 2


def test_killed_process_takes_its_share_of_the_gauges_along_but_not_its_counts(tmp_path: Path) -> None:
    with metrics.serving(tmp_path):
        with process(_SERVER, "1") as running:
            running.send_signal(signal.SIGKILL)
            running.wait(10)
        merged = samples()
        assert (merged[UPLOADED], merged[STORED]) == (1, 1)
        assert merged["media_sandbox_workers"] == 0


def test_files_of_ended_processes_go_and_their_numbers_stay(tmp_path: Path) -> None:
    request = 'media_http_request_duration_seconds_bucket{le="0.025",method="GET",route="/healthz",status="2xx"}'
    with metrics.serving(tmp_path):
        samples()
        (run,) = tmp_path.iterdir()
        files = {path.name for path in run.glob("*.db")}
        for number in (1, 2, 3):
            with process(_SERVER, str(number)) as running:
                running.kill()
                running.wait(10)
            merged = samples()
            assert (merged[UPLOADED], merged[request]) == (sum(range(number + 1)), number)
            assert merged[STORED] == number  # the latest word
        ended = {"counter_ended.db", "histogram_ended.db", "gauge_mostrecent_ended.db"}
        assert {path.name for path in run.glob("*.db")} == files | ended


def test_each_run_starts_from_zero_and_leaves_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with metrics.serving(tmp_path):
            metrics.scrub_checked()
            assert samples()["media_scrub_files_checked_total"] == 1
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_run_go_and_those_of_a_running_one_stay(tmp_path: Path) -> None:
    with process(_OWNER, str(tmp_path)) as killed:
        killed.kill()
        killed.wait(10)
    (leftover,) = tmp_path.iterdir()
    with process(_OWNER, str(tmp_path)):
        running = running_directory(tmp_path)
        assert running is not None
        with claimed_directory(tmp_path) as own:
            assert {path.name for path in tmp_path.iterdir()} == {running.name, own.name}
            assert leftover not in tmp_path.iterdir()


def test_a_command_counts_together_with_the_running_server(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from app.core import metrics;"
        "assert metrics.join_running(Path(sys.argv[1])); metrics.scrub_checked(5); print('counted', flush=True)"
    )
    assert not metrics.join_running(tmp_path)
    with metrics.serving(tmp_path):
        with process(script, str(tmp_path), by_server=False) as command:
            pass
        assert samples()["media_scrub_files_checked_total"] == 5
        assert not list(tmp_path.rglob(f"*_{command.pid}.db"))  # ids of other containers' processes may repeat ours


def test_without_a_server_the_numbers_stay_in_memory() -> None:
    before = samples()
    metrics.download_sent(100)
    metrics.download_sent(50, by_proxy=True)
    metrics.worker_ended(metrics.WorkerEnd.TIMED_OUT)
    metrics.damage_found(metrics.Damage.WRONG_CHECKSUM)
    metrics.processing_finished(Processor.IMAGE, "ok", duration_s=0.2, waited_s=0.01)
    metrics.sweep_finished(is_ok=True, keys_removed=4)
    metrics.backlog_measured(journal_keys=1, journal_oldest_s=2, staging_files=3, staging_bytes=4)
    metrics.storage_free_measured(5)
    metrics.dependency_checked("database", is_up=False)
    metrics.db_pool_measured(in_use=1, size=10)
    metrics.db_pool_timed_out()
    with metrics.request_in_progress(), metrics.upload_in_progress():
        after = samples()
    changed = {name.partition("{")[0]: value - before.get(name, 0) for name, value in after.items()}
    assert changed["media_sweep_keys_removed_total"] == 4
    assert changed["media_journal_oldest_seconds"] == 2
    assert changed["media_http_requests_in_progress"] == changed["media_uploads_in_progress"] == 1
    assert samples()["media_uploads_in_progress"] == before.get("media_uploads_in_progress", 0)


def test_labels_are_closed_sets() -> None:
    metrics.observe_request(method="BREW", route=None, status=404, duration_s=0, size_bytes=0)
    metrics.upload_finished(None, "unauthenticated", 0)
    names = samples()
    assert 'media_http_requests_total{method="other",route="unmatched",status="4xx"}' in names
    assert 'media_uploads_total{media_type="unknown",outcome="unauthenticated"}' in names


def test_every_series_that_is_rendered_is_in_the_list_of_names() -> None:
    assert {name.partition("{")[0] for name in samples()} <= metrics.metric_names()
    assert metrics.render_metrics()[1] == "text/plain; version=0.0.4; charset=utf-8"
