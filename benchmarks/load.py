"""Puts load on a server: `wrk` for what is read, our own client for uploads and for paced requests.

Both run as one extra process and report the CPU they used themselves, so that a report shows when the generator and
not the server was the limit.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.load_client import Outcome, Plan
from benchmarks.processes import PROJECT
from benchmarks.targets import Upload

WRK_THREADS = 1
_WRK_SCRIPT = """
local paths = {}
for line in io.lines("%(paths)s") do paths[#paths + 1] = line end
local headers = {}
%(headers)s
local turn = 0
request = function()
  turn = turn + 7919  -- a prime: neighbours in the file are not asked for one after the other
  return wrk.format("GET", paths[turn %% #paths + 1], headers)
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.stderr:write(string.format(
    '{"requests": %%d, "duration_us": %%d, "bytes": %%d, "failures": %%d, "p50_us": %%d, "p99_us": %%d}\\n',
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


class LoadToolMissing(Exception):
    """wrk is not installed, and cannot be installed by this user."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a generator saw. `count` includes answers that came after the end; `load_cpu_s` is its own CPU."""

    rate_per_s: float
    count: int
    p50_ms: float
    p99_ms: float
    failures: int
    load_cpu_s: float
    ids: list[str]


def install_wrk() -> None:
    """Make sure that wrk is there: by apt-get for root. Raises LoadToolMissing with what to do."""
    if shutil.which("wrk"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "wrk"], env=environment, check=False
        )
    if not shutil.which("wrk"):
        raise LoadToolMissing("wrk is not installed; run: apt-get update && apt-get install -y wrk")


def read_load(
    port: int,
    paths: list[str],
    *,
    connections: int,
    duration_s: float,
    headers: dict[str, str] | None = None,
    body_bytes: int = 0,
) -> LoadResult:
    """GET the `paths` in turn with wrk, as fast as answers come.

    body_bytes: size of every answer, for large ones: the rate is then reckoned from the bytes that came, since a
    measurement may end in the middle of an answer.
    """
    with tempfile.TemporaryDirectory(prefix="wrk-") as directory:
        path_file, script = Path(directory) / "paths", Path(directory) / "load.lua"
        path_file.write_text("\n".join(paths) + "\n")
        fields = "\n".join(f'headers["{name}"] = "{value}"' for name, value in (headers or {}).items())
        script.write_text(_WRK_SCRIPT % {"paths": path_file, "headers": fields})
        # wrk takes whole seconds only in some releases: rounding down would give 0.
        seconds = max(1, round(duration_s))
        command = [
            "wrk", f"-t{WRK_THREADS}", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script),
            f"http://127.0.0.1:{port}",
        ]  # fmt: skip
        before = _children_cpu_s()
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
        seen = json.loads(done.stderr.strip().splitlines()[-1])
    done_requests = seen["bytes"] / body_bytes if body_bytes else seen["requests"] - seen["failures"]
    return LoadResult(
        rate_per_s=done_requests / seen["duration_us"] * 1e6,
        count=seen["requests"],
        p50_ms=seen["p50_us"] / 1000,
        p99_ms=seen["p99_us"] / 1000,
        failures=seen["failures"],
        load_cpu_s=_children_cpu_s() - before,
        ids=[],
    )


def upload_load(port: int, upload: Upload, *, connections: int, duration_s: float) -> LoadResult:
    """Send `upload` again and again with our own client."""
    plan = upload_plan(port, upload, connections=connections, duration_s=duration_s)
    return summarised(finish(start(plan)), duration_s)


def get_load(port: int, path: str, *, connections: int, duration_s: float, headers: dict[str, str]) -> LoadResult:
    """GET `path` again and again with our own client, which also counts answers that come after the end, in part."""
    plan = Plan(port=port, connections=connections, duration_s=duration_s, method="GET", paths=[path], headers=headers)
    return summarised(finish(start(plan)), duration_s)


def upload_plan(port: int, upload: Upload, *, connections: int, duration_s: float) -> Plan:
    """The plan that `start` takes for uploads."""
    return Plan(
        port=port, connections=connections, duration_s=duration_s, method=upload.method, paths=[upload.path],
        headers=upload.headers, prefix=upload.prefix.decode(), file=str(upload.file), suffix=upload.suffix.decode(),
        afterwards=list(upload.afterwards),
    )  # fmt: skip


def start(plan: Plan) -> "subprocess.Popen[str]":
    """The client at work on `plan`; `finish` waits for it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load_client"],
        cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(plan)))
    process.stdin.close()
    process.stdin = None  # communicate() would close it again
    return process


def finish(process: "subprocess.Popen[str]") -> Outcome:
    """What the client saw, when it has ended."""
    output, _ = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError(f"the load client ended with {process.returncode}")
    return Outcome(**json.loads(output))


def summarised(outcome: Outcome, duration_s: float) -> LoadResult:
    """Rate and percentiles of what the client saw.

    A request counts for the share of its time that lies inside the duration: whole requests only would make slow
    servers slower than they are, by up to one request per connection.
    """
    done = sum(max(0.0, min(end, duration_s) - begin) / (end - begin) for begin, end in outcome.spans)
    took_ms = sorted((end - begin) * 1000 for begin, end in outcome.spans)
    return LoadResult(
        rate_per_s=done / duration_s,
        count=len(took_ms),
        p50_ms=percentile(took_ms, 0.5),
        p99_ms=percentile(took_ms, 0.99),
        failures=sum(outcome.failures.values()),
        load_cpu_s=outcome.cpu_s,
        ids=outcome.ids,
    )


def percentile(ordered: list[float], share: float) -> float:
    """The value below which `share` of the `ordered` values lie; 0 when there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
