"""What processing adds to the upload of a 95 MB video: time and memory in the sandbox, printed beside their bounds.

python -m benchmarks.video_cost
"""

import asyncio
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.core.media_types import MIB, MediaType
from app.core.processing.contract import Job, ProcessingOptions
from app.core.processing.sandbox import Sandbox
from benchmarks.corpus import VIDEO_BYTES, make_video

ROUNDS = 15
MAX_CPU_S, MAX_WALL_S, MAX_MEMORY_MIB = 0.1, 1.0, 400


@dataclass(frozen=True, slots=True)
class Cost:
    """cpu_s: of the worker, the mean of a round.  wall_s: of each round.  peak_bytes: the most resident ones."""

    cpu_s: float
    wall_s: tuple[float, ...]
    peak_bytes: int


async def measure(video: Path, directory: Path) -> Cost:
    """Some rounds in one worker, after one that warms up."""
    peak_bytes, cpu_s, wall_s = 0, list[float](), list[float]()
    async with Sandbox(
        workers=1, queue_size=1, timeout_s=60, cpu_s=45, memory_bytes=640 * MIB, boxes_dir=directory / "boxes"
    ) as sandbox:
        worker = psutil.Process(sandbox.pids[0])
        for number in range(ROUNDS + 1):
            output = directory / f"made-{number}"
            output.mkdir()
            job = Job(str(video), str(output), "clip.mp4", MediaType.VIDEO, ProcessingOptions())
            cpu_before_s, began_at = _cpu_s(worker), time.perf_counter()
            running = asyncio.create_task(sandbox.run(job))
            while not running.done():
                peak_bytes = max(peak_bytes, worker.memory_info().rss)
                await asyncio.sleep(0.01)
            running.result()
            wall_s.append(time.perf_counter() - began_at)
            cpu_s.append(_cpu_s(worker) - cpu_before_s)
    # The system counts processor time in hundredths of a second: single rounds say little, their sum does.
    return Cost(sum(cpu_s[1:]) / ROUNDS, tuple(wall_s[1:]), peak_bytes)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def main() -> None:
    directory = Path(tempfile.mkdtemp())
    try:
        video = directory / "clip.mp4"
        make_video(video, size_bytes=VIDEO_BYTES)
        cost = asyncio.run(measure(video, directory))
        median = sorted(cost.wall_s)[len(cost.wall_s) // 2]
        print(f"{video.stat().st_size / 1e6:.0f} MB video, {ROUNDS} rounds")
        print(f"processor  mean {cost.cpu_s:.3f} s, bound {MAX_CPU_S} s")
        print(f"wall       median {median:.3f} s, worst {max(cost.wall_s):.3f} s, bound {MAX_WALL_S} s")
        print(f"memory     {cost.peak_bytes / MIB:.0f} MiB in the worker, bound {MAX_MEMORY_MIB} MiB")
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
