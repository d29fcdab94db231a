"""The key set of the Auth Service over time: fetched, kept, renewed in passing, and never asked for too often.

Knows no token: callers look a key up by id and algorithm, so nothing that a token says is ever fetched.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from app.core.auth.http import AuthFetchFailed, AuthHttp, is_web_url
from app.core.auth.keys import KeySet, read_keys
from app.core.errors import AuthServiceUnavailable
from app.core.logging import get_logger

log = get_logger(__name__)


class KeySource:
    """Fetches the key set, directly or by way of the discovery document, within `timeout_s` altogether."""

    def __init__(
        self, http: AuthHttp, *, jwks_url: str | None, discovery_url: str | None, issuer: str | None, timeout_s: float
    ) -> None:
        self._http = http
        self._discovery_url = discovery_url
        self._issuer = issuer
        self._timeout_s = timeout_s
        self._fixed = (jwks_url, issuer) if jwks_url else None
        self._discovered: tuple[str, str] | None = None

    async def fetch(self) -> KeySet:
        """The key set as it is now. Raises AuthFetchFailed."""
        try:
            async with asyncio.timeout(self._timeout_s):
                jwks_url, issuer = self._fixed or self._discovered or await self._discover()
                return KeySet(keys=read_keys(await self._http.get(jwks_url)), issuer=issuer)
        except TimeoutError as exc:
            self._discovered = None
            raise AuthFetchFailed(f"no key set within {self._timeout_s} s") from exc
        except AuthFetchFailed:
            # The address may have moved; the next attempt asks the discovery document again.
            self._discovered = None
            raise

    async def _discover(self) -> tuple[str, str]:
        """Address of the key set and issuer. Source: OpenID Connect Discovery 1.0 section 4.3."""
        assert self._discovery_url is not None
        document = await self._http.get(self._discovery_url)
        issuer, jwks_url = document.get("issuer"), document.get("jwks_uri")
        if not isinstance(issuer, str) or not issuer:
            raise AuthFetchFailed("its discovery document names no issuer")
        if self._issuer is not None and issuer != self._issuer:
            raise AuthFetchFailed("its discovery document names another issuer than AUTH_ISSUER")
        if not isinstance(jwks_url, str) or not is_web_url(jwks_url):
            raise AuthFetchFailed("its discovery document names no address of a key set")
        if self._discovery_url.startswith("https:") and not jwks_url.startswith("https:"):
            raise AuthFetchFailed("its discovery document points from https to http")
        self._discovered = jwks_url, issuer
        return self._discovered


class KeySetCache:
    """The last good key set, renewed in passing, one fetch at a time.

    ttl_s: age from which the set is fetched again.  min_interval_s: least time between two fetches for keys that are
    not in the set, and longest pause between attempts while the Auth Service is down.
    """

    def __init__(self, fetch: Callable[[], Awaitable[KeySet]], *, ttl_s: float, min_interval_s: float) -> None:
        self._fetch = fetch
        self._ttl_s = ttl_s
        self._min_interval_s = min_interval_s
        self._key_set: KeySet | None = None
        self._fetched_at_s = 0.0
        self._failures = 0
        self._last_failure: AuthFetchFailed | None = None
        self._retry_at_s = 0.0
        self._next_miss_at_s = 0.0
        self._fetching: asyncio.Task[None] | None = None

    @property
    def is_current(self) -> bool:
        """Whether the last fetch succeeded; otherwise a missing key may merely be one we could not hear of."""
        return self._failures == 0

    async def current(self) -> KeySet:
        """The key set, at most `ttl_s` old unless the Auth Service is down. Raises AuthServiceUnavailable."""
        if self._key_set is None or time.monotonic() >= self._fetched_at_s + self._ttl_s:
            await self._renew()
        if self._key_set is None:
            raise AuthServiceUnavailable from self._last_failure
        return self._key_set

    async def after_miss(self, seen: KeySet) -> KeySet:
        """A newer set than `seen`, when there is one or the time has come to look for one; otherwise `seen`."""
        now_s = time.monotonic()
        if self._key_set is seen:
            if self._fetching is None and now_s >= max(self._next_miss_at_s, self._retry_at_s):
                self._next_miss_at_s = now_s + self._min_interval_s
                self._start()
            await self._wait()
        return self._key_set or seen

    async def refresh(self) -> None:
        """Fetch now, whatever the clock says. Raises AuthServiceUnavailable when that fails."""
        self._start()
        await self._wait()
        if not self.is_current:
            raise AuthServiceUnavailable from self._last_failure

    async def aclose(self) -> None:
        """Stop a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    async def _renew(self) -> None:
        if self._fetching is None and time.monotonic() < self._retry_at_s:
            return
        self._start()
        # While the Auth Service is down, the keys we have go on and nobody waits for the next attempt.
        if self._key_set is None or self.is_current:
            await self._wait()

    def _start(self) -> None:
        if self._fetching is None:
            # A task of its own: the request that started it may be cancelled, others wait for the same answer.
            self._fetching = asyncio.create_task(self._run())

    async def _wait(self) -> None:
        if self._fetching is not None:
            await asyncio.shield(self._fetching)

    async def _run(self) -> None:
        try:
            self._key_set = await self._fetch()
        except AuthFetchFailed as exc:
            self._failures += 1
            self._last_failure = exc
            # 1, 2, 4 … seconds: a service that starts together with us is found soon, a dead one is left alone.
            pause_s = min(self._min_interval_s, 2.0 ** min(self._failures - 1, 10))
            self._retry_at_s = time.monotonic() + pause_s
            log.warning(
                "auth.keys_unavailable", reason=str(exc), failures=self._failures, has_keys=self._key_set is not None
            )
        else:
            self._failures = 0
            self._last_failure = None
            self._fetched_at_s = time.monotonic()
            log.info("auth.keys_refreshed", keys=len(self._key_set.keys))
        finally:
            self._fetching = None
