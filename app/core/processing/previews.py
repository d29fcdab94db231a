"""Owns how much CPU time the picture of a drawing or a page may take, which is only a preview. Imports no library.

The libraries that draw cannot be asked to stop, so the worker is ended in the midst of it. The server knows that end by
its signal and gives the file to another worker that draws nothing: the upload succeeds without the picture.
"""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

MAX_CPU_S = 2.0
"""An ordinary drawing or first page takes a few hundredths of a second."""
OVERSPENT = signal.SIGPROF
"""What ends a worker that draws for longer (setitimer(2)); nothing else here sends it."""


@contextmanager
def bounded() -> Iterator[None]:
    """End this process when the block takes more than MAX_CPU_S of CPU time, if it is a sandbox worker.

    A worker is known by its own limit of CPU time, which stays in force.
    """
    if resource.getrlimit(resource.RLIMIT_CPU)[0] == resource.RLIM_INFINITY:
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
