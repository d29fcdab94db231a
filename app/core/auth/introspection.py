"""Token introspection (RFC 7662): asks the Auth Service about a token and remembers the answer for a moment."""

import hashlib
import re
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass

from app.core.auth.claims import MAX_TOKEN_BYTES, ClaimRules, Principal, refused, time_claim
from app.core.auth.http import AuthFetchFailed, AuthHttp
from app.core.errors import AuthServiceUnavailable, Unauthenticated
from app.core.logging import get_logger

MAX_CACHED_ANSWERS = 10_000
_BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 section 2.1

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the Auth Service said of one token: a caller, or why not; counts until `until_s`, monotonic seconds."""

    verdict: Principal | str
    until_s: float


class IntrospectionVerifier:
    """Verifies tokens of any form by asking `url`; an answer counts for `cache_s` seconds, but never beyond `exp`.

    client: our id and secret there.  At most MAX_CACHED_ANSWERS answers are kept, by the SHA-256 of their token, so
    that no token is ever in memory longer than its request.
    """

    def __init__(
        self, http: AuthHttp, *, url: str, client: tuple[str, str] | None, rules: ClaimRules, cache_s: float
    ) -> None:
        self._http = http
        self._url = url
        self._client = client
        self._rules = rules
        self._cache_s = cache_s
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()

    async def verify(self, token: str) -> Principal:
        """The caller this token stands for. Raises Unauthenticated or AuthServiceUnavailable."""
        if len(token) > MAX_TOKEN_BYTES or not _BEARER_TOKEN.fullmatch(token):
            raise refused("This is not a bearer token.")
        digest = hashlib.sha256(token.encode("ascii")).digest()
        answer = self._answers.get(digest)
        if answer is None or time.monotonic() >= answer.until_s:
            answer = await self._ask(token)
            self._remember(digest, answer)
        if isinstance(answer.verdict, str):
            raise refused(answer.verdict)
        return answer.verdict

    async def check(self) -> None:
        """Ask about a token that nobody has. Raises AuthServiceUnavailable when the answer is not "inactive"."""
        answer = await self._ask(secrets.token_urlsafe(32))
        if isinstance(answer.verdict, Principal):
            raise AuthServiceUnavailable from AuthFetchFailed("it calls a random token active")

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _ask(self, token: str) -> _Answer:
        now_s = time.time()
        until_s = time.monotonic() + self._cache_s
        try:
            form = {"token": token, "token_type_hint": "access_token"}
            claims = await self._http.post_form(self._url, form, client=self._client)
            is_active = claims.get("active")
            if not isinstance(is_active, bool):
                raise AuthFetchFailed("its answer does not say whether the token is active")
        except AuthFetchFailed as exc:
            log.warning("auth.introspection_failed", reason=str(exc))
            raise AuthServiceUnavailable from exc
        if not is_active:
            return _Answer("The token is not active.", until_s)
        try:
            principal = self._rules.principal_of(claims, now_s=now_s, exp_required=False)
        except Unauthenticated as exc:
            return _Answer(str(exc), until_s)
        expires_s = time_claim(claims, "exp")
        if expires_s is not None:
            until_s = min(until_s, time.monotonic() + expires_s + self._rules.leeway_s - now_s)
        return _Answer(principal, until_s)

    def _remember(self, digest: bytes, answer: _Answer) -> None:
        self._answers[digest] = answer
        self._answers.move_to_end(digest)
        while len(self._answers) > MAX_CACHED_ANSWERS:
            self._answers.popitem(last=False)
