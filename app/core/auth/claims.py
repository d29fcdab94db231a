"""The rules of the claims: what an already authentic claims set must say before we believe who is calling.

Pure functions of a mapping, shared by signed tokens and introspection answers; knows no token format and no network.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from app.core.errors import Unauthenticated

MAX_TOKEN_BYTES = 8 * 1024  # of a whole token, checked before anything of it is read

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}", re.IGNORECASE)

# Year 9999. Anything later is a mistake or an attack, and would overflow date arithmetic further on.
_LATEST_TIME_S = 253_402_300_799

# Which purpose a token has is written differently by each Auth Service: `token_use` (Cognito), `token_type` (Simple
# JWT, RFC 7662), `typ` (Keycloak). These three have few values, so an unknown one is refused; `type` is too common a
# word for that, so only the purposes that are surely not access are refused there.
_PURPOSE_CLAIMS = ("token_use", "token_type", "typ")
_ACCESS_PURPOSES = frozenset({"access", "access_token", "at", "at+jwt", "bearer", "dpop", "jwt"})
_OTHER_PURPOSES = frozenset({
    "id", "id_token", "refresh", "refresh_token", "offline", "logout", "logout_token", "reset", "reset_password",
    "password_reset", "verify", "verification", "email_verification", "confirm", "invite", "mfa", "state",
})  # fmt: skip
# Hashes that OpenID Connect Core puts into ID tokens only (sections 3.1.3.6 and 3.3.2.11).
_ID_TOKEN_CLAIMS = ("at_hash", "c_hash")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, as far as the Auth Service vouches for it."""

    user_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What the claims must say; `issuer` and `audience` are required when set, `leeway_s` bounds clock differences."""

    user_claim: str
    issuer: str | None
    audience: str | None
    leeway_s: int

    def principal_of(self, claims: Mapping[str, object], *, now_s: float, exp_required: bool = True) -> Principal:
        """The caller that `claims` name at `now_s`, seconds since 1970.

        Raises Unauthenticated with a sentence that names the claim at fault.  Source: RFC 7519 section 4.1, RFC 8725
        sections 3.8 to 3.11.
        """
        self._check_times(claims, now_s=now_s, exp_required=exp_required)
        if self.issuer is not None and claims.get("iss") != self.issuer:
            raise refused("The token was not issued by the expected Auth Service (claim 'iss').")
        if self.audience is not None and not _names_audience(claims.get("aud"), self.audience):
            raise refused("The token was not issued for this service (claim 'aud').")
        if _is_for_another_purpose(claims):
            raise refused("The token is not an access token.")
        user_id = claims.get(self.user_claim)
        if not isinstance(user_id, str) or not _UUID.fullmatch(user_id):
            raise refused(f"The token does not name a user: its claim '{self.user_claim}' must be a UUID.")
        return Principal(user_id=uuid.UUID(user_id))

    def _check_times(self, claims: Mapping[str, object], *, now_s: float, exp_required: bool) -> None:
        expires_s = time_claim(claims, "exp")
        if expires_s is None and exp_required:
            raise refused("The token must say when it expires (claim 'exp').")
        if expires_s is not None and now_s >= expires_s + self.leeway_s:
            raise refused("The token has expired.")
        not_before_s = time_claim(claims, "nbf")
        if not_before_s is not None and now_s < not_before_s - self.leeway_s:
            raise refused("The token is not valid yet (claim 'nbf').")
        time_claim(claims, "iat")


def refused(detail: str) -> Unauthenticated:
    """The 401 for a token that was sent; `detail` is shown to the client."""
    return Unauthenticated(detail, token_was_sent=True)


def time_claim(claims: Mapping[str, object], name: str) -> float | None:
    """The claim as seconds since 1970, or None when it is absent; raises Unauthenticated when it is no sane number.

    Source: RFC 7519 section 2, NumericDate.  A bool is an int in Python, and JSON in Python knows NaN and Infinity.
    """
    if name not in claims:
        return None
    value = claims[name]
    # The comparison comes before any float arithmetic: an int of a thousand digits cannot become a float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST_TIME_S:
        raise refused(f"The claim '{name}' of the token is not a time.")
    return float(value)


def _names_audience(claim: object, audience: str) -> bool:
    return claim == audience or (isinstance(claim, list) and audience in claim)


def _is_for_another_purpose(claims: Mapping[str, object]) -> bool:
    if any(name in claims for name in _ID_TOKEN_CLAIMS):
        return True
    if any(name in claims and _word(claims[name]) not in _ACCESS_PURPOSES for name in _PURPOSE_CLAIMS):
        return True
    return _word(claims.get("type")) in _OTHER_PURPOSES


def _word(claim: object) -> str:
    return claim.lower() if isinstance(claim, str) else ""
