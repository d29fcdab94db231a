"""Starts what serves: one server in this process, or several workers under a supervisor."""

import ctypes
import resource
import socket
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Final

from app.core import metrics
from app.core.config import Settings, load_settings
from app.core.logging import configure_logging
from app.server.server import MediaConfig, MediaServer
from app.server.supervisor import STARTUP_FAILURE, Supervisor

APP_FACTORY: Final = "app.main:create_app"

_SPARE_DESCRIPTORS: Final = 1024
_M_ARENA_MAX: Final = -8  # mallopt(3)


def run(
    settings: Settings,
    *,
    app: str | Callable[[], object] = APP_FACTORY,
    is_viable: Callable[[], bool] = lambda: True,
) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code: 0, or 3 when the service could not start.

    app: a factory, by import string when there are several workers (each reads its settings from the environment
    again).  is_viable: whether what the service cannot do without, and only this process can see, is still there; it
    is asked several times a second, and serving ends as after SIGTERM once it says no.
    """
    _allow_descriptors(settings.MAX_CONNECTIONS + _SPARE_DESCRIPTORS)
    _few_arenas()
    config = MediaConfig(settings, app)
    if settings.WORKERS == 1:
        return _serve(config, None, is_viable)
    if not isinstance(app, str):
        raise TypeError("several workers need the application's import string")
    import_module(app.partition(":")[0])  # once, for all workers
    with config.bind_socket() as listener:
        # The library marks it for workers that are executed; ours are forked, and what they execute shall not keep the
        # port open.
        listener.set_inheritable(False)
        supervisor = Supervisor(
            partial(serve_worker, app=app),
            listener,
            workers=settings.WORKERS,
            grace_s=settings.SHUTDOWN_GRACE_S,
            is_viable=is_viable,
        )
        return supervisor.run()


def serve_worker(listener: socket.socket, *, app: str) -> None:
    """One of several workers, just forked; ends the process."""
    metrics.begin_in_child()
    settings = load_settings()
    configure_logging(settings)
    raise SystemExit(_serve(MediaConfig(settings, app), [listener]))


def _few_arenas() -> None:
    # The threads for file I/O would get an arena of the allocator each, and keep the megabytes that passed through it.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has none and needs none
        libc.mallopt(_M_ARENA_MAX, 2)


def _serve(
    config: MediaConfig, sockets: list[socket.socket] | None, is_viable: Callable[[], bool] = lambda: True
) -> int:
    server = MediaServer(config, is_viable=is_viable)
    server.run(sockets)
    return 0 if server.started else STARTUP_FAILURE


def _allow_descriptors(wanted: int) -> None:
    # The usual soft limit of 1024 is met by MAX_CONNECTIONS alone; accept() would then fail in a busy loop.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
