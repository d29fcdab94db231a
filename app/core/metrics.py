"""Metrics: the whole list with units and labels, and the functions that count; the only importer of prometheus_client.

Every label has a closed set of values: enums of ours, route templates, stable error codes. With `serving()` around
the server processes, each keeps its numbers in a memory-mapped file and `render_metrics()` of any of them answers for
all; without it (tests, single commands) the numbers stay in this process's memory.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Literal, TypeAlias
from uuid import uuid4

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from app.core.logging import get_logger
from app.core.media_types import MediaType, Processor
from app.core.metrics_directory import claimed_directory, reserve_room, running_directory
from app.core.metrics_ended import fold_ended, reading

log = get_logger(__name__)

# The library reads this variable by itself, also in server processes that are spawned later; that is the way to tell
# them. We only set it.
_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_LASTING_KINDS = ("counter", "histogram", "gauge_mostrecent")
_FILE_KINDS = (*_LASTING_KINDS, "gauge_livesum")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_BYTES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)

ProcessingOutcome: TypeAlias = Literal["ok", "refused", "fault"]
Dependency: TypeAlias = Literal["database", "storage", "workers", "auth", "scanner"]


class WorkerEnd(StrEnum):
    """Why a sandbox worker process ended and was replaced."""

    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    CPU_LIMIT = "cpu_limit"
    PREVIEW_LIMIT = "preview_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    CANCELLED = "cancelled"
    RETIRED = "retired"


class Damage(StrEnum):
    """What a scrub found wrong with a stored file."""

    MISSING = "missing"
    WRONG_SIZE = "wrong_size"
    WRONG_CHECKSUM = "wrong_checksum"
    UNREADABLE = "unreadable"


class _Metrics:
    """The list. A gauge that each process has its share of is `livesum`; one that they all see is `mostrecent`."""

    def __init__(self) -> None:
        self.registry = into = CollectorRegistry()
        self._http: dict[tuple[str, str, str], tuple[Counter, Histogram, Histogram]] = {}
        http = ("method", "route", "status")

        self.requests = Counter("media_http_requests_total", "Requests answered.", http, registry=into)
        self.request_seconds = Histogram(
            "media_http_request_duration_seconds", "Seconds from the request's header to the last byte of the answer.",
            http, buckets=_SECONDS, registry=into,
        )  # fmt: skip
        self.response_bytes = Histogram(
            "media_http_response_size_bytes", "Bytes of the answer's body that this process sent.",
            http, buckets=_BYTES, registry=into,
        )  # fmt: skip
        self.requests_open = self._share("media_http_requests_in_progress", "Requests being answered now.")

        self.uploads = Counter(
            "media_uploads_total", "Uploads by outcome: `ok`, or the `code` of the error that was answered.",
            ("media_type", "outcome"), registry=into,
        )  # fmt: skip
        self.upload_bytes = Counter(
            "media_upload_received_bytes_total", "Bytes of uploads received, the form around the file among them.",
            ("media_type",), registry=into,
        )  # fmt: skip
        self.uploads_open = self._share("media_uploads_in_progress", "Uploads being received or processed now.")
        self.download_bytes = Counter(
            "media_download_sent_bytes_total", "File bytes answered: sent by `service`, or handed to the `proxy`.",
            ("sender",), registry=into,
        )  # fmt: skip

        self.processing_seconds = Histogram(
            "media_processing_seconds", "Seconds that a sandbox worker took for one file.",
            ("kind", "outcome"), buckets=_SECONDS, registry=into,
        )  # fmt: skip
        self.processing_wait = Histogram(
            "media_processing_wait_seconds", "Seconds that a file waited for a free sandbox worker.",
            buckets=_SECONDS, registry=into,
        )  # fmt: skip
        self.workers_ended = Counter(
            "media_sandbox_worker_ends_total", "Sandbox workers that ended and were replaced.",
            ("reason",), registry=into,
        )  # fmt: skip
        self._start_at_zero(self.workers_ended, WorkerEnd)
        self.workers = self._share("media_sandbox_workers", "Sandbox workers that are alive.")
        self.workers_busy = self._share("media_sandbox_workers_busy", "Sandbox workers that have a file.")
        self.queue = self._share("media_sandbox_queue_length", "Files that wait for a sandbox worker.")
        self.confined = self._fact(
            "media_sandbox_confined", "1 when the kernel's mechanism confines the sandbox workers, else 0.", "mechanism"
        )

        self.journal_keys = self._fact("media_journal_backlog_keys", "Rows of the storage journal.")
        self.journal_age = self._fact("media_journal_oldest_seconds", "Age of the oldest row of the storage journal.")
        self.staging_files = self._fact("media_staging_backlog_files", "Files in staging.")
        self.staging_bytes = self._fact("media_staging_backlog_bytes", "Bytes in staging.")
        self.stored_bytes = self._fact("media_storage_bytes", "Bytes of the stored files.", "media_type")
        self.stored_files = self._fact("media_storage_files", "Number of media.", "media_type")
        self.free_bytes = self._fact("media_storage_free_bytes", "Bytes that the storage can still take.")
        self.dependency = self._fact(
            "media_dependency_up", "1 when the last readiness check found it working, else 0.", "dependency"
        )

        self.pool_in_use = self._share("media_db_pool_in_use", "Database connections in use.")
        self.pool_size = self._share("media_db_pool_size", "Database connections that may be open.")
        self.pool_timeouts = Counter(
            "media_db_pool_timeouts_total", "Times that no database connection came free in time.", registry=into
        )

        self.sweeps = Counter("media_sweep_runs_total", "Sweeps, `ok` or `failed`.", ("outcome",), registry=into)
        self._start_at_zero(self.sweeps, ("ok", "failed"))
        self.swept_keys = Counter(
            "media_sweep_keys_removed_total", "Keys of unfinished work whose bytes a sweep removed.", registry=into
        )
        self.scrubbed = Counter("media_scrub_files_checked_total", "Stored files that a scrub read.", registry=into)
        self.damaged = Counter(
            "media_scrub_damaged_files_total", "Stored files that are not what was stored.", ("damage",), registry=into
        )
        self._start_at_zero(self.damaged, Damage)

    def http(self, labels: tuple[str, str, str]) -> tuple[Counter, Histogram, Histogram]:
        """The series of one method, route and status class; the library's own look-up takes most of the time."""
        known = self._http.get(labels)
        if known is None:
            known = self._http[labels] = (
                self.requests.labels(*labels), self.request_seconds.labels(*labels), self.response_bytes.labels(*labels)
            )  # fmt: skip
        return known

    def _start_at_zero(self, counter: Counter, label_values: Iterable[str]) -> None:
        # A series that begins at 1 has no increase that an alert could see.
        for value in label_values:
            counter.labels(value)

    def _share(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry, multiprocess_mode="livesum")

    def _fact(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry, multiprocess_mode="mostrecent")


