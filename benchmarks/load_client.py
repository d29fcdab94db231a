"""A small load generator: threads with blocking sockets, as a process of its own (`python -m benchmarks.load_client`).

It reads a plan as JSON from standard input and prints what happened as JSON. Bodies go out by sendfile(2), so that
even gigabytes a second leave it nearly idle; its own CPU is in the answer.
"""

import json
import resource
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`connections` clients send the same request again and again for `duration_s` seconds.

    paths: taken in turn; `{n}` becomes the number of the connection.  interval_s: least time from one request of a
    connection to its next, 0 for as fast as answers come.  file: path of a body's file, empty for none.
    afterwards: paths to GET after each answer, `{id}` standing for the id in it; they belong to the request.
    """

    port: int
    connections: int
    duration_s: float
    method: str
    paths: list[str]
    headers: dict[str, str]
    prefix: str = ""
    file: str = ""
    suffix: str = ""
    afterwards: list[str] = field(default_factory=list)
    interval_s: float = 0.0


@dataclass(slots=True)
class Outcome:
    """Spans are (start, end) in seconds since the beginning, of answers below 400."""

    spans: list[tuple[float, float]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    cpu_s: float = 0.0


class _Connection:
    def __init__(self, plan: Plan, number: int) -> None:
        self._plan = plan
        self._number = number
        self._count = number
        self._socket: socket.socket | None = None
        self._head_end = "".join(f"{name}: {value}\r\n" for name, value in plan.headers.items())
        self._body_field = ""
        self._prefix, self._suffix = plan.prefix.encode(), plan.suffix.encode()
        file_size = Path(plan.file).stat().st_size if plan.file else 0
        if plan.file:
            length = len(self._prefix) + file_size + len(self._suffix)
            self._body_field = f"Content-Length: {length}\r\n"

    def run(self, outcome: Outcome, begin: float, lock: threading.Lock) -> None:
        end = begin + self._plan.duration_s
        while (started := time.perf_counter()) < end:
            try:
                status, media_id = self._exchange()
                failure = "" if status < 400 else str(status)
            except OSError as exc:
                failure, media_id = type(exc).__name__, None
                self._drop()
            finished = time.perf_counter()
            with lock:
                if failure:
                    outcome.failures[failure] = outcome.failures.get(failure, 0) + 1
                else:
                    outcome.spans.append((started - begin, finished - begin))
                if media_id:
                    outcome.ids.append(media_id)
            if failure:
                time.sleep(0.05)  # a refusing server is not hammered
            if self._plan.interval_s:
                time.sleep(max(0.0, started + self._plan.interval_s - finished))
        self._drop()

    def _exchange(self) -> tuple[int, str | None]:
        plan = self._plan
        path = plan.paths[self._count % len(plan.paths)].replace("{n}", str(self._number))
        self._count += plan.connections
        connection = self._ask(plan.method, path, self._body_field, self._prefix)
        if plan.file:
            with Path(plan.file).open("rb") as file:
                connection.sendfile(file)
            connection.sendall(self._suffix)
        status, media_id = self._read_answer(connection)
        for then in plan.afterwards:
            if status < 400 and media_id is not None:
                status, _ = self._read_answer(self._ask("GET", then.replace("{id}", media_id)))
        return status, media_id

    def _ask(self, method: str, path: str, body_field: str = "", prefix: bytes = b"") -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._plan.port), timeout=TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._plan.port}\r\n{self._head_end}{body_field}\r\n"
        self._socket.sendall(head.encode() + prefix)
        return self._socket

    def _read_answer(self, connection: socket.socket) -> tuple[int, str | None]:
        received = b""
        while b"\r\n\r\n" not in received:
            received += _some(connection)
        head, _, body = received.partition(b"\r\n\r\n")
        fields = dict(_field(line) for line in head.split(b"\r\n")[1:])
        length = int(fields.get(b"content-length", b"0"))
        while len(body) < length:
            body += _some(connection)
        if fields.get(b"connection", b"").lower() == b"close":
            self._drop()
        return int(head.split(b" ", 2)[1]), _id_in(body)

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _some(connection: socket.socket) -> bytes:
    chunk = connection.recv(65536)
    if not chunk:
        raise ConnectionResetError("closed in the middle of an answer")
    return chunk


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip()


def _id_in(body: bytes) -> str | None:
    if not body.startswith(b"{"):
        return None
    document = json.loads(body)
    inner = document.get("data", document)  # Directus wraps its answers
    return inner.get("id") if isinstance(inner, dict) else None


def run(plan: Plan) -> Outcome:
    """Carry the plan out; returns when the last answer is there."""
    outcome, lock, begin = Outcome(), threading.Lock(), time.perf_counter()
    connections = [_Connection(plan, number) for number in range(plan.connections)]
    threads = [threading.Thread(target=connection.run, args=(outcome, begin, lock)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used = resource.getrusage(resource.RUSAGE_SELF)
    outcome.cpu_s = used.ru_utime + used.ru_stime
    return outcome


if __name__ == "__main__":
    json.dump(asdict(run(Plan(**json.load(sys.stdin)))), sys.stdout)
