"""At the public routes: only a bearer token says who calls, only the uploader may change, and only what clients own.

Every way to forge a token is tried in tests/core/test_security_*.py; here each route is shown to ask.
"""

import time
import uuid

import pytest

from app.core.config import Settings
from tests.fixtures.api import CONTENT, MEDIA, UPLOAD, Api
from tests.fixtures.forged_tokens import base64url, hs256, part
from tests.fixtures.pictures import png
from tests.fixtures.settings import SECRET, SettingsFactory

ID = "11111111-1111-4111-8111-111111111111"
PROTECTED = [
    ("POST", UPLOAD),
    ("POST", f"{MEDIA}/content/{ID}/upload"),
    ("GET", f"{MEDIA}/"),
    ("PUT", f"{MEDIA}/{ID}"),
    ("DELETE", f"{MEDIA}/{ID}"),
    ("POST", f"{CONTENT}/"),
    ("PUT", f"{CONTENT}/{ID}"),
    ("DELETE", f"{CONTENT}/{ID}"),
]
USER = "6f1c0a4e-95d7-4f0c-8a55-0a6c3d3f9b11"


def claims(**more: object) -> dict[str, object]:
    return {"sub": USER, "exp": int(time.time()) + 600, **more}


def signed(header: object = None, *, secret: bytes = SECRET.encode(), **more: object) -> str:
    return hs256(header or {"alg": "HS256", "typ": "JWT"}, claims(**more), secret=secret)


def without(claim: str) -> str:
    kept = {name: value for name, value in claims().items() if name != claim}
    return hs256({"alg": "HS256"}, kept, secret=SECRET.encode())


@pytest.mark.parametrize(("method", "path"), PROTECTED)
class TestEveryProtectedRoute:
    async def test_it_asks_for_a_token(self, api: Api, method: str, path: str) -> None:
        reply = await api.client.request(method, path)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == 'Bearer realm="media"'
        assert reply.json()["code"] == "unauthenticated"

    async def test_it_takes_a_token_from_nowhere_else(self, api: Api, method: str, path: str) -> None:
        token = api.auth["Authorization"].removeprefix("Bearer ")
        api.client.cookies.set("access_token", token)
        reply = await api.client.request(
            method,
            f"{path}?token={token}&access_token={token}&authorization={token}",
            headers={"X-User-Id": USER, "X-Auth-Token": token, "X-Forwarded-User": USER, "Proxy-Authorization": token},
        )
        assert reply.status_code == 401

    @pytest.mark.parametrize("scheme", ["Basic", "Token", "JWT", "bearer:", ""])
    async def test_it_takes_no_other_scheme(self, api: Api, method: str, path: str, scheme: str) -> None:
        token = api.auth["Authorization"].removeprefix("Bearer ")
        reply = await api.client.request(method, path, headers={"Authorization": f"{scheme} {token}".strip()})
        assert reply.status_code == 401


FORGED = {
    "unsigned": f"{part({'alg': 'none'})}.{part(claims())}.",
    "unsigned with a signature": f"{part({'alg': 'nOnE'})}.{part(claims())}.{base64url(bytes(32))}",
    "no signature": signed().rpartition(".")[0] + ".",
    "zero signature": f"{signed().rpartition('.')[0]}.{base64url(bytes(32))}",
    "another's secret": signed(secret=b"another-secret-of-32-bytes-and-more"),
    "empty secret": signed(secret=b""),
    "swapped payload": ".".join([signed().split(".")[0], part(claims(sub=ID)), signed().split(".")[2]]),
    "another algorithm": signed({"alg": "HS512", "typ": "JWT"}),
    "public key algorithm": signed({"alg": "RS256", "typ": "JWT"}),
    "expired": signed(exp=int(time.time()) - 3600),
    "not yet valid": signed(nbf=int(time.time()) + 3600),
    "expiry as text": signed(exp="tomorrow"),
    "expiry as a list": signed(exp=[1]),
    "huge expiry": signed(exp=10**400),
    "no expiry": without("exp"),
    "no subject": without("sub"),
    "subject is no UUID": signed(sub="admin"),
    "subject is a number": signed(sub=1),
    "subject with NUL": signed(sub=f"{USER}\x00"),
    "subject is SQL": signed(sub="' OR 1=1 --"),
    "key id climbs": signed({"alg": "HS256", "kid": "../../../../dev/null"}, secret=b""),
    "key id is a list": signed({"alg": "HS256", "kid": [1]}),
    "brings its key": signed({"alg": "HS256", "jwk": {"kty": "oct", "k": "AA"}}, secret=b"\0"),
    "critical extension": signed({"alg": "HS256", "crit": ["exp"]}),
    "refresh token": signed(token_type="refresh"),
    "encrypted": "a.b.c.d.e",
    "too long": signed(padding="x" * 20_000),
    "deep": hs256({"alg": "HS256"}, b'{"a":' * 5000 + b"1" + b"}" * 5000, secret=SECRET.encode()),
    "not a token": "admin",
    "bytes": "\xff\xfe",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED.keys())
