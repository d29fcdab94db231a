"""The front door of authentication: a bearer token in, a Principal out; the only importer of jose.

Only jose's signature check is used. Its claim checks take int("12") and int(True) for times and raise TypeError on a
list, so the claims are judged by `auth_claims`; its JWE code, which can be made to unpack bombs (CVE-2024-33664), is
never reached; and a key has one algorithm here, so none can be confused (CVE-2024-33663).
"""

import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

from jose import jwk, jws, jwt
from jose.backends.base import Key
from jose.exceptions import JOSEError

from app.core.auth.claims import ClaimRules, Principal, refused
from app.core.auth.dev_secret import load_or_create_dev_secret
from app.core.auth.header import BAD_SIGNATURE, TokenHeader, read_header, read_object
from app.core.auth.http import AuthHttp, is_web_url
from app.core.auth.introspection import IntrospectionVerifier
from app.core.auth.key_cache import KeySetCache, KeySource
from app.core.auth.keys import ASYMMETRIC_ALGORITHMS, KeySet, PublicKey
from app.core.auth.verified_tokens import VerifiedTokens
from app.core.config import AuthMode, ConfigurationError, Settings
from app.core.errors import AuthServiceUnavailable

__all__ = ["Principal", "TokenVerifier", "create_verifier", "mint_development_token"]

SECRET_ALGORITHM = "HS256"  # noqa: S105 - the name of an algorithm, not a secret
MAX_TOKEN_LIFE_S = 10 * 366 * 24 * 3600


class TokenVerifier(Protocol):
    """Turns bearer tokens into principals; made by `create_verifier`, used by all requests of a process."""

    async def verify(self, token: str) -> Principal:
        """The caller; raises Unauthenticated for a bad token, AuthServiceUnavailable when none can be judged."""

    async def check(self) -> None:
        """Try the way to the Auth Service; raises AuthServiceUnavailable, whose cause says what is wrong."""

    async def aclose(self) -> None:
        """Give back connections; no call may follow."""


def create_verifier(settings: Settings) -> TokenVerifier:
    """The verifier that AUTH_MODE names; connects to nothing yet, and may make the development secret.

    Raises ConfigurationError when an address or the secret cannot be used.
    """
    rules = ClaimRules(
        user_claim=settings.AUTH_USER_CLAIM,
        issuer=settings.AUTH_ISSUER,
        audience=settings.AUTH_AUDIENCE,
        leeway_s=settings.AUTH_LEEWAY_S,
    )
    match settings.AUTH_MODE:
        case AuthMode.SECRET:
            return _SecretVerifier(_secret_key(settings), rules)
        case AuthMode.JWKS:
            return _key_set_verifier(settings, rules)
        case AuthMode.INTROSPECTION:
            return _introspection_verifier(settings, rules)


def mint_development_token(settings: Settings, *, user_id: uuid.UUID, expires_s: int) -> str:
    """A token for `user_id` that this service itself accepts for `expires_s` seconds, at most ten years.

    Raises ConfigurationError in production and wherever an Auth Service issues the tokens.
    """
    if settings.is_production or settings.AUTH_MODE is not AuthMode.SECRET:
        raise ConfigurationError("Tokens are made here in development with AUTH_MODE=secret only")
    if not 0 < expires_s <= MAX_TOKEN_LIFE_S:
        raise ConfigurationError(f"A token must expire after 1 to {MAX_TOKEN_LIFE_S} seconds")
    now_s = int(time.time())
    claims: dict[str, object] = {"sub": str(user_id), "iat": now_s, "exp": now_s + expires_s}
    claims[settings.AUTH_USER_CLAIM] = str(user_id)
    if settings.AUTH_ISSUER is not None:
        claims["iss"] = settings.AUTH_ISSUER
    if settings.AUTH_AUDIENCE is not None:
        claims["aud"] = settings.AUTH_AUDIENCE
    return jwt.encode(claims, _secret_key(settings), algorithm=SECRET_ALGORITHM)


class _SecretVerifier:
    """HS256 with one shared secret."""

    def __init__(self, key: Key, rules: ClaimRules) -> None:
        self._key = key
        self._rules = rules
        self._verified = VerifiedTokens(leeway_s=rules.leeway_s)

    async def verify(self, token: str) -> Principal:
        now_s = time.time()
        known = self._verified.find(token)
        if known is not None and known.holds(self._key, now_s=now_s):
            return known.principal
        header = read_header(token)
        claims = _signed_claims(token, self._key, SECRET_ALGORITHM) if header.algorithm == SECRET_ALGORITHM else None
        if claims is None:
            raise refused(BAD_SIGNATURE)
        principal = self._rules.principal_of(claims, now_s=now_s)
        self._verified.remember(token, principal, claims, proof=self._key)
        return principal

    async def check(self) -> None:
        """Nothing outside is needed."""

    async def aclose(self) -> None:
        """Nothing is open."""


