"""What processes that share a store call themselves: the name says which boot of which machine it comes from.

    {boot}-{machine}-{random}      12, 12 and 32 hex digits; `unknown` where this machine cannot tell its own

A lock proves something only among the processes of one kernel: on NFS without lockd, with `local_lock=flock`, and on
many a FUSE file system, a lock that another machine holds looks free. So whoever judges a name asks first where it
comes from.
"""

import hashlib
import os
import re
import uuid
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Self

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_ID = Path("/etc/machine-id")
_UNKNOWN = "unknown"
_NAME = re.compile(r"(?P<boot>[0-9a-f]{12}|unknown)-(?P<machine>[0-9a-f]{12}|unknown)-[0-9a-f]{32}", re.ASCII)


class Origin(Enum):
    """Where a process runs, or ran."""

    HERE = auto()
    """Under this very kernel: its lock says whether it lives."""
    EARLIER_BOOT = auto()
    """On this machine, before it was started the last time: it is dead."""
    ELSEWHERE = auto()
    """On another machine: its lock proves nothing."""
    UNNAMED = auto()
    """Not a name of this form: those of the release before said nothing."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine since its last start; both are hashes, as machine-id(5) wants, or `unknown`."""

    boot: str
    machine: str

    @classmethod
    def this(cls) -> Self:
        """The one we run on.

        boot: the kernel's random boot id, the same in all containers of one kernel.  machine: /etc/machine-id together
        with the host name, as an image may bring a machine-id that all its containers have; unknown where there is
        none, and then an earlier boot counts as another machine.
        """
        boot_id, machine_id = _read(_BOOT_ID), _read(_MACHINE_ID)
        is_told = machine_id not in {"", "uninitialized"}
        return cls(
            boot=_hashed(boot_id) if boot_id else _UNKNOWN,
            machine=_hashed(f"{machine_id} {os.uname().nodename}") if is_told else _UNKNOWN,
        )

    def new_owner(self) -> str:
        """A fresh name for a process of this machine; 58 characters at most."""
        return f"{self.boot}-{self.machine}-{uuid.uuid4().hex}"

    def origin(self, owner: str) -> Origin:
        """Where the process that calls itself `owner` runs, as seen from this machine."""
        name = _NAME.fullmatch(owner)
        if name is None:
            return Origin.UNNAMED
        if _UNKNOWN in {name["boot"], self.boot}:
            return Origin.ELSEWHERE
        if name["boot"] == self.boot:
            return Origin.HERE
        if name["machine"] == self.machine != _UNKNOWN:
            return Origin.EARLIER_BOOT
        return Origin.ELSEWHERE


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _hashed(text: str) -> str:
    return hashlib.sha256(f"media-api owner {text}".encode()).hexdigest()[:12]
