"""The outside of a signed token: its size, its form and its header, all still unproven; reads no claim."""

import binascii
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from app.core.auth.claims import MAX_TOKEN_BYTES, refused

MAX_KEY_ID_CHARS = 256
BAD_SIGNATURE = "The token's signature is not valid."
_NO_JWT = "The token is not a signed JWT."
_SIGNED_JWT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_ACCESS_TOKEN_TYPES = frozenset({"jwt", "at+jwt"})  # RFC 7519 section 5.1, RFC 9068 section 2.1


@dataclass(frozen=True, slots=True)
class TokenHeader:
    """What a token says about itself before anything is proved; good for looking a key up, for nothing else."""

    algorithm: str
    key_id: str | None


def read_header(token: str) -> TokenHeader:
    """The header of a compact JWS. Raises Unauthenticated for other forms, other purposes and unknown extensions.

    Members that carry or point to a key (jku, jwk, x5u, x5c) are not looked at.  Source: RFC 7515 sections 4.1, 5.2.
    """
    form = _SIGNED_JWT.fullmatch(token) if len(token) <= MAX_TOKEN_BYTES else None
    # Each part must be the one spelling of its bytes, or a token could be altered and still verify.
    if form is None or not all(_is_canonical(part) for part in form.groups()):
        raise refused(_NO_JWT)
    header = read_object(urlsafe_b64decode(form[1] + "=="))
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _ACCESS_TOKEN_TYPES:
        raise refused("The token is not an access token.")
    if "crit" in header:
        raise refused("The token uses an extension that is not supported (header 'crit').")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str):
        raise refused(BAD_SIGNATURE)
    if "kid" in header and not (isinstance(key_id, str) and len(key_id) <= MAX_KEY_ID_CHARS):
        raise refused("The token's key id is not usable (header 'kid').")
    return TokenHeader(algorithm=algorithm, key_id=key_id if isinstance(key_id, str) else None)


def read_object(data: bytes) -> Mapping[str, object]:
    """The JSON object in `data`. Raises Unauthenticated for anything else, NaN and too deep nesting included."""
    try:
        value: object = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise refused(_NO_JWT) from exc
    if not isinstance(value, dict):
        raise refused(_NO_JWT)
    return value


def _is_canonical(part: str) -> bool:
    try:
        return urlsafe_b64encode(urlsafe_b64decode(part + "==")).rstrip(b"=") == part.encode("ascii")
    except binascii.Error:
        return False


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
