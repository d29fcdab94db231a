"""Reads the system calls of a service out of the log that `strace` wrote."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.commits import CommitSpotter

# `-yy` writes what a descriptor is behind its number: 7</path>, 9<UNIX-STREAM:[1->2]>.
STRACE = ("strace", "--follow-forks", "-yy", "--string-limit=300", "--quiet=all", "--seccomp-bpf")
CALLS = "write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2"

_CALL = re.compile(r"^\d+ +(?P<name>\w+)\((?P<rest>.*)$")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ANNOTATED = re.compile(r"^\d+<([^>]*)>")
_ESCAPE = re.compile(r"\\([0-7]{1,3}|.)")
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Event:
    """`what` is done to `path`: write, fsync, rename, COMMIT or answer."""

    what: str
    path: str


def read_events(log: Path) -> list[Event]:
    """Writes to files, fsyncs, renames, COMMITs and HTTP answers in the order in which they were begun."""
    spotter = CommitSpotter()
    found = (_event(line, spotter) for line in log.read_text(errors="replace").splitlines())
    return [event for event in found if event is not None]


def _event(line: str, spotter: CommitSpotter) -> Event | None:
    match = _CALL.match(line)
    if match is None or "= -1 " in line:
        return None
    name, rest = match["name"], match["rest"]
    if name.startswith("rename"):
        return Event("rename", " ".join(_STRING.findall(rest)))
    target = _ANNOTATED.match(rest)
    path = target[1] if target else ""
    if name in {"fsync", "fdatasync"}:
        return Event("fsync", path)
    if path.startswith("/"):
        return Event("write", path)
    if any(spotter.is_commit(_unescaped(text)) for text in _STRING.findall(rest)):
        return Event("COMMIT", "")
    return Event("answer", "") if "HTTP/1.1 201" in rest else None


def _unescaped(text: str) -> bytes:
    """What strace wrote in the manner of C: octal numbers of one to three digits, \\n and the like."""
    return _ESCAPE.sub(lambda match: _byte(match[1]), text).encode("latin-1", "replace")


def _byte(escape: str) -> str:
    return chr(int(escape, 8)) if escape[0].isdigit() else _LETTERS.get(escape, escape)
