"""Claims about which tokens are believed: form, signature, times, issuer, audience, purpose and user."""

import json
import math
import time
import uuid
from pathlib import Path

import pytest

from app.core.config import Settings
from app.core.errors import Unauthenticated
from app.core.security import Principal, TokenVerifier, create_verifier, mint_development_token
from tests.fixtures.forged_tokens import base64url, hs256, part
from tests.fixtures.settings import given_settings

SECRET = "a-secret-for-the-tests-of-48-bytes-0123456789abc"
USER = uuid.UUID("6f1c0a4e-95d7-4f0c-8a55-0a6c3d3f9b11")
LEEWAY_S = 10


def settings_with(**values: object) -> Settings:
    return given_settings({"AUTH_SECRET": SECRET, "AUTH_LEEWAY_S": LEEWAY_S, **values})


def verifier_with(**values: object) -> TokenVerifier:
    return create_verifier(settings_with(**values))


def claims(**more: object) -> dict[str, object]:
    return {"sub": str(USER), "exp": int(time.time()) + 600, **more}


def token(**more: object) -> str:
    """An honest token, with these claims added or replaced."""
    return hs256({"alg": "HS256", "typ": "JWT"}, claims(**more), secret=SECRET.encode())


def token_with_header(**header: object) -> str:
    return hs256({"alg": "HS256", "typ": "JWT", **header}, claims(), secret=SECRET.encode())


async def refusal_of(verifier: TokenVerifier, sent: str) -> str:
    """The sentence with which `sent` is refused; anything but a 401 fails the test."""
    with pytest.raises(Unauthenticated) as caught:
        await verifier.verify(sent)
    assert caught.value.headers["WWW-Authenticate"] == 'Bearer realm="media", error="invalid_token"'
    assert sent not in str(caught.value)
    return str(caught.value)


async def test_an_honest_token_names_its_user() -> None:
    assert await verifier_with().verify(token()) == Principal(user_id=USER)


async def test_a_minted_token_is_accepted_with_issuer_audience_and_another_user_claim() -> None:
    settings = settings_with(AUTH_ISSUER="https://auth.test", AUTH_AUDIENCE="media", AUTH_USER_CLAIM="uid")
    minted = mint_development_token(settings, user_id=USER, expires_s=60)
    assert await create_verifier(settings).verify(minted) == Principal(user_id=USER)


# -- form and signature (A3) --------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, 0, [], ["HS256"], {"HS256": 1}])
@pytest.mark.parametrize("signature", ["", "AA", base64url(bytes(32))])
async def test_an_unsigned_token_is_refused_however_it_spells_its_algorithm(alg: object, signature: str) -> None:
    await refusal_of(verifier_with(), f"{part({'alg': alg, 'typ': 'JWT'})}.{part(claims())}.{signature}")


@pytest.mark.parametrize("alg", ["HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA", "dir", "A128KW", "hs256"])
async def test_only_the_one_algorithm_of_the_secret_is_accepted(alg: str) -> None:
    await refusal_of(verifier_with(), token_with_header(alg=alg))


async def test_a_token_without_algorithm_is_refused() -> None:
    await refusal_of(verifier_with(), hs256({"typ": "JWT"}, claims(), secret=SECRET.encode()))


async def test_every_single_altered_character_of_the_signature_is_noticed() -> None:
    verifier = verifier_with()
    head, body, signature = token().split(".")
    for position, letter in enumerate(signature):
        other = "A" if letter != "A" else "B"
        await refusal_of(verifier, f"{head}.{body}.{signature[:position]}{other}{signature[position + 1 :]}")


async def test_the_signature_has_one_spelling_only() -> None:
    verifier = verifier_with()
    honest = token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 32 bytes leave two bits of the last character unused: four characters decode to the same bytes.
    twins = [honest[:-1] + letter for letter in alphabet if letter != honest[-1]]
    for changed in [*twins, honest + "=", honest + "A", honest + "\n", " " + honest, honest + ".", honest + "é"]:
        await refusal_of(verifier, changed)


@pytest.mark.parametrize(
    "signature", ["", base64url(b""), base64url(bytes(32)), base64url(bytes(31)), base64url(b"\xff" * 4000)]
)
async def test_a_missing_or_made_up_signature_is_refused(signature: str) -> None:
    head, body, _ = token().split(".")
    await refusal_of(verifier_with(), f"{head}.{body}.{signature}")


async def test_swapped_header_or_payload_is_refused() -> None:
    verifier = verifier_with()
    head, body, signature = token().split(".")
    other_claims, other_header = part(claims(sub=str(uuid.uuid4()))), part({"typ": "JWT", "alg": "HS256"})
    await refusal_of(verifier, f"{head}.{other_claims}.{signature}")
    await refusal_of(verifier, f"{other_header}.{body}.{signature}")
    await refusal_of(verifier, f"{body}.{head}.{signature}")