class _Here:
    """This process's metrics; replaced when the place of their values changes."""

    def __init__(self) -> None:
        self.directory: Path | None = None
        told = os.environ.get(_DIRECTORY_VARIABLE)
        self.move(Path(told) if told else None)

    def move(self, directory: Path | None, *, owner: str | None = None) -> None:
        """Start from zero, with values in files of `directory`, or in memory for None or where the disk is full.

        owner: the name of this process in those files, its id when None.
        """
        # Found out once: the library would ask the kernel at each count, seven times for a request.
        name = owner or str(os.getpid())
        if directory is not None and not _has_room(directory, name):
            directory = None
        # The library chose memory or files when it was imported, and looks its choice up for each new value.
        if directory is None:
            os.environ.pop(_DIRECTORY_VARIABLE, None)
            values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]
        else:
            os.environ[_DIRECTORY_VARIABLE] = str(directory)
            values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]
        self.directory = directory
        self.metrics = _Metrics()


def _has_room(directory: Path, process: str) -> bool:
    try:
        reserve_room(directory, process, _FILE_KINDS)
    except OSError as exc:
        log.warning("metrics.kept_in_memory", cause=repr(exc))
        return False
    return True


# The time at which a series began is one more series for each, and files of several processes cannot have it at all.
disable_created_metrics()  # type: ignore[no-untyped-call]
_here = _Here()


# -- where the numbers live ----------------------------------------------------------------------------------------


@contextmanager
def serving(parent: Path) -> Iterator[None]:
    """Around the server processes: this process and all that it starts inside count together, from zero.

    parent: a directory of ours, DATA_DIR/metrics. Raises OSError when it cannot be written.
    """
    with claimed_directory(parent) as directory:
        _here.move(directory)
        try:
            yield
        finally:
            _here.move(None)


def begin_in_child() -> None:
    """Count from zero in files of its own: to be called in a process that was just forked."""
    _here.move(_here.directory)


def join_running(parent: Path) -> bool:
    """Let a command (scrub, sweep) count with the server that runs with this `parent`; False when none does."""
    directory = running_directory(parent)
    if directory is not None:
        # A command in another container may have the process id of a server here.
        _here.move(directory, owner=f"command{uuid4().hex}")
    return directory is not None


def render_metrics() -> tuple[bytes, str]:
    """The numbers of all server processes in Prometheus' text format 0.0.4, and its Content-Type.

    Reads one small file per process and kind of metric: call it in a thread.
    """
    registry = _here.metrics.registry
    if _here.directory is not None:
        try:
            fold_ended(_here.directory, kinds=_LASTING_KINDS, values=MmapedDict)
        except OSError as exc:
            log.warning("metrics.files_of_ended_processes_kept", cause=repr(exc))
        registry = CollectorRegistry()
        with reading(_here.directory):
            MultiProcessCollector(registry, str(_here.directory))  # type: ignore[no-untyped-call]
            return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


def metric_names() -> frozenset[str]:
    """Every series name that may appear, for the tests of the dashboard, the alert rules and the documentation."""
    endings = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    families = _here.metrics.registry.collect()
    return frozenset(family.name + ending for family in families for ending in endings[family.type])


