"""Claims about what a key set may contain and how its server may fail, with documents no provider publishes."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.core.errors import AuthServiceUnavailable, ServiceError, Unauthenticated
from app.core.security import Principal, TokenVerifier, create_verifier
from tests.fixtures.answering_server import AnsweringServer, answering_server
from tests.fixtures.forged_tokens import base64url, ec_signed, hs256, public_jwk, rsa_signed
from tests.fixtures.settings import given_settings

USER = uuid.UUID("6f1c0a4e-95d7-4f0c-8a55-0a6c3d3f9b11")
KEYS, DISCOVERY = "/keys", "/.well-known/openid-configuration"
TIMEOUT_S = 1

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
async def server() -> AsyncIterator[AnsweringServer]:
    async with answering_server() as answering:
        yield answering


@asynccontextmanager
async def verifier_of(server: AnsweringServer, **values: object) -> AsyncIterator[TokenVerifier]:
    defaults = {"AUTH_MODE": "jwks", "AUTH_JWKS_URL": server.url + KEYS, "AUTH_TIMEOUT_S": TIMEOUT_S}
    verifier = create_verifier(given_settings({**defaults, **values}))
    try:
        yield verifier
    finally:
        await verifier.aclose()


def by_discovery(server: AnsweringServer) -> dict[str, object]:
    return {"AUTH_JWKS_URL": None, "AUTH_DISCOVERY_URL": server.url + DISCOVERY}


def claims(**more: object) -> dict[str, object]:
    return {"sub": str(USER), "exp": int(time.time()) + 600, **more}


async def verdict(server: AnsweringServer, keys: object, token: str) -> object:
    """What a new verifier makes of `token` when exactly `keys` are published: a Principal or the class of the error."""
    server.answer_json(KEYS, {"keys": keys})
    async with verifier_of(server) as verifier:
        try:
            return await verifier.verify(token)
        except ServiceError as exc:
            return type(exc)


# -- which keys are taken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
async def test_each_curve_has_its_algorithm(server: AnsweringServer, curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    token = ec_signed(claims(), key, key_id="k")
    assert await verdict(server, [public_jwk(key, kid="k")], token) == Principal(user_id=USER)


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512"])
async def test_an_rsa_key_without_alg_verifies_every_rsa_algorithm(server: AnsweringServer, alg: str) -> None:
    token = rsa_signed(claims(), RSA_KEY, key_id="k", alg=alg)
    assert await verdict(server, [public_jwk(RSA_KEY, kid="k")], token) == Principal(user_id=USER)


async def test_the_alg_of_a_key_is_binding(server: AnsweringServer) -> None:
    token = rsa_signed(claims(), RSA_KEY, key_id="k", alg="RS512")
    assert await verdict(server, [public_jwk(RSA_KEY, kid="k", alg="RS256")], token) is Unauthenticated


@pytest.mark.parametrize(
    "members",
    [{"use": "enc"}, {"use": 1}, {"key_ops": ["encrypt"]}, {"key_ops": "verify"}, {"alg": "RSA-OAEP"}, {"alg": "HS256"},
     {"alg": []}, {"kty": "oct"}, {"kty": []}, {"kty": None}, {"kid": 7}, {"kid": "k" * 257}, {"n": ""}, {"n": 5},
     {"n": None}, {"n": "AQAB"}, {"n": "!" * 400}, {"n": "é" * 400}, {"n": "A" * 3000}, {"e": None}, {"e": ""}],
)  # fmt: skip
async def test_a_key_that_is_not_for_signatures_or_not_readable_is_ignored(
    server: AnsweringServer, members: dict[str, object]
) -> None:
    good = public_jwk(EC_KEY, kid="good")
    keys = [{**public_jwk(RSA_KEY, kid="k"), **members}, good]
    assert await verdict(server, keys, rsa_signed(claims(), RSA_KEY, key_id="k")) is Unauthenticated
    assert await verdict(server, keys, ec_signed(claims(), EC_KEY, key_id="good")) == Principal(user_id=USER)


@pytest.mark.parametrize("members", [{"x": "AQAB"}, {"crv": "P-384"}, {"crv": "secp256k1"}, {"crv": []}, {"e": "AA"}])
async def test_a_point_beside_its_curve_is_ignored(server: AnsweringServer, members: dict[str, object]) -> None:
    expected: object = Principal(user_id=USER) if "e" in members else None
    keys = [{**public_jwk(EC_KEY, kid="k"), **members}, public_jwk(RSA_KEY, kid="good")]
    found = await verdict(server, keys, ec_signed(claims(), EC_KEY, key_id="k"))
    assert found == (expected or Unauthenticated)


async def test_a_short_rsa_key_is_ignored(server: AnsweringServer) -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    keys = [public_jwk(short, kid="k"), public_jwk(RSA_KEY, kid="good")]
    assert await verdict(server, keys, rsa_signed(claims(), short, key_id="k")) is Unauthenticated


async def test_a_published_symmetric_key_verifies_nothing(server: AnsweringServer) -> None:
    secret = b"a secret that somebody published by mistake"
    keys = [{"kty": "oct", "kid": "k", "alg": "HS256", "k": base64url(secret)}, public_jwk(RSA_KEY, kid="good")]
    token = hs256({"alg": "HS256", "typ": "JWT", "kid": "k"}, claims(), secret=secret)
    assert await verdict(server, keys, token) is Unauthenticated


async def test_a_published_private_key_is_used_like_a_public_one(server: AnsweringServer) -> None:
    token = rsa_signed(claims(), RSA_KEY, key_id="k")
    assert await verdict(server, [public_jwk(RSA_KEY, kid="k", d="AQAB")], token) == Principal(user_id=USER)


async def test_without_key_id_only_a_single_fitting_key_counts(server: AnsweringServer) -> None:
    token = rsa_signed(claims(), RSA_KEY, key_id=None)
    one = [public_jwk(RSA_KEY, kid="a"), public_jwk(EC_KEY, kid="b")]
    assert await verdict(server, one, token) == Principal(user_id=USER)
    assert await verdict(server, [public_jwk(RSA_KEY)], token) == Principal(user_id=USER)
    assert await verdict(server, [*one, public_jwk(OTHER_RSA_KEY, kid="c")], token) is Unauthenticated


async def test_two_keys_under_one_id_are_told_apart_by_algorithm_or_not_at_all(server: AnsweringServer) -> None:
    keys = [public_jwk(RSA_KEY, kid="k"), public_jwk(EC_KEY, kid="k")]
    token = rsa_signed(claims(), RSA_KEY, key_id="k")
    assert await verdict(server, keys, token) == Principal(user_id=USER)
    assert await verdict(server, [*keys, public_jwk(OTHER_RSA_KEY, kid="k")], token) is Unauthenticated


async def test_keys_after_the_hundredth_are_ignored(server: AnsweringServer) -> None:
    crowd = [public_jwk(EC_KEY, kid=str(number)) for number in range(100)]
    token = rsa_signed(claims(), RSA_KEY, key_id="k")
    assert await verdict(server, [*crowd[:99], public_jwk(RSA_KEY, kid="k")], token) == Principal(user_id=USER)
    assert await verdict(server, [*crowd, public_jwk(RSA_KEY, kid="k")], token) is Unauthenticated


async def test_a_new_key_under_the_old_id_is_noticed(server: AnsweringServer) -> None:
    server.answer_json(KEYS, {"keys": [public_jwk(RSA_KEY, kid="k")]})
    async with verifier_of(server) as verifier:
        assert await verifier.verify(rsa_signed(claims(), RSA_KEY, key_id="k"))
        server.answer_json(KEYS, {"keys": [public_jwk(OTHER_RSA_KEY, kid="k")]})
        assert await verifier.verify(rsa_signed(claims(), OTHER_RSA_KEY, key_id="k")) == Principal(user_id=USER)


async def test_bad_signatures_do_not_hammer_the_key_set(server: AnsweringServer) -> None:
    server.answer_json(KEYS, {"keys": [public_jwk(RSA_KEY, kid="k")]})
    async with verifier_of(server) as verifier:
        for _ in range(20):
            with pytest.raises(Unauthenticated):
                await verifier.verify(rsa_signed(claims(), OTHER_RSA_KEY, key_id="k"))
    assert server.requests[KEYS] <= 2


# -- how its server may misbehave ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [b"", b"null", b"[]", b"{}", b'{"keys":null}', b'{"keys":{}}', b'{"keys":[]}', b'{"keys":[null,1,"a",[]]}', b"\xff",
     b"<html>", b"[" * 100_000, b'{"keys":[{"kty":"RSA"}]}'],
)  # fmt: skip
async def test_an_unusable_key_set_is_503(server: AnsweringServer, document: bytes) -> None:
    server.answer(KEYS, document)
    async with verifier_of(server) as verifier:
        with pytest.raises(AuthServiceUnavailable):
            await verifier.verify(rsa_signed(claims(), RSA_KEY, key_id="k"))
        with pytest.raises(AuthServiceUnavailable):
            await verifier.check()


@pytest.mark.parametrize("status", ["204 No Content", "301 Moved", "404 Not Found", "500 Oops", "503 Busy"])
async def test_an_unusable_answer_leaves_the_known_keys(server: AnsweringServer, status: str) -> None:
    server.answer_json(KEYS, {"keys": [public_jwk(RSA_KEY, kid="k")]})
    async with verifier_of(server, AUTH_KEYS_TTL_S=0.01) as verifier:
        token = rsa_signed(claims(), RSA_KEY, key_id="k")
        assert await verifier.verify(token)
        server.answer(KEYS, b"{}", status=status)
        for _ in range(3):
            await asyncio.sleep(0.02)
            assert await verifier.verify(token) == Principal(user_id=USER)
    assert server.requests[KEYS] == 2


async def test_redirects_are_not_followed(server: AnsweringServer) -> None:
    server.answer(KEYS, b"", status="302 Found", header=f"Location: {server.url}/elsewhere\r\n")
    async with verifier_of(server) as verifier:
        with pytest.raises(AuthServiceUnavailable):
            await verifier.verify(rsa_signed(claims(), RSA_KEY, key_id="k"))
    assert server.requests["/elsewhere"] == 0


async def test_an_answer_over_one_mebibyte_is_not_read_to_its_end(server: AnsweringServer) -> None:
    document = b'{"keys":[' + b" " * (1024 * 1024) + b"]}"
    server.answer(KEYS, document)
    async with verifier_of(server) as verifier:
        with pytest.raises(AuthServiceUnavailable) as caught:
            await verifier.check()
    assert "bytes" in str(caught.value.__cause__)


async def test_a_silent_server_costs_the_timeout_once(server: AnsweringServer) -> None:
    server.answers[KEYS] = None
    async with verifier_of(server) as verifier:
        started_s = time.monotonic()
        tokens = [rsa_signed(claims(), RSA_KEY, key_id=str(number)) for number in range(10)]
        refusals = await asyncio.gather(*(verifier.verify(token) for token in tokens), return_exceptions=True)
        with pytest.raises(AuthServiceUnavailable):
            await verifier.verify(tokens[0])
        assert time.monotonic() - started_s < 2 * TIMEOUT_S
    assert all(isinstance(refusal, AuthServiceUnavailable) for refusal in refusals)
    assert server.requests[KEYS] == 1


async def test_closing_ends_a_fetch_that_is_under_way(server: AnsweringServer) -> None:
    server.answers[KEYS] = None
    async with verifier_of(server, AUTH_TIMEOUT_S=60) as verifier:
        waiting = asyncio.create_task(verifier.verify(rsa_signed(claims(), RSA_KEY, key_id="k")))
        await server.asked.wait()
    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError)


# -- discovery ----------------------------------------------------------------------------------------------------


async def test_the_issuer_of_the_discovery_document_is_required_in_tokens(server: AnsweringServer) -> None:
    server.answer_json(DISCOVERY, {"issuer": "https://auth.test", "jwks_uri": server.url + KEYS})
    server.answer_json(KEYS, {"keys": [public_jwk(RSA_KEY, kid="k")]})
    async with verifier_of(server, **by_discovery(server)) as verifier:
        assert await verifier.verify(rsa_signed(claims(iss="https://auth.test"), RSA_KEY, key_id="k"))
        for wrong in (claims(), claims(iss="https://evil.test"), claims(iss=None)):
            with pytest.raises(Unauthenticated):
                await verifier.verify(rsa_signed(wrong, RSA_KEY, key_id="k"))


@pytest.mark.parametrize(
    "document",
    [{}, {"issuer": "https://auth.test"}, {"issuer": "https://auth.test", "jwks_uri": "file:///etc/passwd"},
     {"issuer": "https://auth.test", "jwks_uri": "/keys"}, {"issuer": "https://auth.test", "jwks_uri": []},
     {"issuer": "", "jwks_uri": "http://127.0.0.1:9/keys"}, {"issuer": 1, "jwks_uri": "http://127.0.0.1:9/keys"},
     {"issuer": "https://auth.test", "jwks_uri": "http://[::1"},
     {"issuer": "https://auth.test", "jwks_uri": "http://127.0.0.1:99999/"},
     {"issuer": "https://auth.test", "jwks_uri": "http://127.0.0.1:0/"},
     {"issuer": "https://auth.test", "jwks_uri": f"http://{'a' * 300}.test/"},
     {"issuer": "https://auth.test", "jwks_uri": "http://\x00/"}],
)  # fmt: skip
async def test_an_unusable_discovery_document_is_503(server: AnsweringServer, document: dict[str, object]) -> None:
    server.answer_json(DISCOVERY, document)
    async with verifier_of(server, **by_discovery(server)) as verifier:
        with pytest.raises(AuthServiceUnavailable):
            await verifier.verify(rsa_signed(claims(), RSA_KEY, key_id="k"))


async def test_a_key_set_that_moved_is_found_again(server: AnsweringServer) -> None:
    issuer, settings = "https://auth.test", {"AUTH_KEYS_TTL_S": 0.01, "AUTH_KEYS_MIN_INTERVAL_S": 0.01}
    server.answer_json(DISCOVERY, {"issuer": issuer, "jwks_uri": server.url + KEYS})
    server.answer_json(KEYS, {"keys": [public_jwk(RSA_KEY, kid="k")]})
    async with verifier_of(server, **by_discovery(server), **settings) as verifier:
        assert await verifier.verify(rsa_signed(claims(iss=issuer), RSA_KEY, key_id="k"))
        del server.answers[KEYS]
        server.answer_json(DISCOVERY, {"issuer": issuer, "jwks_uri": server.url + "/moved"})
        server.answer_json("/moved", {"keys": [public_jwk(OTHER_RSA_KEY, kid="new")]})
        token = rsa_signed(claims(iss=issuer), OTHER_RSA_KEY, key_id="new")
        for _ in range(50):
            await asyncio.sleep(0.02)
            try:
                assert await verifier.verify(token) == Principal(user_id=USER)
            except AuthServiceUnavailable:
                continue
            break
        else:
            pytest.fail("the new address was never asked")
