"""What every request passes through, as plain ASGI: one file per concern, and here the order."""

from starlette.applications import Starlette

from app.api.middleware.access_log import AccessLogMiddleware
from app.api.middleware.early_answer import EarlyAnswerMiddleware
from app.api.middleware.error_guard import ErrorGuardMiddleware
from app.api.middleware.head import HeadMiddleware
from app.api.middleware.request_id import RequestIdMiddleware
from app.api.middleware.security_headers import SecurityHeadersMiddleware

# From the outside in: the id is on every line and answer, the log sees what really went over the wire, and a bug
# becomes an answer before anything else has to deal with it.
_OUTSIDE_IN = (
    RequestIdMiddleware,
    AccessLogMiddleware,
    SecurityHeadersMiddleware,
    EarlyAnswerMiddleware,
    HeadMiddleware,
    ErrorGuardMiddleware,
)


def add_middleware(app: Starlette) -> None:
    """Wrap `app` in all of them; what was added before lies inside."""
    for middleware in reversed(_OUTSIDE_IN):
        app.add_middleware(middleware)
