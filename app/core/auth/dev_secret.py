"""The development secret: made once per data directory, so that tokens outlive a restart; never for production."""

import os
import secrets
import tempfile
from pathlib import Path

from app.core.config import MIN_SECRET_BYTES, ConfigurationError

FILE_NAME = "auth_secret"
_RANDOM_BYTES = 48


def load_or_create_dev_secret(data_dir: Path) -> str:
    """The secret under `data_dir`, 64 URL-safe characters; the first process to ask makes it, all get the same.

    The file is readable by its owner only.  Raises ConfigurationError when it cannot be read or made, or when it is
    too short to be one of ours.  Source: link(2), which fails when the name exists and never shows half a file.
    """
    path = data_dir / FILE_NAME
    try:
        if not path.exists():
            _create(path)
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(
            "DATA_DIR: the development secret cannot be read or made there; set AUTH_SECRET or another DATA_DIR"
        ) from exc
    if len(secret) < MIN_SECRET_BYTES:
        raise ConfigurationError(f"DATA_DIR: its file {FILE_NAME} is damaged; delete it to get a new secret")
    return secret


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp opens with mode 0600 and O_EXCL.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(_RANDOM_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    except FileExistsError:
        pass  # Another process was first; its secret is the one everybody reads.
    finally:
        draft.unlink()