async def test_the_signature_of_another_secret_is_refused() -> None:
    for secret in (b"", b"secret", SECRET.upper().encode(), SECRET.encode() + b"\n"):
        await refusal_of(verifier_with(), hs256({"alg": "HS256"}, claims(), secret=secret))


@pytest.mark.parametrize(
    "garbage",
    ["", ".", "..", "...", "a", "a.b", "a.b.c", "a.b.c.d.e", "null", "Bearer", "\x00", "☃", "{}", "e30.e30.e30",
     "bnVsbA.bnVsbA.bnVsbA", "W10.W10.W10"],
)  # fmt: skip
async def test_garbage_is_a_plain_401(garbage: str) -> None:
    with pytest.raises(Unauthenticated):
        await verifier_with().verify(garbage)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b'"sub"', b"1e400", b"\xff\xfe", b"{", b'{"exp":NaN}', b"[" * 3000, b'{"a":' * 1000,
     b"9" * 4500],
)  # fmt: skip
async def test_header_or_claims_that_are_no_json_object_are_refused(content: bytes) -> None:
    verifier = verifier_with()
    await refusal_of(verifier, hs256({"alg": "HS256"}, content, secret=SECRET.encode()))
    await refusal_of(verifier, hs256(content, claims(), secret=SECRET.encode()))


async def test_a_token_over_8_kib_is_refused_before_it_is_read() -> None:
    verifier = verifier_with()
    sized = [token(pad="x" * length) for length in range(5900, 6150)]
    longest_allowed = max((one for one in sized if len(one) <= 8192), key=len)
    shortest_refused = min((one for one in sized if len(one) > 8192), key=len)
    assert (len(longest_allowed), len(shortest_refused)) in {(8192, 8193), (8191, 8193), (8192, 8194)}
    assert await verifier.verify(longest_allowed) == Principal(user_id=USER)
    await refusal_of(verifier, shortest_refused)
    await refusal_of(verifier, "A" * 50_000_000)


async def test_an_encrypted_token_is_never_opened() -> None:
    bomb_header = part({"alg": "dir", "enc": "A256GCM", "zip": "DEF"})
    started = time.perf_counter()
    await refusal_of(verifier_with(), f"{bomb_header}..{base64url(bytes(12))}.{base64url(bytes(4000))}.AAAA")
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("extension", [["b64"], ["exp"], [], None, "b64"])
async def test_critical_extensions_are_refused(extension: object) -> None:
    assert "crit" in await refusal_of(verifier_with(), token_with_header(crit=extension))


# -- times (A5) ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [None, True, False, "", "tomorrow", "9999999999", [], [9999999999], {}, -1, -1e300, 1e300, 10**30, 253402300800],
)
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
async def test_a_time_of_a_wrong_type_or_size_is_refused(name: str, moment: object) -> None:
    assert f"'{name}'" in await refusal_of(verifier_with(), token(**{name: moment}))


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 300, "1" * 5000])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
async def test_a_number_that_json_or_python_cannot_hold_is_refused(name: str, literal: str) -> None:
    rest = {key: value for key, value in claims().items() if key != name}
    payload = json.dumps(rest)[:-1] + f', "{name}": {literal}}}'
    await refusal_of(verifier_with(), hs256({"alg": "HS256"}, payload.encode(), secret=SECRET.encode()))


async def test_a_token_must_say_when_it_expires() -> None:
    await refusal_of(verifier_with(), hs256({"alg": "HS256"}, {"sub": str(USER)}, secret=SECRET.encode()))


async def test_expiry_and_start_are_checked_with_the_leeway_and_no_more() -> None:
    verifier, now_s = verifier_with(), time.time()
    assert await verifier.verify(token(exp=now_s - LEEWAY_S + 2))
    assert await verifier.verify(token(nbf=now_s + LEEWAY_S - 2))
    assert "expired" in await refusal_of(verifier, token(exp=now_s - LEEWAY_S - 0.1))
    assert "not valid yet" in await refusal_of(verifier, token(nbf=now_s + LEEWAY_S + 2))


async def test_without_leeway_a_token_ends_at_its_expiry() -> None:
    verifier = verifier_with(AUTH_LEEWAY_S=0)
    assert await verifier.verify(token(exp=math.ceil(time.time()) + 1))
    await refusal_of(verifier, token(exp=time.time()))


# -- issuer, audience, purpose (A6) -------------------------------------------------------------------------------


@pytest.mark.parametrize("issuer", ["https://evil.test", "https://auth.test/", "", None, ["https://auth.test"], 1])
async def test_another_issuer_is_refused(issuer: object) -> None:
    assert "'iss'" in await refusal_of(verifier_with(AUTH_ISSUER="https://auth.test"), token(iss=issuer))