# -- HTTP ----------------------------------------------------------------------------------------------------------


@contextmanager
def request_in_progress() -> Iterator[None]:
    """Counts one open request while inside."""
    with _here.metrics.requests_open.track_inprogress():
        yield


def observe_request(*, method: str, route: str | None, status: int, duration_s: float, size_bytes: int) -> None:
    """One answered request. `route` is the template (`/api/v1/media/{media_id}`), None when no route matched."""
    labels = (method if method in _METHODS else "other", route or "unmatched", f"{status // 100}xx")
    requests, seconds, sizes = _here.metrics.http(labels)
    requests.inc()
    seconds.observe(duration_s)
    sizes.observe(size_bytes)


# -- uploads and downloads -----------------------------------------------------------------------------------------


@contextmanager
def upload_in_progress() -> Iterator[None]:
    """Counts one open upload while inside."""
    with _here.metrics.uploads_open.track_inprogress():
        yield


def upload_finished(media_type: MediaType | None, outcome: str, size_bytes: int) -> None:
    """One upload: `outcome` is `ok` or the error's `code`, `size_bytes` what arrived, media_type None while unknown."""
    label = media_type or "unknown"
    _here.metrics.uploads.labels(label, outcome).inc()
    _here.metrics.upload_bytes.labels(label).inc(size_bytes)


def download_sent(size_bytes: int, *, by_proxy: bool = False) -> None:
    """File bytes that were sent, or (`by_proxy`) whose sending was handed to nginx, which may send fewer."""
    _here.metrics.download_bytes.labels("proxy" if by_proxy else "service").inc(size_bytes)


# -- processing ----------------------------------------------------------------------------------------------------


def processing_finished(
    kind: Processor | None, outcome: ProcessingOutcome, *, duration_s: float, waited_s: float
) -> None:
    """One file left the sandbox after `duration_s` of work and `waited_s` in the queue; kind None for no known type."""
    _here.metrics.processing_seconds.labels(kind or "unknown", outcome).observe(duration_s)
    _here.metrics.processing_wait.observe(waited_s)


def worker_ended(reason: WorkerEnd) -> None:
    """A sandbox worker ended other than by the shutdown of the service."""
    _here.metrics.workers_ended.labels(reason).inc()


def sandbox_load(*, workers: int, busy: int, queued: int) -> None:
    """This process's sandbox now; call it whenever one of the numbers changes."""
    _here.metrics.workers.set(workers)
    _here.metrics.workers_busy.set(busy)
    _here.metrics.queue.set(queued)


def sandbox_confined(mechanism: str, *, is_on: bool) -> None:
    """Whether one of the kernel's mechanisms (`confinement.MECHANISMS`) confines the workers."""
    _here.metrics.confined.labels(mechanism).set(is_on)


# -- storage and database ------------------------------------------------------------------------------------------


def backlog_measured(*, journal_keys: int, journal_oldest_s: float, staging_files: int, staging_bytes: int) -> None:
    """Unfinished work: rows of the journal with the age of the oldest (0 without rows), and what lies in staging."""
    _here.metrics.journal_keys.set(journal_keys)
    _here.metrics.journal_age.set(journal_oldest_s)
    _here.metrics.staging_files.set(staging_files)
    _here.metrics.staging_bytes.set(staging_bytes)


def storage_measured(media_type: MediaType, *, files: int, size_bytes: int) -> None:
    """What the table says is stored of one media type."""
    _here.metrics.stored_files.labels(media_type).set(files)
    _here.metrics.stored_bytes.labels(media_type).set(size_bytes)


def storage_free_measured(free_bytes: int) -> None:
    """What the storage can still take; not called for object storage."""
    _here.metrics.free_bytes.set(free_bytes)


def dependency_checked(dependency: Dependency, *, is_up: bool) -> None:
    """The outcome of one readiness check."""
    _here.metrics.dependency.labels(dependency).set(is_up)


def db_pool_measured(*, in_use: int, size: int) -> None:
    """This server process's connection pool now; call it when a connection is taken or given back.

    Not for commands: what a killed one claims would be added to the instance's sum until its end.
    """
    _here.metrics.pool_in_use.set(in_use)
    _here.metrics.pool_size.set(size)


def db_pool_timed_out() -> None:
    """A request found no free connection within DATABASE_TIMEOUT_S."""
    _here.metrics.pool_timeouts.inc()


def sweep_finished(*, is_ok: bool, keys_removed: int) -> None:
    """One sweep of unfinished work."""
    _here.metrics.sweeps.labels("ok" if is_ok else "failed").inc()
    _here.metrics.swept_keys.inc(keys_removed)


def scrub_checked(files: int = 1) -> None:
    """Stored files whose bytes a scrub read and compared."""
    _here.metrics.scrubbed.inc(files)


def damage_found(damage: Damage) -> None:
    """A stored file that a scrub found damaged (bit rot) or missing."""
    _here.metrics.damaged.labels(damage).inc()
