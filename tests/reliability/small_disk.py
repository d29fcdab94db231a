"""A real file system of a few megabytes that a test may fill to the last byte or make read-only.

As root it is mounted here. Everybody else mounts it in a user and mount namespace of his own, and the service runs in
there; what it stores is seen through /proc.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_HOLDER = 'mount -t tmpfs -o size="$1" tmpfs "$0" && echo mounted && exec sleep 600'


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """view: where this process sees it.  prefix: the command that runs another one where it is mounted at `path`."""

    path: Path
    view: Path
    prefix: tuple[str, ...] = ()

    def fill(self) -> None:
        """Leave not one byte of room."""
        fd = os.open(self.view / ".ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        os.write(fd, bytes(size))
        finally:
            os.close(fd)

    def free(self) -> None:
        """Make room again."""
        (self.view / ".ballast").unlink()

    def make_read_only(self) -> None:
        """As a file system that has found an error, or an operator, does."""
        self._remount("ro")

    def make_writable(self) -> None:
        """Undo `make_read_only`."""
        self._remount("rw")

    def _remount(self, mode: str) -> None:
        subprocess.run([*self.prefix, "mount", "-o", f"remount,bind,{mode}", str(self.path)], check=True)


@contextmanager
def small_disk(path: Path, *, size: str = "8m") -> Iterator[SmallDisk]:
    """An empty file system at `path`, gone afterwards."""
    path.mkdir(parents=True)
    if os.geteuid() == 0 and _mounts_here(path, size):
        try:
            yield SmallDisk(path, view=path)
        finally:
            subprocess.run(["umount", "--lazy", str(path)], check=True)
        return
    with subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _HOLDER, str(path), size],
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        try:
            assert holder.stdout is not None
            if holder.stdout.readline().strip() != "mounted":
                pytest.skip("neither mount(2) nor a user namespace is allowed here: no disk to fill")
            yield SmallDisk(path, view=Path(f"/proc/{holder.pid}/root{path}"), prefix=_inside(holder.pid))
        finally:
            holder.kill()


def _mounts_here(path: Path, size: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _inside(pid: int) -> tuple[str, ...]:
    time.sleep(0.01)  # `exec` of the holder keeps its process id, but not for the shell that is still starting it
    return ("nsenter", "--target", str(pid), "--user", "--mount", "--preserve-credentials")
