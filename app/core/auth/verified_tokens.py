"""Remembers which signed tokens were verified, so that a client's next request costs no cryptography and no parsing.

What is kept is what can be found out again from the token, the key and the clock alone: a token is believed from memory
exactly when verifying it anew would succeed. Knows no algorithm and no claim but the two times.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, NamedTuple

from app.core.auth.claims import Principal, time_claim

MAX_TOKENS: Final = 10_000  # about 400 bytes each


class Verified(NamedTuple):
    """Whom a token names, by signatures checked against `proof`; its claims allow from `from_s` until `until_s`."""

    principal: Principal
    proof: object
    from_s: float
    until_s: float

    def holds(self, proof: object, *, now_s: float) -> bool:
        """Whether verifying anew would succeed: against the very same keys, at `now_s` seconds since 1970."""
        return self.proof is proof and self.from_s <= now_s < self.until_s


class VerifiedTokens:
    """By the SHA-256 of the token, so that none is in memory longer than its request; refused ones are not kept."""

    def __init__(self, *, leeway_s: int) -> None:
        self._leeway_s = leeway_s
        self._known: OrderedDict[bytes, Verified] = OrderedDict()

    def find(self, token: str) -> Verified | None:
        """What is remembered of `token`; it may no longer hold."""
        return self._known.get(_digest(token))

    def remember(self, token: str, principal: Principal, claims: Mapping[str, object], *, proof: object) -> None:
        """`token` was verified against `proof`, whole: signature, header and `claims`, which name `principal`."""
        expires_s, not_before_s = time_claim(claims, "exp"), time_claim(claims, "nbf")
        if expires_s is None:
            return
        from_s = 0.0 if not_before_s is None else not_before_s - self._leeway_s
        digest = _digest(token)
        self._known.pop(digest, None)
        self._known[digest] = Verified(principal, proof, from_s, expires_s + self._leeway_s)
        if len(self._known) > MAX_TOKENS:
            self._known.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
