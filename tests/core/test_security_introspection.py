"""Claims about tokens that only the Auth Service can judge: a real provider's introspection, and broken answers."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.core.auth import introspection as auth_introspection
from app.core.errors import AuthServiceUnavailable, Unauthenticated
from app.core.security import Principal, TokenVerifier, create_verifier
from tests.fixtures.answering_server import AnsweringServer, answering_server
from tests.fixtures.auth_service import AUDIENCE, INTROSPECTION_CLIENT, AuthService
from tests.fixtures.settings import given_settings

USER = uuid.UUID("6f1c0a4e-95d7-4f0c-8a55-0a6c3d3f9b11")
PATH = "/token/introspection"
TIMEOUT_S = 1


@asynccontextmanager
async def verifier_at(url: str, **values: object) -> AsyncIterator[TokenVerifier]:
    client_id, client_secret = INTROSPECTION_CLIENT
    settings = given_settings(
        {
            "AUTH_MODE": "introspection",
            "AUTH_INTROSPECTION_URL": url,
            "AUTH_INTROSPECTION_CLIENT_ID": client_id,
            "AUTH_INTROSPECTION_CLIENT_SECRET": client_secret,
            "AUTH_TIMEOUT_S": TIMEOUT_S,
            **values,
        }
    )
    verifier = create_verifier(settings)
    try:
        yield verifier
    finally:
        await verifier.aclose()


@pytest.fixture
async def server() -> AsyncIterator[AnsweringServer]:
    async with answering_server() as answering:
        yield answering


def active(**more: object) -> dict[str, object]:
    return {"active": True, "sub": str(USER), **more}


# -- a real provider ----------------------------------------------------------------------------------------------


async def test_an_active_token_names_its_user(auth_service: AuthService) -> None:
    required = {"AUTH_ISSUER": auth_service.issuer, "AUTH_AUDIENCE": AUDIENCE}
    async with verifier_at(auth_service.introspection_url, **required) as verifier:
        await verifier.check()
        assert await verifier.verify(auth_service.token(USER, kind="opaque")) == Principal(user_id=USER)


async def test_an_unknown_token_is_refused(auth_service: AuthService) -> None:
    async with verifier_at(auth_service.introspection_url) as verifier:
        with pytest.raises(Unauthenticated) as caught:
            await verifier.verify("never-issued")
    assert "invalid_token" in caught.value.headers["WWW-Authenticate"]


async def test_issuer_audience_and_user_are_checked(auth_service: AuthService) -> None:
    token = auth_service.token(USER, kind="opaque")
    for wrong in ({"AUTH_ISSUER": "https://evil.test"}, {"AUTH_AUDIENCE": "urn:shop"}, {"AUTH_USER_CLAIM": "uid"}):
        async with verifier_at(auth_service.introspection_url, **wrong) as verifier:
            with pytest.raises(Unauthenticated):
                await verifier.verify(token)


async def test_a_revoked_token_is_refused_once_the_answer_is_old(auth_service: AuthService) -> None:
    token = auth_service.token(USER, kind="opaque")
    async with verifier_at(auth_service.introspection_url, AUTH_CACHE_S=0.2) as verifier:
        assert await verifier.verify(token)
        auth_service.revoke(token)
        await asyncio.sleep(0.25)
        with pytest.raises(Unauthenticated):
            await verifier.verify(token)


async def test_a_remembered_token_still_ends_at_its_expiry(auth_service: AuthService) -> None:
    async with verifier_at(auth_service.introspection_url, AUTH_CACHE_S=300, AUTH_LEEWAY_S=0) as verifier:
        token = auth_service.token(USER, kind="opaque", lifetime_s=2)
        assert await verifier.verify(token)
        await asyncio.sleep(2.1)
        with pytest.raises(Unauthenticated):
            await verifier.verify(token)


async def test_answers_are_remembered_good_and_bad(auth_service: AuthService) -> None:
    token, before = auth_service.token(USER, kind="opaque"), auth_service.requests_to(PATH)
    async with verifier_at(auth_service.introspection_url) as verifier:
        for _ in range(10):
            assert await verifier.verify(token)
            with pytest.raises(Unauthenticated):
                await verifier.verify("never-issued")
    assert auth_service.requests_to(PATH) == before + 2


async def test_without_a_cache_every_request_asks(auth_service: AuthService) -> None:
    token, before = auth_service.token(USER, kind="opaque"), auth_service.requests_to(PATH)
    async with verifier_at(auth_service.introspection_url, AUTH_CACHE_S=0) as verifier:
        for _ in range(3):
            assert await verifier.verify(token)
    assert auth_service.requests_to(PATH) == before + 3


async def test_an_outage_is_503_and_remembered_answers_go_on(auth_service: AuthService) -> None:
    token, other = auth_service.token(USER, kind="opaque"), auth_service.token(USER, kind="opaque")
    async with verifier_at(auth_service.introspection_url) as verifier:
        assert await verifier.verify(token)
        with auth_service.stopped():
            assert await verifier.verify(token) == Principal(user_id=USER)
            with pytest.raises(AuthServiceUnavailable):
                await verifier.verify(other)
            with pytest.raises(AuthServiceUnavailable):
                await verifier.check()


async def test_a_hanging_service_is_waited_for_no_longer_than_the_timeout(auth_service: AuthService) -> None:
    async with verifier_at(auth_service.introspection_url) as verifier:
        with auth_service.hanging():
            started_s = time.monotonic()
            with pytest.raises(AuthServiceUnavailable):
                await verifier.verify("any")
            assert time.monotonic() - started_s < 2 * TIMEOUT_S


async def test_wrong_credentials_of_ours_are_not_the_users_fault(auth_service: AuthService) -> None:
    async with verifier_at(auth_service.introspection_url, AUTH_INTROSPECTION_CLIENT_SECRET="wrong") as verifier:
        with pytest.raises(AuthServiceUnavailable) as caught:
            await verifier.verify(auth_service.token(USER, kind="opaque"))
    assert "wrong" not in repr(caught.value.__cause__)


# -- answers no provider should give ------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [{}, {"active": "true"}, {"active": 1}, {"active": None}, [], None, "active"])
async def test_an_answer_that_does_not_say_active_is_503(server: AnsweringServer, answer: object) -> None:
    server.answer_json(PATH, answer)
    async with verifier_at(server.url + PATH) as verifier:
        with pytest.raises(AuthServiceUnavailable):
            await verifier.verify("token")


@pytest.mark.parametrize(
    "claims",
    [{"exp": 1}, {"exp": "soon"}, {"exp": True}, {"exp": 1e300}, {"exp": -1}, {"nbf": 9_999_999_999}, {"sub": "me"},
     {"sub": None}, {"token_type": "refresh_token"}],
)  # fmt: skip
async def test_an_active_token_with_unusable_claims_is_refused(
    server: AnsweringServer, claims: dict[str, object]
) -> None:
    server.answer_json(PATH, active(**claims))
    async with verifier_at(server.url + PATH) as verifier:
        with pytest.raises(Unauthenticated):
            await verifier.verify("token")


async def test_the_answer_need_not_say_when_the_token_expires(server: AnsweringServer) -> None:
    server.answer_json(PATH, active())
    async with verifier_at(server.url + PATH) as verifier:
        assert await verifier.verify("token") == Principal(user_id=USER)


@pytest.mark.parametrize("token", ["", " ", "a b", "a\r\nX: y", "☃", "a" * 8193, "\x00", "="])
async def test_what_cannot_be_a_token_is_refused_without_asking(server: AnsweringServer, token: str) -> None:
    async with verifier_at(server.url + PATH) as verifier:
        with pytest.raises(Unauthenticated):
            await verifier.verify(token)
    assert server.requests[PATH] == 0


async def test_an_endpoint_that_calls_everything_active_fails_the_self_test(server: AnsweringServer) -> None:
    server.answer_json(PATH, active())
    async with verifier_at(server.url + PATH) as verifier:
        with pytest.raises(AuthServiceUnavailable):
            await verifier.check()


async def test_the_memory_of_answers_is_bounded(server: AnsweringServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_introspection, "MAX_CACHED_ANSWERS", 3)
    server.answer_json(PATH, active())
    async with verifier_at(server.url + PATH) as verifier:
        for token in ("a", "b", "c", "d", "d", "c", "b", "a"):
            await verifier.verify(token)
    assert server.requests[PATH] == 5