async def test_the_configured_issuer_is_required() -> None:
    verifier = verifier_with(AUTH_ISSUER="https://auth.test")
    await refusal_of(verifier, token())
    assert await verifier.verify(token(iss="https://auth.test"))


@pytest.mark.parametrize("audience", ["shop", "Media", "media ", "", None, [], ["shop"], {"media": 1}, [["media"]], 1])
async def test_another_audience_is_refused(audience: object) -> None:
    assert "'aud'" in await refusal_of(verifier_with(AUTH_AUDIENCE="media"), token(aud=audience))


async def test_the_configured_audience_is_required_alone_or_in_a_list() -> None:
    verifier = verifier_with(AUTH_AUDIENCE="media")
    await refusal_of(verifier, token())
    assert await verifier.verify(token(aud="media"))
    assert await verifier.verify(token(aud=["shop", "media"]))


async def test_without_configured_issuer_and_audience_tokens_may_carry_any() -> None:
    assert await verifier_with().verify(token(iss="https://auth.test", aud=["shop"]))


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT"])
async def test_access_token_types_are_accepted(kind: str) -> None:
    assert await verifier_with().verify(token_with_header(typ=kind))


async def test_the_type_may_be_absent() -> None:
    assert await verifier_with().verify(hs256({"alg": "HS256"}, claims(), secret=SECRET.encode()))


@pytest.mark.parametrize("kind", ["logout+jwt", "refresh", "ID", "dpop+jwt", "secevent+jwt", "JOSE", "", None, 1, []])
async def test_other_token_types_are_refused(kind: object) -> None:
    assert "access token" in await refusal_of(verifier_with(), token_with_header(typ=kind))


@pytest.mark.parametrize(
    "claim",
    [{"token_use": "id"}, {"token_type": "refresh"}, {"typ": "ID"}, {"typ": "Refresh"}, {"typ": "Offline"},
     {"type": "refresh"}, {"type": "password_reset"}, {"at_hash": "x"}, {"c_hash": "x"}, {"token_use": None}],
)  # fmt: skip
async def test_tokens_for_another_purpose_are_refused(claim: dict[str, object]) -> None:
    assert "access token" in await refusal_of(verifier_with(), token(**claim))


@pytest.mark.parametrize(
    "claim",
    [{"token_use": "access"}, {"token_type": "access"}, {"typ": "Bearer"}, {"type": "access"}, {"type": "employee"}],
)
async def test_tokens_that_say_they_are_for_access_are_accepted(claim: dict[str, object]) -> None:
    assert await verifier_with().verify(token(**claim))


# -- header members (A7) ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "member",
    [{"jku": "http://127.0.0.1:9/keys"}, {"x5u": "file:///etc/passwd"}, {"x5c": ["AAAA"]},
     {"jwk": {"kty": "oct", "k": base64url(SECRET.encode())}}],
)  # fmt: skip
async def test_keys_inside_a_token_change_nothing(member: dict[str, object]) -> None:
    verifier = verifier_with()
    assert await verifier.verify(token_with_header(**member))
    stranger = hs256({"alg": "HS256", **member}, claims(), secret=b"the attacker's own secret, long enough")
    await refusal_of(verifier, stranger)


# -- the user (A8) ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "subject",
    [None, "", "42", 42, True, [], [str(USER)], {}, "me", "' OR 1=1 --", "../../etc/passwd", "\x00", f"{USER}\x00",
     f" {USER}", f"{USER}\n", f"{{{USER}}}", f"urn:uuid:{USER}", "6" * 31, "_" * 32, "6" * 4000, "６" * 32],
)  # fmt: skip
async def test_a_subject_that_is_not_a_uuid_is_refused(subject: object) -> None:
    assert "'sub' must be a UUID" in await refusal_of(verifier_with(), token(sub=subject))


async def test_a_missing_subject_is_refused() -> None:
    without = {"exp": int(time.time()) + 600, "uid": str(USER)}
    assert "'sub'" in await refusal_of(verifier_with(), hs256({"alg": "HS256"}, without, secret=SECRET.encode()))


async def test_the_user_claim_is_the_configured_one_only() -> None:
    verifier, other = verifier_with(AUTH_USER_CLAIM="uid"), uuid.uuid4()
    assert await verifier.verify(token(uid=str(other))) == Principal(user_id=other)
    assert "'uid'" in await refusal_of(verifier, token())


@pytest.mark.parametrize("spelling", [str(USER), str(USER).upper(), USER.hex])
async def test_a_uuid_is_the_same_user_however_it_is_written(spelling: str) -> None:
    assert (await verifier_with().verify(token(sub=spelling))).user_id == USER


async def test_the_secret_mode_needs_no_service() -> None:
    verifier = verifier_with(DATA_DIR=Path("unused"))
    await verifier.check()
    await verifier.aclose()
