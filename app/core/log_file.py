"""The optional LOG_FILE: one file that all processes append to, rotated by size. Imports nothing of ours.

One shared file instead of one per process, because an operator follows one name and worker processes come and go.
That is safe because each line is a single write(2) to a file opened with O_APPEND (the kernel orders such writes),
because only the holder of a lock on the directory renames, and because a process whose file was renamed away, by a
sibling or by logrotate, notices the other inode before its next line.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MAX_FILE_BYTES = 10 * 1024 * 1024
KEPT_FILES = 5


class SharedRotatingFile(logging.Handler):
    """Appends lines to `path`; at `max_bytes` it becomes `path.1`, and so on up to `path.<kept>`.

    Raises OSError on construction when the file cannot be opened. Later failures (a full disk) go to standard error
    by `logging`'s own rule and do not reach the caller.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_FILE_BYTES, kept: int = KEPT_FILES) -> None:
        super().__init__()
        self._path = path.absolute()
        self._max_bytes = max_bytes
        self._kept = kept
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = self._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line. `logging` holds this handler's lock, so threads of this process take turns."""
        try:
            line = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
            self._follow_renames()
            if os.fstat(self._descriptor).st_size + len(line) > self._max_bytes:
                self._rotate(len(line))
            os.write(self._descriptor, line)
        except Exception:  # as every handler of the standard library does
            self.handleError(record)

    def close(self) -> None:
        """Close the file; further lines are lost."""
        with self._locked_by_thread():
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
        super().close()

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _reopen(self) -> None:
        fresh = self._open()
        os.close(self._descriptor)
        self._descriptor = fresh

    def _follow_renames(self) -> None:
        ours = os.fstat(self._descriptor)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            self._reopen()
            return
        if (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino):
            self._reopen()

    def _rotate(self, line_bytes: int) -> None:
        with self._locked_by_process():
            # A sibling may have rotated while we waited for the lock.
            self._follow_renames()
            size_bytes = os.fstat(self._descriptor).st_size
            if size_bytes == 0 or size_bytes + line_bytes <= self._max_bytes:
                return
            for number in range(self._kept - 1, 0, -1):
                with suppress(FileNotFoundError):
                    self._numbered(number).replace(self._numbered(number + 1))
            self._path.replace(self._numbered(1))
            self._reopen()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    @contextmanager
    def _locked_by_process(self) -> Iterator[None]:
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)  # closing releases the lock

    @contextmanager
    def _locked_by_thread(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()
