"""Claims about the development secret, minting, and the settings that are refused (A9)."""

import stat
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.core.auth.dev_secret import FILE_NAME, load_or_create_dev_secret
from app.core.config import ConfigurationError, Settings
from app.core.errors import Unauthenticated
from app.core.security import Principal, create_verifier, mint_development_token
from tests.fixtures.settings import given_settings

USER = uuid.UUID("6f1c0a4e-95d7-4f0c-8a55-0a6c3d3f9b11")
PRODUCTION = {
    "ENVIRONMENT": "production",
    "BASE_URL": "https://media.test",
    "DATABASE_URL": "postgresql://media@db/media",
    "AUTH_SECRET": "kq3v9ZxW1mB7nL5pR8sT2uY4cD6fG0hJkq3v9ZxW1mB7",
}


def settings_with(**values: object) -> Settings:
    return given_settings(values)


def test_the_secret_is_long_private_and_stays(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    secret = load_or_create_dev_secret(data_dir)
    assert len(secret) == 64
    assert load_or_create_dev_secret(data_dir) == secret
    assert load_or_create_dev_secret(tmp_path) != secret
    assert stat.S_IMODE((data_dir / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in data_dir.iterdir()] == [FILE_NAME]


def test_all_who_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    together = Barrier(16)

    def start(_: int) -> str:
        together.wait()
        return load_or_create_dev_secret(tmp_path)

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(start, range(16)))) == 1
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64])
def test_a_damaged_secret_stops_the_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(ConfigurationError, match="DATA_DIR"):
        load_or_create_dev_secret(tmp_path)


def test_a_data_dir_that_is_no_directory_stops_the_start(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(ConfigurationError, match="DATA_DIR"):
        load_or_create_dev_secret(blocked)


async def test_development_works_without_any_setting(tmp_path: Path) -> None:
    settings = settings_with(DATA_DIR=tmp_path)
    token = mint_development_token(settings, user_id=USER, expires_s=60)
    assert await create_verifier(settings).verify(token) == Principal(user_id=USER)


async def test_two_installations_do_not_believe_each_other(tmp_path: Path) -> None:
    here, there = settings_with(DATA_DIR=tmp_path / "here"), settings_with(DATA_DIR=tmp_path / "there")
    token = mint_development_token(there, user_id=USER, expires_s=60)
    with pytest.raises(Unauthenticated):
        await create_verifier(here).verify(token)


def test_production_mints_nothing() -> None:
    with pytest.raises(ConfigurationError):
        mint_development_token(settings_with(**PRODUCTION), user_id=USER, expires_s=60)


def test_nothing_is_minted_beside_an_auth_service(tmp_path: Path) -> None:
    settings = settings_with(AUTH_MODE="jwks", AUTH_JWKS_URL="http://auth.test/keys", DATA_DIR=tmp_path)
    with pytest.raises(ConfigurationError):
        mint_development_token(settings, user_id=USER, expires_s=60)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("expires_s", [0, -1, 10**12])
def test_a_senseless_lifetime_is_refused(tmp_path: Path, expires_s: int) -> None:
    with pytest.raises(ConfigurationError):
        mint_development_token(settings_with(DATA_DIR=tmp_path), user_id=USER, expires_s=expires_s)


def test_a_public_key_is_no_shared_secret() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for secret in (pem, pem.replace("\n", "\r\n"), pem.strip()):
        with pytest.raises(ConfigurationError, match="AUTH_SECRET"):
            create_verifier(settings_with(AUTH_SECRET=secret))


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://auth.test/keys", "auth.test/keys", "http://", "http://[", "http://auth.test:99999/"],
)
def test_only_web_addresses_name_an_auth_service(url: str) -> None:
    with pytest.raises(ConfigurationError, match="AUTH_JWKS_URL"):
        create_verifier(settings_with(AUTH_MODE="jwks", AUTH_JWKS_URL=url))
    with pytest.raises(ConfigurationError, match="AUTH_DISCOVERY_URL"):
        create_verifier(settings_with(AUTH_MODE="jwks", AUTH_DISCOVERY_URL=url))
    with pytest.raises(ConfigurationError, match="AUTH_INTROSPECTION_URL"):
        create_verifier(settings_with(AUTH_MODE="introspection", AUTH_INTROSPECTION_URL=url))
