"""What endpoints may ask for: services, the caller, and the checks that run before a body is read."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.core.config import Settings
from app.core.database import Database
from app.core.errors import InvalidField, InvalidRequest, ShuttingDown, TooManyRequests, Unauthenticated
from app.core.lifecycle import is_draining
from app.core.logging import bind_context
from app.core.processing.sandbox import Sandbox
from app.core.rate_limit import RateLimiter, subscriber_of
from app.core.security import Principal, TokenVerifier
from app.core.storage import StorageManager
from app.services.content_service import ContentService
from app.services.media_service import MediaService

MAX_IDEMPOTENCY_KEY_CHARS = 255
IDEMPOTENCY_KEY_PATTERN = r'^(?:"[ -~]{1,255}"|(?!".*"$)[!-~](?:[ -~]{0,253}[!-~])?)$'
"""What `idempotency_key` takes, for the document."""

_bearer = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="A JWT of the Auth Service; locally `make token` prints one."
)


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the composition root hands to the HTTP layer; lives in `app.state.services`."""

    settings: Settings
    database: Database
    sandbox: Sandbox
    storage: StorageManager
    media: MediaService
    content: ContentService
    verifier: TokenVerifier
    upload_limiter: RateLimiter
    address_limiter: RateLimiter


async def services_of(request: Request) -> Services:
    """The services of this application. Async, because FastAPI sends every other dependency through a thread."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


ServicesDep = Annotated[Services, Depends(services_of)]


async def limit_address(request: Request, services: ServicesDep) -> None:
    """Raises TooManyRequests when this client's address asks too often."""
    address = request.client.host if request.client else "unknown"
    if (retry_after_s := services.address_limiter.take(subscriber_of(address))) is not None:
        raise TooManyRequests(retry_after_s=retry_after_s)


def check_authorization_lines(request: Request) -> None:
    """Raises InvalidRequest when a request says twice who sends it: a proxy may have believed the other one."""
    lines = 0
    for name, _ in request.scope["headers"]:
        if name == b"authorization":
            lines += 1
    if lines > 1:
        raise InvalidRequest("The Authorization header was sent more than once.")


async def one_authorization(request: Request) -> None:
    """The same as a dependency; async, because FastAPI sends every other one through a thread."""
    check_authorization_lines(request)


async def current_user(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """The caller, from the bearer token alone. Raises Unauthenticated, AuthServiceUnavailable."""
    if credentials is None:
        raise Unauthenticated
    return await _caller(request, services, credentials.credentials)


async def _caller(request: Request, services: Services, token: str) -> Principal:
    principal = await services.verifier.verify(token)
    request.state.user_id = str(principal.user_id)
    bind_context(user_id=str(principal.user_id))  # so that a refusal further on says whom it refused
    return principal


CurrentUser = Annotated[Principal, Depends(current_user)]


async def signed_in(request: Request, services: Services) -> Principal:
    """The same for who calls without FastAPI. Raises as `current_user` does."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme == "Bearer" and token.split() == [token]:  # as everybody spells it
        return await _caller(request, services, token)
    return await current_user(request, services, await _bearer(request))


async def uploader(request: Request, services: ServicesDep, user: CurrentUser) -> Principal:
    """A caller who may begin an upload now. Raises ShuttingDown and TooManyRequests."""
    if is_draining(request.scope.get("state", {})):
        raise ShuttingDown
    if (retry_after_s := services.upload_limiter.take(str(user.user_id))) is not None:
        raise TooManyRequests(retry_after_s=retry_after_s)
    return user


Uploader = Annotated[Principal, Depends(uploader)]


async def idempotency_key(
    raw: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Makes it safe to send the same upload again within 24 hours: 1 to 255 printable characters "
            "of ASCII, with or without quotes around them.",
            json_schema_extra={"maxLength": MAX_IDEMPOTENCY_KEY_CHARS + 2, "pattern": IDEMPOTENCY_KEY_PATTERN},
            examples=["5f0c7b8e-6f0e-4b43-9a55-2f6f3e0f7d11"],
        ),
    ] = None,
) -> str | None:
    """The header of draft-ietf-httpapi-idempotency-key-header, with or without its quotes. Raises InvalidField."""
    if raw is None:
        return None
    key = raw.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 0 < len(key) <= MAX_IDEMPOTENCY_KEY_CHARS or not key.isascii() or not key.isprintable():
        raise InvalidField("Idempotency-Key", f"must have 1 to {MAX_IDEMPOTENCY_KEY_CHARS} printable characters.")
    return key


IdempotencyKeyHeader = Annotated[str | None, Depends(idempotency_key)]
