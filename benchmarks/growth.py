"""How our cost grows with the size of a file, the number of connections and the length of a body; measured once."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.corpus import Corpus
from benchmarks.load import LoadResult, read_load, upload_load
from benchmarks.measure import cpu_seconds, metered
from benchmarks.results import MEGABYTE
from benchmarks.targets import Target

CONNECTIONS = (1, 8, 32, 128)


@dataclass(frozen=True, slots=True)
class Growth:
    """One step: what was varied, and what a request of it cost."""

    what: str
    rate_per_s: float
    p50_ms: float
    cpu_ms: float
    peak_mb: float


def measure_growth(ours: Target, corpus: Corpus, *, duration_s: float) -> list[Growth]:
    """Images by pixels, videos by bytes, metadata by connections; `duration_s` seconds each."""
    steps = [_upload(ours, _image_title(path), path, "image", duration_s) for path in corpus.growth_jpegs]
    for path in (*corpus.growth_videos, corpus.video):
        title = f"video of {path.stat().st_size / MEGABYTE:.0f} MB, 2 connections"
        steps.append(_upload(ours, title, path, "video", duration_s))
    paths = ours.metadata_paths()
    for connections in CONNECTIONS:
        before = cpu_seconds(ours.pids)
        seen = read_load(ours.port, paths, connections=connections, duration_s=duration_s)
        cpu_ms = (cpu_seconds(ours.pids) - before) * 1000 / max(seen.count, 1)
        steps.append(Growth(f"metadata, {connections} connection(s)", seen.rate_per_s, seen.p50_ms, cpu_ms, 0))
    return steps


def _upload(ours: Target, title: str, path: Path, media_type: str, duration_s: float) -> Growth:
    upload = ours.upload(path, media_type)
    with metered(ours.pids, []) as meter:
        seen: LoadResult = upload_load(ours.port, upload, connections=2, duration_s=duration_s)
    ours.tidy(seen.ids)
    cpu_ms = meter.servers.cpu_s * 1000 / max(seen.count, 1)
    return Growth(title, seen.rate_per_s, seen.p50_ms, cpu_ms, meter.servers.peak_bytes / MEGABYTE)


def _image_title(path: Path) -> str:
    with Image.open(path) as image:
        width, height = image.size
    size_mb = path.stat().st_size / MEGABYTE
    return f"JPEG of {width * height / 1e6:.1f} MP ({size_mb:.1f} MB), 2 connections"
