"""What a refusal, a fault or a lost worker means to the client: the one place that turns them into errors."""

import errno
from collections.abc import Iterator

from app.core.errors import FileTooComplex, InvalidUpload, ServiceError, StorageFull, StorageUnavailable, UnreadableFile
from app.core.metrics import WorkerEnd
from app.core.processing.contract import Fault, Refusal

_COULD_NOT_BE_READ = "The file could not be read."
_TOO_LONG = "Reading this file takes too long."
_TOO_MUCH_MEMORY = "Reading this file needs too much memory."
_TOO_LARGE = "Processing this file makes too large a result."

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_STORAGE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE})


def refusal_error(refusal: Refusal) -> InvalidUpload:
    """The InvalidUpload with the refusal's code and sentence; UnreadableFile for a code that no class has.

    Some classes word their own sentence from other arguments, so their constructors are passed by. A sentence is one
    printable line: a worker that was taken over may have written it.
    """
    detail = "".join(char if char.isprintable() else " " for char in refusal.detail).strip() or _COULD_NOT_BE_READ
    kind = _BY_CODE.get(refusal.code)
    if kind is None:
        return UnreadableFile(_COULD_NOT_BE_READ)
    error = kind.__new__(kind)
    ServiceError.__init__(error, detail)
    return error


def fault_error(fault: Fault) -> ServiceError:
    """What broke: the storage, the memory limit, or (nearly always) a decoder over a damaged file."""
    if fault.errno in _NO_ROOM:
        return StorageFull()
    if fault.errno in _NO_STORAGE:
        return StorageUnavailable()
    if fault.errno == errno.ENOMEM:
        return FileTooComplex(_TOO_MUCH_MEMORY)
    if fault.errno == errno.EFBIG:
        return FileTooComplex(_TOO_LARGE)
    return UnreadableFile(_COULD_NOT_BE_READ)


def lost_worker_error(end: WorkerEnd) -> InvalidUpload:
    """A worker that a file brought down costs that upload a 400 and nobody else anything."""
    match end:
        case WorkerEnd.TIMED_OUT | WorkerEnd.CPU_LIMIT | WorkerEnd.PREVIEW_LIMIT:
            return FileTooComplex(_TOO_LONG)
        case WorkerEnd.MEMORY_LIMIT:
            return FileTooComplex(_TOO_MUCH_MEMORY)
        case WorkerEnd.OUTPUT_LIMIT:
            return FileTooComplex(_TOO_LARGE)
        case _:
            return UnreadableFile(_COULD_NOT_BE_READ)


def _walk(kind: type[InvalidUpload]) -> Iterator[type[InvalidUpload]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _walk(child)


_BY_CODE = {kind.code: kind for kind in _walk(InvalidUpload)}