class _KeySetVerifier:
    """Asymmetric signatures by the keys that the Auth Service publishes."""

    def __init__(self, http: AuthHttp, keys: KeySetCache, rules: ClaimRules) -> None:
        self._http = http
        self._keys = keys
        self._rules = rules
        self._verified = VerifiedTokens(leeway_s=rules.leeway_s)

    async def verify(self, token: str) -> Principal:
        known = self._verified.find(token)
        # New keys are another set: who was believed by the old ones must show a signature again.
        if known is not None and known.holds(await self._keys.current(), now_s=time.time()):
            return known.principal
        header = read_header(token)
        if header.algorithm not in ASYMMETRIC_ALGORITHMS:
            raise refused(BAD_SIGNATURE)
        key_set = await self._keys.current()
        claims = _claims_signed_by(key_set, header, token)
        if claims is None:
            # A new key, or a new one under the old id.
            seen, key_set = key_set, await self._keys.after_miss(key_set)
            claims = _claims_signed_by(key_set, header, token) if key_set is not seen else None
        if claims is None:
            if key_set.find(header.key_id, header.algorithm) is None and not self._keys.is_current:
                raise AuthServiceUnavailable
            raise refused(BAD_SIGNATURE)
        principal = replace(self._rules, issuer=key_set.issuer).principal_of(claims, now_s=time.time())
        self._verified.remember(token, principal, claims, proof=key_set)
        return principal

    async def check(self) -> None:
        await self._keys.refresh()

    async def aclose(self) -> None:
        await self._keys.aclose()
        await self._http.aclose()


def _key_set_verifier(settings: Settings, rules: ClaimRules) -> TokenVerifier:
    for name in ("AUTH_JWKS_URL", "AUTH_DISCOVERY_URL"):
        _refuse_bad_url(name, getattr(settings, name))
    http = AuthHttp(timeout_s=settings.AUTH_TIMEOUT_S)
    source = KeySource(
        http,
        jwks_url=settings.AUTH_JWKS_URL,
        discovery_url=settings.AUTH_DISCOVERY_URL,
        issuer=settings.AUTH_ISSUER,
        timeout_s=settings.AUTH_TIMEOUT_S,
    )
    cache = KeySetCache(source.fetch, ttl_s=settings.AUTH_KEYS_TTL_S, min_interval_s=settings.AUTH_KEYS_MIN_INTERVAL_S)
    return _KeySetVerifier(http, cache, rules)


def _introspection_verifier(settings: Settings, rules: ClaimRules) -> TokenVerifier:
    url, client_id = settings.AUTH_INTROSPECTION_URL, settings.AUTH_INTROSPECTION_CLIENT_ID
    assert url is not None
    _refuse_bad_url("AUTH_INTROSPECTION_URL", url)
    secret = settings.AUTH_INTROSPECTION_CLIENT_SECRET
    client = (client_id, secret.get_secret_value() if secret else "") if client_id else None
    http = AuthHttp(timeout_s=settings.AUTH_TIMEOUT_S)
    return IntrospectionVerifier(http, url=url, client=client, rules=rules, cache_s=settings.AUTH_CACHE_S)


def _refuse_bad_url(name: str, url: str | None) -> None:
    if url is not None and not is_web_url(url):
        raise ConfigurationError(f"{name}: must be an http:// or https:// address")


def _secret_key(settings: Settings) -> Key:
    """The HS256 key. Raises ConfigurationError when the secret is a public key or certificate, as jose demands."""
    configured = settings.AUTH_SECRET
    secret = configured.get_secret_value() if configured else load_or_create_dev_secret(settings.DATA_DIR)
    try:
        return jwk.construct(secret, SECRET_ALGORITHM)
    except JOSEError as exc:
        raise ConfigurationError("AUTH_SECRET: a key pair's half or a certificate is no shared secret") from exc


def _claims_signed_by(key_set: KeySet, header: TokenHeader, token: str) -> Mapping[str, object] | None:
    """The claims, when a key of this set signed them; None for an unknown key and for a wrong signature."""
    public_key = key_set.find(header.key_id, header.algorithm)
    key = _usable(public_key) if public_key else None
    return _signed_claims(token, key, header.algorithm) if key else None


@lru_cache(maxsize=256)
def _usable(public_key: PublicKey) -> Key | None:
    """jose's form of the key; None when its numbers make none, as for a point beside the curve."""
    try:
        return jwk.construct(dict(public_key.members), public_key.algorithm)
    except (JOSEError, ValueError, TypeError):
        return None


def _signed_claims(token: str, key: Key, algorithm: str) -> Mapping[str, object] | None:
    """The claims, or None when `key` did not sign them. Raises Unauthenticated when they are no JSON object."""
    try:
        payload = jws.verify(token, key, algorithms=[algorithm])
    except (JOSEError, RecursionError):
        return None
    return read_object(payload)
