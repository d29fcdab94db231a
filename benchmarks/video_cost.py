"""What processing adds to the upload of a 100 MB video: seconds and memory in the sandbox, printed beside their bounds.

python -m benchmarks.video_cost
"""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

import psutil

from app.core.media_types import MIB, MediaType
from app.core.processing.contract import Job, ProcessingOptions
from app.core.processing.sandbox import Sandbox
from benchmarks.corpus import VIDEO_BYTES, make_video

ROUNDS = 5
MAX_SECONDS, MAX_MEMORY_MIB = 1.0, 400


async def measure(video: Path, directory: Path) -> tuple[list[float], int]:
    """Wall seconds of each round, and the most resident bytes that the worker had."""
    peak_bytes, seconds = 0, []
    async with Sandbox(
        workers=1, queue_size=1, timeout_s=60, cpu_s=45, memory_bytes=640 * MIB, writable_dir=directory
    ) as sandbox:
        worker = psutil.Process(sandbox.pids[0])
        for number in range(ROUNDS + 1):
            output = directory / f"made-{number}"
            output.mkdir()
            job = Job(str(video), str(output), "clip.mp4", MediaType.VIDEO, ProcessingOptions())
            began_at = time.perf_counter()
            running = asyncio.create_task(sandbox.run(job))
            while not running.done():
                peak_bytes = max(peak_bytes, worker.memory_info().rss)
                await asyncio.sleep(0.01)
            running.result()
            seconds.append(time.perf_counter() - began_at)
    return seconds[1:], peak_bytes  # the first round warms up


def main() -> None:
    directory = Path(tempfile.mkdtemp())
    try:
        video = directory / "clip.mp4"
        make_video(video, size_bytes=VIDEO_BYTES)
        seconds, peak_bytes = asyncio.run(measure(video, directory))
        median = sorted(seconds)[len(seconds) // 2]
        print(f"{video.stat().st_size / 1e6:.0f} MB video, {ROUNDS} rounds")
        print(f"processing  median {median:.2f} s, worst {max(seconds):.2f} s, bound {MAX_SECONDS} s")
        print(f"memory      {peak_bytes / MIB:.0f} MiB in the worker, bound {MAX_MEMORY_MIB} MiB")
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
