"""What every request passes through, as plain ASGI: one file per concern, and here the order."""

from collections.abc import Collection

from starlette.applications import Starlette
from starlette.middleware import Middleware

from app.api.middleware.access_log import AccessLogMiddleware
from app.api.middleware.cors import CorsMiddleware
from app.api.middleware.early_answer import EarlyAnswerMiddleware
from app.api.middleware.error_guard import ErrorGuardMiddleware
from app.api.middleware.request_id import RequestIdMiddleware
from app.api.middleware.security_headers import SecurityHeadersMiddleware


def add_middleware(app: Starlette, *, cors_origins: Collection[str] = ()) -> None:
    """Wrap `app` in all of them; what was added before lies inside. cors_origins: none for no CORS at all."""
    # From the outside in: the id is on every line and answer, the log sees what really went over the wire, and a bug
    # becomes an answer before anything else has to deal with it.
    outside_in = [
        Middleware(RequestIdMiddleware),
        Middleware(AccessLogMiddleware),
        Middleware(SecurityHeadersMiddleware),
        *([Middleware(CorsMiddleware, origins=cors_origins)] if cors_origins else []),
        Middleware(EarlyAnswerMiddleware),
        Middleware(ErrorGuardMiddleware),
    ]
    # Starlette calls them with the application and with these arguments.
    for middleware in reversed(outside_in):
        app.add_middleware(middleware.cls, *middleware.args, **middleware.kwargs)
