"""Is the process there, can it do its work, what does it count: for load balancers and Prometheus, not for users."""

import asyncio
from collections.abc import Awaitable
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.api.deps import ServicesDep
from app.api.head import answer_head
from app.core.errors import ServiceError
from app.core.lifecycle import is_draining
from app.core.metrics import Dependency, dependency_checked, render_metrics
from app.core.processing.sandbox import Sandbox

router = APIRouter(tags=["operations"])

# Longer than DATABASE_TIMEOUT_S, so that the answer names the cause, and shorter than any prober waits.
_CHECK_TIMEOUT_S = 3.0


class Health(BaseModel):
    """The process answers."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "ok"}})

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether requests should be sent here; `checks` names each part as `ok` or with what is wrong."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, str] = Field(description="`ok`, or the code of what is wrong, for each part.")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "status": "not_ready",
                "checks": {"database": "database_unavailable", "storage": "ok", "workers": "ok", "server": "ok"},
            }
        }
    )


@router.get("/healthz", operation_id="getHealth", summary="Is the process alive?")
async def healthz() -> Health:
    """Answers without asking anybody: a failure means that the process should be restarted."""
    return Health()


@router.get(
    "/readyz",
    operation_id="getReadiness",
    summary="Can it take requests?",
    responses={503: {"model": Readiness, "description": "Some part does not work, or the service is shutting down."}},
)
async def readyz(request: Request, response: Response, services: ServicesDep) -> Readiness:
    """Tries the database, the storage and the worker processes; says which one does not work."""
    database, storage, workers = await asyncio.gather(
        _outcome("database", services.database.check()),
        _outcome("storage", services.storage.check_writable()),
        _outcome("workers", _check_workers(services.sandbox)),
    )
    server = "shutting_down" if is_draining(request.scope.get("state", {})) else "ok"
    checks = {"database": database, "storage": storage, "workers": workers, "server": server}
    is_ready = all(outcome == "ok" for outcome in checks.values())
    response.status_code = 200 if is_ready else 503
    response.headers["Cache-Control"] = "no-store"
    return Readiness(status="ready" if is_ready else "not_ready", checks=checks)


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "All server processes of this instance together.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "media_sandbox_workers 2.0\n"}},
        }
    },
)
async def metrics() -> Response:
    """All server processes together, in Prometheus' text format."""
    body, content_type = await asyncio.to_thread(render_metrics)
    return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})


class _NoWorkers(ServiceError):
    code = "no_workers"


async def _check_workers(sandbox: Sandbox) -> None:
    if sandbox.stats.workers == 0:
        raise _NoWorkers


async def _outcome(dependency: Dependency, check: Awaitable[None]) -> str:
    try:
        await asyncio.wait_for(check, _CHECK_TIMEOUT_S)
    except ServiceError as exc:
        outcome = exc.code
    except TimeoutError:
        outcome = "timeout"
    else:
        outcome = "ok"
    dependency_checked(dependency, is_up=outcome == "ok")
    return outcome


answer_head(router)