async def test_a_forged_token_is_401_and_stores_nothing(api: Api, token: str) -> None:
    reply = await api.client.post(
        UPLOAD,
        files={"file": ("a.png", png(5, 5))},
        data={"media_type": "image"},
        headers={b"Authorization": f"Bearer {token}".encode("latin-1")},
    )
    assert (reply.status_code, reply.json()["code"]) == (401, "unauthenticated")
    assert reply.headers["www-authenticate"].startswith("Bearer")
    await api.assert_nothing_left()


async def test_public_reads_need_no_token_and_mind_no_bad_one(api: Api) -> None:
    body = await api.uploaded("a.png", png(5, 5), "image")
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        for path in (f"{MEDIA}/{body['id']}", f"{MEDIA}/{body['id']}/download", str(body["url"])):
            assert (await api.client.get(path, headers=headers)).status_code == 200


async def test_strangers_are_refused_whatever_they_send_and_nothing_changes(api: Api) -> None:
    body = await api.uploaded("a.png", png(5, 5), "image")
    stranger = api.auth_of(uuid.uuid4())
    for content in (b'{"filename": "mine.png"}', b"{broken", b"", b"[]"):
        headers = {**stranger, "Content-Type": "application/json"}
        assert (await api.client.put(f"{MEDIA}/{body['id']}", content=content, headers=headers)).status_code == 403
    assert (await api.client.delete(f"{MEDIA}/{body['id']}", headers=stranger)).status_code == 403
    assert (await api.client.get(f"{MEDIA}/{body['id']}")).json() == body


async def test_an_unknown_and_a_deleted_media_get_the_same_answer(api: Api) -> None:
    body = await api.uploaded("a.png", png(5, 5), "image")
    assert (await api.client.delete(f"{MEDIA}/{body['id']}", headers=api.auth)).status_code == 200
    for method, path in (("GET", ""), ("GET", "/download"), ("PUT", ""), ("DELETE", "")):
        deleted, unknown = [
            await api.client.request(method, f"{MEDIA}/{media_id}{path}", headers=api.auth)
            for media_id in (body["id"], uuid.uuid4())
        ]
        assert (deleted.status_code, deleted.json()) == (unknown.status_code, unknown.json())
        assert deleted.status_code == 404


async def test_ids_are_random(api: Api) -> None:
    ids = [uuid.UUID(str((await api.uploaded("a.txt", b"a", "document"))["id"])) for _ in range(3)]
    assert {media_id.version for media_id in ids} == {4}


async def test_no_origin_is_believed_and_no_cookie_is_set(api: Api) -> None:
    for origin in ("https://evil.example", "null"):
        for method in ("GET", "OPTIONS"):
            reply = await api.client.request(
                method, f"{MEDIA}/", headers={**api.auth, "Origin": origin, "Access-Control-Request-Method": "DELETE"}
            )
            assert [name for name in reply.headers if name.startswith("access-control-allow")] == []
            assert "set-cookie" not in reply.headers


SECRETS = ["", "secret", "x" * 31, "a" * 64, "changeme-" * 8, "please-change-me-0123456789abcdef"]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_weak_or_default_secret_stops_the_start(settings_of: SettingsFactory, secret: str) -> None:
    production = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": "postgresql://user:password@db/name",
        "BASE_URL": "https://media.example",
    }
    assert isinstance(settings_of(**production, AUTH_SECRET="g7Jq-2vN_x0Lw9Rk4tYb8Zc1Hd6Fm3Ps"), Settings)
    with pytest.raises(ValueError, match="AUTH_SECRET"):
        settings_of(**production, AUTH_SECRET=secret)
