"""The Auth Service's public keys: which of a published set we take, and for which algorithm each.

Pure functions of a document; an algorithm is fixed by the key, and no token has a say in it.
"""

import binascii
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.core.auth.header import MAX_KEY_ID_CHARS
from app.core.auth.http import AuthFetchFailed

MAX_KEYS = 100
_MAX_NUMBER_CHARS = 2048  # base64url of 12288 bits, more than any RSA modulus we take
_RSA_MIN_BITS = 2048  # RFC 7518 section 3.3
_RSA_MAX_BITS = 8192  # beyond, one signature costs milliseconds

# What python-jose can verify with each kind of key; RSA-PSS and EdDSA are not among it.
RSA_ALGORITHMS = ("RS256", "RS384", "RS512")
_CURVE_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
ASYMMETRIC_ALGORITHMS = frozenset({*RSA_ALGORITHMS, *_CURVE_ALGORITHMS.values()})


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key for one algorithm; `members` are the public JWK members that make it, nothing else."""

    key_id: str | None
    algorithm: str
    members: tuple[tuple[str, str], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeySet:
    """What one fetch brought: the usable keys, and the `iss` that tokens must carry, when we know it."""

    keys: tuple[PublicKey, ...]
    issuer: str | None

    def find(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        """The key with this id, or without an id the only one for the algorithm; None when there is no such key."""
        fitting = [key for key in self.keys if key.algorithm == algorithm and (key_id is None or key.key_id == key_id)]
        return fitting[0] if len(fitting) == 1 else None


def read_keys(document: Mapping[str, object]) -> tuple[PublicKey, ...]:
    """The keys of a JWKS document that may verify signatures; the others are left out without a word.

    Left out: other uses than signing, symmetric keys, RSA under 2048 bits, unknown curves, unreadable ones, every
    key after the hundredth, and keys whose id another key of the same algorithm has.  Raises AuthFetchFailed when
    nothing is left.  Source: RFC 7517 sections 4 and 5.
    """
    listed = document.get("keys")
    entries = listed[:MAX_KEYS] if isinstance(listed, list) else []
    keys = [key for entry in entries if isinstance(entry, dict) for key in _keys_of(entry)]
    count = Counter((key.key_id, key.algorithm) for key in keys)
    usable = tuple(key for key in keys if key.key_id is None or count[key.key_id, key.algorithm] == 1)
    if not usable:
        raise AuthFetchFailed("its key set has no usable key")
    return usable


def _keys_of(entry: Mapping[str, object]) -> list[PublicKey]:
    """The key once per algorithm it may verify; empty when it is not for us."""
    key_id = entry.get("kid")
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return []
    if key_id is not None and not (isinstance(key_id, str) and len(key_id) <= MAX_KEY_ID_CHARS):
        return []
    kind = entry.get("kty")
    names, possible = (("n", "e"), RSA_ALGORITHMS) if kind == "RSA" else (("x", "y"), _algorithms_of_curve(entry))
    numbers = {name: _number(entry.get(name)) for name in names}
    if kind not in ("RSA", "EC") or None in numbers.values():
        return []
    if kind == "RSA" and not _RSA_MIN_BITS <= (numbers["n"] or 0).bit_length() <= _RSA_MAX_BITS:
        return []
    declared = entry.get("alg")
    algorithms = possible if declared is None else tuple(name for name in possible if name == declared)
    wanted = ("kty", "crv", *names) if kind == "EC" else ("kty", *names)
    members = tuple((name, str(entry[name])) for name in wanted)
    return [PublicKey(key_id=key_id, algorithm=algorithm, members=members) for algorithm in algorithms]


def _algorithms_of_curve(entry: Mapping[str, object]) -> tuple[str, ...]:
    curve = entry.get("crv")
    return (_CURVE_ALGORITHMS[curve],) if isinstance(curve, str) and curve in _CURVE_ALGORITHMS else ()


def _number(value: object) -> int | None:
    """A base64url number of a JWK; None when it is none or larger than any key we take."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_NUMBER_CHARS:
        return None
    try:
        return int.from_bytes(urlsafe_b64decode(value.encode("ascii") + b"=="), "big")
    except (binascii.Error, UnicodeEncodeError):
        return None
