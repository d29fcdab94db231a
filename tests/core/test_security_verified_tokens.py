"""Tokens that were believed once are believed again exactly as long as verifying them anew would believe them."""

import asyncio
import time
import uuid

import pytest

from app.core.auth.claims import Principal
from app.core.auth.verified_tokens import MAX_TOKENS, VerifiedTokens
from app.core.errors import Unauthenticated
from app.core.security import TokenVerifier, create_verifier
from tests.fixtures.forged_tokens import hs256
from tests.fixtures.settings import given_settings

SECRET = "a-secret-for-the-tests-of-48-bytes-0123456789abc"
USER = Principal(user_id=uuid.UUID("6f1c0a4e-95d7-4f0c-8a55-0a6c3d3f9b11"))
KEYS, OTHER_KEYS = object(), object()


def verifier_with(secret: str = SECRET) -> TokenVerifier:
    return create_verifier(given_settings({"AUTH_SECRET": secret, "AUTH_LEEWAY_S": 0}))


def token(*, expires_s: float, secret: str = SECRET) -> str:
    claims = {"sub": str(USER.user_id), "exp": expires_s}
    return hs256({"alg": "HS256", "typ": "JWT"}, claims, secret=secret.encode())


async def test_a_remembered_token_expires_to_the_second() -> None:
    verifier, short = verifier_with(), token(expires_s=time.time() + 0.5)
    assert [await verifier.verify(short) for _ in range(2)] == [USER, USER]
    await asyncio.sleep(0.6)
    with pytest.raises(Unauthenticated, match="expired"):
        await verifier.verify(short)


async def test_a_remembered_token_says_nothing_of_others() -> None:
    verifier, expires_s = verifier_with(), time.time() + 60
    honest = token(expires_s=expires_s)
    await verifier.verify(honest)
    others = token(expires_s=expires_s, secret=SECRET[::-1])
    for forged in (others, honest[:-1], honest + "A", honest.rpartition(".")[0]):
        with pytest.raises(Unauthenticated):
            await verifier.verify(forged)


async def test_a_refused_token_is_not_remembered_as_good() -> None:
    forged = token(expires_s=time.time() + 60, secret=SECRET[::-1])
    verifier = verifier_with()
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await verifier.verify(forged)
    assert await verifier_with(SECRET[::-1]).verify(forged) == USER


@pytest.mark.parametrize(
    ("keys", "now_s", "holds"),
    [
        (KEYS, 1000, True), (OTHER_KEYS, 1000, False),
        (KEYS, 895, True), (KEYS, 894.9, False), (KEYS, 1104.9, True), (KEYS, 1105, False),
    ],
)  # fmt: skip
def test_memory_holds_for_the_same_keys_between_the_tokens_times(keys: object, now_s: float, holds: bool) -> None:
    verified = VerifiedTokens(leeway_s=5)
    verified.remember("a", USER, {"nbf": 900, "exp": 1100}, proof=KEYS)
    known = verified.find("a")

    assert known is not None
    assert known.holds(keys, now_s=now_s) is holds
    assert verified.find("b") is None


def test_memory_is_bounded_and_the_oldest_give_way() -> None:
    verified = VerifiedTokens(leeway_s=0)
    for number in range(MAX_TOKENS + 1):
        verified.remember(str(number), USER, {"exp": 1000}, proof=KEYS)

    assert verified.find("0") is None
    assert verified.find("1") is not None
