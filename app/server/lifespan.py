"""What a start that failed says: the sentence of an error of ours, and a traceback only for a bug."""

import sys
from typing import cast

from uvicorn._types import LifespanStartupFailedEvent
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

from app.core.config import ConfigurationError
from app.core.errors import ServiceError


class PlainLifespan(LifespanOn):
    """uvicorn's side of the lifespan protocol, which logs what the application says when it cannot start."""

    async def send(self, message: LifespanSendMessage) -> None:
        # Starlette says it while it handles the error, and gives its whole traceback as the message.
        error = sys.exc_info()[1]
        if message["type"] == "lifespan.startup.failed" and isinstance(error, (ConfigurationError, ServiceError)):
            message = cast("LifespanStartupFailedEvent", {**message, "message": _sentence(error)})
        await super().send(message)


def _sentence(error: ConfigurationError | ServiceError) -> str:
    return f"{error} [{error.__cause__!r}]" if isinstance(error, ServiceError) and error.__cause__ else str(error)
