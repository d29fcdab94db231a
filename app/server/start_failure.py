"""What a start that failed says: the sentence of an error of ours, and a traceback only for a bug. Knows no server."""

import sys

from app.core.config import ConfigurationError
from app.core.errors import ServiceError


def words_of_failure(traceback: str) -> str:
    """The sentence of the error that is being handled when it is one of ours, else `traceback`."""
    error = sys.exc_info()[1]
    if isinstance(error, ServiceError) and error.__cause__ is not None:
        return f"{error} [{error.__cause__!r}]"
    return str(error) if isinstance(error, (ConfigurationError, ServiceError)) else traceback
