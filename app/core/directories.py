"""Says at the start, in one sentence that names the setting, that a directory cannot be used."""

import tempfile
from pathlib import Path

from app.core.config import ConfigurationError
from app.core.errors import StorageFull
from app.core.os_errors import storage_error


def require_directory(setting: str, path: Path) -> None:
    """Make `path` where it is missing and try whether this process may write there. Raises ConfigurationError.

    A full disk is no reason to refuse: a service that starts can serve what it has, and deletes make room.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        Path(tempfile.mkdtemp(prefix=".writable-", dir=path)).rmdir()
    except FileExistsError as exc:
        raise ConfigurationError(f"{setting}: {path} is not a directory") from exc
    except OSError as exc:
        if not isinstance(storage_error(exc), StorageFull):
            raise unusable(setting, path, exc) from exc


def unusable(setting: str, path: Path, cause: BaseException) -> ConfigurationError:
    """The same for a directory that refused a single step."""
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return ConfigurationError(f"{setting}: {path} cannot be used: {reason}")
