"""Logging: how every line of the service looks and where it goes; the only importer of structlog.

Our own loggers and those of uvicorn, SQLAlchemy and Alembic end in the same handlers: standard output, and LOG_FILE
when it is set. Production writes one JSON object a line, development a readable line. What is bound with
`bind_context` (the request id) is on every line of that request, also on those of libraries.
"""

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TypeAlias, cast

from app.core.config import ConfigurationError, Settings
from app.core.log_file import SharedRotatingFile
from app.core.log_masking import clean_field, escape_control
from app.core.optional_imports import without

with without("rich"):  # a tenth of the whole service's importing (2026-11), for tracebacks that we do not print
    import structlog
    from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars, merge_contextvars
    from structlog.typing import EventDict, Processor

Logger: TypeAlias = structlog.stdlib.BoundLogger

# Louder than this, these write file contents (python-multipart), SQL parameters or whole URLs into the log, whatever
# LOG_LEVEL says. uvicorn.access is off because our middleware writes the one line per request.
_QUIET_LOGGERS: Mapping[str, int] = {
    "uvicorn.access": logging.CRITICAL,
    "python_multipart": logging.ERROR,
    "multipart": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "sqlalchemy.engine": logging.WARNING,
    "sqlalchemy.orm": logging.WARNING,
    "sqlalchemy.pool": logging.WARNING,
    "asyncio": logging.WARNING,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "PIL": logging.WARNING,
    "libav": logging.ERROR,
}
_LIBRARIES_WITH_OWN_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "sqlalchemy", "alembic")
_TEXT_OF_MANY_LINES = frozenset({"exception", "stack"})


def get_logger(name: str) -> Logger:
    """The logger of a module: `log = get_logger(__name__)`, then `log.info("media.ready", size_bytes=...)`."""
    return structlog.stdlib.get_logger(name)


def bind_context(**fields: str | int | float | bool | None) -> None:
    """Put `fields` on every later line of the current task and of the tasks it starts."""
    bind_contextvars(**fields)


def clear_context() -> None:
    """Forget what `bind_context` bound; called before each request, as one connection serves many."""
    clear_contextvars()


def log_context(**fields: str | int | float | bool | None) -> AbstractContextManager[None]:
    """`with log_context(media_id=...):` has `fields` on every line inside, and what was bound before afterwards."""
    return cast(AbstractContextManager[None], bound_contextvars(**fields))


def configure_logging(settings: Settings) -> None:
    """Send every log line where `settings` says; may be called again, the last call counts.

    Reads ENVIRONMENT (format), LOG_LEVEL, DEBUG (lowers the level to DEBUG) and LOG_FILE.
    Raises ConfigurationError when LOG_FILE cannot be written.
    """
    handlers = _handlers(settings)
    root = logging.getLogger()
    # Only our own handlers are replaced: a test runner or a host application may have put others there.
    for old in [handler for handler in root.handlers if isinstance(handler, _StandardOutput | SharedRotatingFile)]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(logging.DEBUG if settings.DEBUG else settings.LOG_LEVEL)

    for name in _LIBRARIES_WITH_OWN_HANDLERS:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.NOTSET)
        library.disabled = False
    for name, level in _QUIET_LOGGERS.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)


class _StandardOutput(logging.Handler):
    """Writes to what `sys.stdout` is at that moment, so that a redirection after the start holds."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stdout.write(self.format(record) + "\n")
            sys.stdout.flush()
        except Exception:  # as every handler of the standard library does
            self.handleError(record)


def _handlers(settings: Settings) -> list[logging.Handler]:
    output = _StandardOutput()
    output.setFormatter(_formatter(settings, colours=sys.stdout.isatty()))
    if settings.LOG_FILE is None:
        return [output]
    try:
        file = SharedRotatingFile(settings.LOG_FILE)
    except OSError as exc:
        raise ConfigurationError(f"LOG_FILE: cannot be written: {exc.strerror}") from exc
    file.setFormatter(_formatter(settings, colours=False))
    return [output, file]


def _formatter(settings: Settings, *, colours: bool) -> logging.Formatter:
    last: list[Processor]
    if settings.is_production:
        # ASCII JSON: a line break of any kind (U+2028, U+0085) or half a surrogate cannot split or spoil a line.
        last = [structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=True)]
    else:
        # The rich tracebacks that structlog prefers print local variables, and those hold tokens.
        renderer = structlog.dev.ConsoleRenderer(
            colors=colours, pad_event_to=28, exception_formatter=structlog.dev.plain_traceback
        )
        last = [_escape, renderer]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED, processors=[_in_reading_order, structlog.processors.format_exc_info, _mask, *last]
    )


def _add_pid(_logger: object, _method: str, event: EventDict) -> EventDict:
    event["pid"] = os.getpid()
    return event


def _in_reading_order(_logger: object, _method: str, event: EventDict) -> EventDict:
    first = {name: event[name] for name in ("timestamp", "level", "event", "request_id") if name in event}
    return first | {name: value for name, value in event.items() if name not in ("_record", "_from_structlog")}


def _mask(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {name: clean_field(name, value) for name, value in event.items()}


def _escape(_logger: object, _method: str, event: EventDict) -> EventDict:
    # Lists and dictionaries are shown by repr(), which escapes by itself. Tracebacks keep their lines, nothing more.
    return {
        name: escape_control(value, keep="\n\t" if name in _TEXT_OF_MANY_LINES else "")
        if isinstance(value, str)
        else value
        for name, value in event.items()
    }


_SHARED: list[Processor] = [
    merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _add_pid,
]

# Configured on import and the same in every mode, so that loggers which were used, and cached, before
# configure_logging() follow it all the same: everything that depends on the settings sits in the handlers.
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_SHARED,
        structlog.processors.StackInfoRenderer(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
