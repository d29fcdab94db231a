"""The one place that decides what a refusal of the operating system means for a client."""

import errno

from app.core.errors import ServiceError, StorageFull, StorageUnavailable

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def storage_error(cause: OSError) -> ServiceError:
    """StorageFull when the disk or a disk quota has no room, StorageUnavailable for every other refusal (errno(3))."""
    return StorageFull() if cause.errno in _NO_ROOM else StorageUnavailable()
