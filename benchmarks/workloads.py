"""The workloads W1 to W7 and WX: which request, over how many connections, against whom."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.corpus import VIDEO_BYTES, Corpus
from benchmarks.load import LoadResult, finish, get_load, read_load, start, summarised, upload_load, upload_plan
from benchmarks.load_client import Plan
from benchmarks.targets import Item, Page, Target

OURS, PROXIED, TEXTBOOK_1, TEXTBOOK_2, NGINX, DIRECTUS = (
    "ours", "ours + nginx", "textbook x1", "textbook x2", "nginx", "Directus"
)  # fmt: skip
SMALL_ROWS, LARGE_ROWS = "small", "large"
LIST_CONNECTIONS = 8
PING_CONNECTIONS = 2
PING_INTERVAL_S = 0.02
"""100 metadata requests a second beside the uploads: enough for a p99, too few to be a load of their own."""

Run = Callable[[Target, float], tuple[LoadResult, float]]
"""Puts load on the target for so many seconds; returns what was seen and how many requests the CPU is divided by."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table for each target. `weight` stretches the duration of slow requests."""

    key: str
    title: str
    unit: str
    targets: tuple[str, ...]
    run: Run
    table: str = SMALL_ROWS
    bytes_per_request: int = 0
    """Set where the rate is told in MB/s."""
    weight: float = 1.0

    @property
    def workload(self) -> str:
        """`W5` of `W5 100k first`."""
        return self.key.split()[0]


def make_cases(corpus: Corpus, *, small_rows: int, large_rows: int) -> list[Case]:
    """All cases in the order of the table."""
    cases = [
        Case("W1", "upload 200 KB JPEG, 8 connections", "1/s", (OURS, TEXTBOOK_1, TEXTBOOK_2, NGINX, DIRECTUS),
             _uploads(corpus.small_jpeg, "image", 8)),
        Case("W2", "upload 12 MP JPEG, 4 connections", "1/s", (OURS, TEXTBOOK_1, TEXTBOOK_2, DIRECTUS),
             _uploads(corpus.large_jpeg, "image", 4, with_pictures=True), weight=1.7),
    ]  # fmt: skip
    cases += [
        Case(f"W3 {connections}", f"upload 95 MB video, {connections} connection(s)", "MB/s",
             (OURS, TEXTBOOK_2, NGINX, DIRECTUS), _uploads(corpus.video, "video", connections),
             bytes_per_request=VIDEO_BYTES, weight=1.3)
        for connections in (1, 8)
    ]  # fmt: skip
    cases.append(
        Case("W4", "metadata by id, 32 connections", "1/s", (OURS, TEXTBOOK_1, TEXTBOOK_2, DIRECTUS), _metadata(32))
    )
    for name, rows, table in (("100k", small_rows, SMALL_ROWS), ("1M", large_rows, LARGE_ROWS)):
        cases += [
            Case(f"W5 {name} first", f"list 20 of {rows:,}, first page", "1/s", (OURS, TEXTBOOK_2, DIRECTUS),
                 _lists(Page.FIRST), table),
            Case(f"W5 {name} page", f"list 20 of {rows:,}, last page by number", "1/s", (OURS, TEXTBOOK_2, DIRECTUS),
                 _lists(Page.LAST), table),
            Case(f"W5 {name} cursor", f"list 20 of {rows:,}, last page by cursor", "1/s", (OURS,),
                 _lists(Page.CURSOR), table),
        ]  # fmt: skip
    return [
        *cases,
        Case("W6", "download 200 KB, 16 connections", "1/s", (OURS, PROXIED, TEXTBOOK_2, NGINX, DIRECTUS),
             _downloads(Item.SMALL, 16)),
        Case("W7", "download 95 MB, 2 connections", "MB/s", (OURS, PROXIED, TEXTBOOK_2, NGINX, DIRECTUS),
             _downloads(Item.VIDEO, 2), bytes_per_request=VIDEO_BYTES),
        Case("WX", "12 MP uploads, 4 connections; latency of metadata beside them", "images/s",
             (OURS, TEXTBOOK_2, DIRECTUS), _beside_uploads(corpus), weight=1.7),
    ]  # fmt: skip


def _uploads(file: Path, media_type: str, connections: int, *, with_pictures: bool = False) -> Run:
    def run(target: Target, duration_s: float) -> tuple[LoadResult, float]:
        upload = target.upload(file, media_type)
        if with_pictures:
            upload = replace(upload, afterwards=target.picture_paths)
        seen = upload_load(target.port, upload, connections=connections, duration_s=duration_s)
        return seen, seen.count

    return run


def _metadata(connections: int) -> Run:
    def run(target: Target, duration_s: float) -> tuple[LoadResult, float]:
        seen = read_load(
            target.port, target.metadata_paths(), connections=connections, duration_s=duration_s, headers=target.auth()
        )
        return seen, seen.count

    return run


def _lists(page: Page) -> Run:
    def run(target: Target, duration_s: float) -> tuple[LoadResult, float]:
        path = target.list_path(page)
        if target.name == OURS:
            seen = read_load(
                target.port, [path], connections=LIST_CONNECTIONS, duration_s=duration_s, headers=target.auth()
            )
        else:
            # Some need seconds for a page: wrk counts whole answers only and would see none at all.
            seen = get_load(
                target.port, path, connections=LIST_CONNECTIONS, duration_s=duration_s, headers=target.auth()
            )
        return seen, seen.count

    return run


def _downloads(item: Item, connections: int) -> Run:
    def run(target: Target, duration_s: float) -> tuple[LoadResult, float]:
        seen = read_load(
            target.port,
            [target.download_path(item)],
            connections=connections,
            duration_s=duration_s,
            headers=target.auth(),
            body_bytes=VIDEO_BYTES if item is Item.VIDEO else 0,
        )
        return seen, seen.rate_per_s * duration_s if item is Item.VIDEO else seen.count

    return run


def _beside_uploads(corpus: Corpus) -> Run:
    def run(target: Target, duration_s: float) -> tuple[LoadResult, float]:
        upload = replace(target.upload(corpus.large_jpeg, "image"), afterwards=target.picture_paths)
        uploading = start(upload_plan(target.port, upload, connections=4, duration_s=duration_s))
        asking = start(_ping_plan(target, duration_s))
        images = summarised(finish(uploading), duration_s)
        pings = summarised(finish(asking), duration_s)
        seen = LoadResult(
            rate_per_s=images.rate_per_s,
            count=images.count,
            p50_ms=pings.p50_ms,
            p99_ms=pings.p99_ms,
            failures=images.failures + pings.failures,
            load_cpu_s=images.load_cpu_s + pings.load_cpu_s,
            ids=images.ids,
        )
        return seen, images.count

    return run


def _ping_plan(target: Target, duration_s: float) -> Plan:
    return Plan(
        port=target.port, connections=PING_CONNECTIONS, duration_s=duration_s, method="GET",
        paths=target.metadata_paths(), headers=target.auth(), interval_s=PING_INTERVAL_S,
    )  # fmt: skip
