"""The wire to the Auth Service: small JSON answers, bounded in time and size; the only importer of httpx in the app.

Follows no redirect and no proxy variable, so a request goes where the settings say and nowhere else.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, urlsplit

from app.core.optional_imports import when_used

if TYPE_CHECKING:
    import httpx
else:  # no service that shares a secret with its Auth Service ever calls it
    httpx = when_used("httpx")

MAX_ANSWER_BYTES = 1024 * 1024
_MAX_CONNECTIONS = 20


class AuthFetchFailed(Exception):
    """The Auth Service gave no usable answer; the text says why, holds no secret, and belongs in the log only."""


class AuthHttp:
    """Fetches JSON objects; one per verifier, closed with it."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            verify=_trusted_certificates(),
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=_MAX_CONNECTIONS),
            follow_redirects=False,
            trust_env=False,
            # An unpacked answer could be far larger than what was counted on the wire.
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )

    async def get(self, url: str) -> Mapping[str, object]:
        """The JSON object at `url`. Raises AuthFetchFailed, at the latest after the timeout."""
        return await self._fetch("GET", url)

    async def post_form(
        self, url: str, form: Mapping[str, str], *, client: tuple[str, str] | None
    ) -> Mapping[str, object]:
        """The JSON object that answers `form`; `client` is our id and secret for client_secret_basic.

        Raises AuthFetchFailed, at the latest after the timeout.  Source: RFC 6749 section 2.3.1, which wants both
        form-encoded before they are joined.
        """
        auth = httpx.BasicAuth(*(quote_plus(part) for part in client)) if client else None
        return await self._fetch("POST", url, form=form, auth=auth)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _fetch(
        self, method: str, url: str, *, form: Mapping[str, str] | None = None, auth: "httpx.BasicAuth | None" = None
    ) -> Mapping[str, object]:
        try:
            request = self._client.build_request(method, url, data=form)
            # httpx counts its timeout per read; a server that drips bytes would outlast it.
            async with asyncio.timeout(self._timeout_s):
                return _json_object(await self._body_of(request, auth))
        except TimeoutError as exc:
            raise AuthFetchFailed(f"no answer within {self._timeout_s} s") from exc
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as exc:
            # A ValueError is a host name that no resolver can encode.
            raise AuthFetchFailed(f"the connection failed ({type(exc).__name__})") from exc

    async def _body_of(self, request: "httpx.Request", auth: "httpx.BasicAuth | None") -> bytes:
        response = await self._client.send(request, stream=True, auth=auth)
        try:
            if response.status_code != httpx.codes.OK:
                raise AuthFetchFailed(f"it answered with status {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise AuthFetchFailed(f"its answer has more than {MAX_ANSWER_BYTES} bytes")
            return bytes(body)
        finally:
            await response.aclose()


def is_web_url(url: str) -> bool:
    """Whether `url` is an absolute http or https URL with a host and a port that can exist."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _json_object(body: bytes) -> Mapping[str, object]:
    try:
        answer: object = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise AuthFetchFailed("its answer is not JSON") from exc
    if not isinstance(answer, dict):
        raise AuthFetchFailed("its answer is not a JSON object")
    return answer


@cache  # Reading the certificates took 0.1 s of CPU (2026-11), and they are the same for every client.
def _trusted_certificates() -> ssl.SSLContext:
    # The bundled list works on a system without one; the system's own adds a company's private authority.
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context
