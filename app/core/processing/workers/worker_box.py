"""The two directories that one worker can reach: a job's file is put into one, what is made of it comes from the other.

    {box}/in/incoming     a second name of the staged file while the job lasts; the worker may only read here
    {box}/out/            the worker makes files here, and removes none

The worker is confined to its box when it starts, which nobody can change afterwards. So it sees its own job and nothing
else of staging. What it has made leaves the box before anybody relies on it, and not while it can still be written.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Self

from app.core.media_types import MIB
from app.core.processing.contract import Job, ProcessedFile, Rendition
from app.core.processing.workers.wire import WireError

MAX_JOB_BYTES = 320 * MIB
"""Most bytes that the files of one job may have together; a single one is bounded by RLIMIT_FSIZE."""
MAX_JOB_FILES = 64

_DIRECTORY_MODE = 0o700
_SOURCE_NAME = "incoming"
_NO_LINKS_HERE = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


class WorkerBox:
    """One worker's; `make` it before the worker starts, `remove` it after the worker has ended."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._source = f"{directory}/in/{_SOURCE_NAME}"
        self.source_dir = directory / "in"
        self.output_dir = directory / "out"
        self._knows_writers = True

    @classmethod
    def make(cls, parent: Path) -> Self:
        """A new box under `parent`, which is made when it is missing. Raises OSError."""
        box = cls(parent / uuid.uuid4().hex)
        for directory in (box.source_dir, box.output_dir):
            directory.mkdir(parents=True, mode=_DIRECTORY_MODE)
        box._knows_writers = _knows_writers(box.source_dir)
        return box

    @property
    def is_gone(self) -> bool:
        """Whether somebody has removed it. The worker cannot be let into another one, so it is of no more use then."""
        return not (self.source_dir.is_dir() and self.output_dir.is_dir())

    @property
    def has_lost_its_file(self) -> bool:
        """Whether somebody has removed it, or is about to; ask while the job's file should lie in it.

        The worker can remove neither.
        """
        return self.is_gone or not os.path.lexists(self._source)

    @property
    def copies(self) -> bool:
        """Whether `claim` copies every byte, as the file system does not tell who writes; then call it in a thread."""
        return not self._knows_writers

    def lend(self, job: Job) -> Job:
        """`job` as the worker shall see it, with its file in the box. Raises OSError.

        A second name costs 5 microseconds (measured 2026-11, ext4), so it is given here and not in a thread; where the
        file system has no such thing, the file is copied.
        """
        try:
            os.link(job.source, self._source, follow_symlinks=False)
        except OSError as exc:
            if exc.errno not in _NO_LINKS_HERE:
                raise
            shutil.copyfile(job.source, self._source, follow_symlinks=False)
        return replace(job, source=self._source, output_dir=str(self.output_dir))

    def claim(self, made: ProcessedFile, job: Job) -> ProcessedFile:
        """Move every file that `made` names into the directory of `job`, out of the worker's reach.

        Afterwards no descriptor and no mapping exists through which one of them could change. Raises WireError when
        the worker keeps one, or names what is no plain file of its own; OSError.
        """
        if made.main_path is None and made.thumbnail is None and made.poster is None:
            return made
        return replace(
            made,
            main_path=None if made.main_path is None else self._claim(made.main_path, job),
            thumbnail=self._claim_rendition(made.thumbnail, job),
            poster=self._claim_rendition(made.poster, job),
        )

    def take_back(self) -> None:
        """Take the job's file away from the worker, also when it is gone already. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._source)  # noqa: PTH108 - Path.unlink does the same a little slower

    def has_leftovers(self) -> bool:
        """Whether files lie in the box that nobody has claimed. Raises OSError."""
        with os.scandir(self.output_dir) as entries:
            return next(entries, None) is not None

    def remove_leftovers(self) -> None:
        """Empty the directory of outputs; blocks as long as the disk takes. Raises OSError."""
        for name in os.listdir(self.output_dir):  # noqa: PTH208 - names only, for descriptors of the directory
            (self.output_dir / name).unlink()

    def is_full(self) -> bool:
        """Whether the worker has made more than one job may. Looks at no more files than that; raises OSError."""
        files = size_bytes = 0
        with os.scandir(self.output_dir) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    size_bytes += entry.stat(follow_symlinks=False).st_blocks * 512
                    files += 1
                if files > MAX_JOB_FILES or size_bytes > MAX_JOB_BYTES:
                    return True
        return False

    def remove(self) -> None:
        """Remove the box and everything in it; blocks. What the disk refuses is left to the sweep of staging."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _claim_rendition(self, rendition: Rendition | None, job: Job) -> Rendition | None:
        return None if rendition is None else replace(rendition, path=self._claim(rendition.path, job))

    def _claim(self, path: str, job: Job) -> str:
        # Plain strings: for every upload and each of its files, pathlib would cost more than the system calls.
        target = f"{job.output_dir}/{path.rpartition('/')[2]}"
        if target == job.source:
            raise WireError("an output has the name of the upload")
        try:
            if self._knows_writers:
                os.rename(path, target)  # noqa: PTH104
            else:
                _copy(path, target)
        except FileNotFoundError as exc:
            raise WireError("an output does not exist") from exc
        _check_settled(target, look_for_writers=self._knows_writers)
        return target


def _check_settled(path: str, *, look_for_writers: bool) -> None:
    """Raise WireError unless `path` is a plain file with one name that nobody can write into.

    A read lease is granted only while nobody has the file open or mapped for writing (fcntl(2)). The worker cannot open
    it anew: the kernel counts the writer first and asks Landlock then, and the name is out of its reach already.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise WireError("an output is not a plain file")
        if look_for_writers:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError as exc:
        raise WireError("an output is still open for writing") from exc
    finally:
        os.close(fd)


def _copy(made: str, target: str) -> None:
    fd = os.open(made, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as source, Path(target).open("wb") as copy:
        shutil.copyfileobj(source, copy)
    Path(made).unlink()


def _knows_writers(directory: Path) -> bool:
    """Whether the file system grants leases: NFS, some of FUSE and some sandboxes of containers do not."""
    probe = directory / "probe"
    probe.touch()
    fd = os.open(probe, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError:
        return False
    finally:
        os.close(fd)
        probe.unlink()
    return True
