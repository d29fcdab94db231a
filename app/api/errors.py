"""The one place that turns errors into answers: `{"detail", "code"}`, with the headers that belong to them."""

from collections.abc import Sequence

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from app.core.errors import ServiceError, Unavailable
from app.core.logging import get_logger
from app.schemas.errors import ErrorBody, FieldProblem

_HTTP_CODES = {400: "bad_request", 404: "route_not_found", 405: "method_not_allowed", 413: "body_too_large"}
_CLIENT_CLOSED_REQUEST = 499
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

log = get_logger(__name__)


def add_error_handlers(app: FastAPI) -> None:
    """Render every error of ours and of the framework."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(ClientDisconnect, _client_disconnect)


def error_response(
    request: Request, status: int, body: ErrorBody, headers: dict[str, str] | None = None
) -> JSONResponse:
    """An error answer; the request's state remembers the code for the log line."""
    request.state.error_code = body.code
    return JSONResponse(body.model_dump(exclude_none=True), status_code=status, headers=headers)


async def _service_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, ServiceError)
    if exc.report:
        if isinstance(exc, Unavailable):
            log.warning("request.unavailable", code=exc.code, cause=repr(exc.__cause__))
        else:
            log.error("request.failed", code=exc.code, exc_info=exc)
    else:
        log.info("request.refused", code=exc.code, detail=str(exc))
    return error_response(request, exc.status, ErrorBody(detail=str(exc), code=exc.code), dict(exc.headers))


async def _validation_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    body = validation_body(exc.errors())
    log.info("request.refused", code=body.code, detail=body.detail)
    return error_response(request, 400, body)


def validation_body(errors: Sequence[ErrorDetails]) -> ErrorBody:
    """One readable sentence about the first wrong field, and the list of them all."""
    problems = [FieldProblem(field=_field_name(error), problem=_problem(error)) for error in errors[:20]]
    first = problems[0]
    return ErrorBody(detail=f"'{first.field}' is not valid: {first.problem}.", code="invalid_request", errors=problems)


def _field_name(error: ErrorDetails) -> str:
    # The first place says where (path, query, body); the client knows its fields by the rest.
    places = [str(place) for place in error["loc"] if place not in ("path", "query", "body", "header")]
    return ".".join(places)[:100] or "request"


def _problem(error: ErrorDetails) -> str:
    return error["msg"].removeprefix("Value error, ").rstrip(".")[:300]


async def _http_exception(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    code = _HTTP_CODES.get(exc.status_code, "http_error")
    detail = "There is nothing at this address." if exc.status_code == 404 else str(exc.detail)
    headers = dict(exc.headers or {})
    if exc.status_code == 405:
        headers["Allow"] = ", ".join(_allowed_methods(request))
    return error_response(request, exc.status_code, ErrorBody(detail=detail, code=code), headers)


def _allowed_methods(request: Request) -> list[str]:
    """What RFC 9110 section 15.5.6 wants in `Allow`: the router names only the methods of one of the path's routes."""
    return [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


async def _client_disconnect(request: Request, _: Exception) -> Response:
    # Nobody reads this answer; the status is for the log line alone (nginx's number for it).
    request.state.error_code = "client_disconnected"
    return Response(status_code=_CLIENT_CLOSED_REQUEST)
