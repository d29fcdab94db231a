"""Addresses of the database: the forms that are understood, and that a wrong one never shows its password."""

import pytest

from app.core.config import ConfigurationError
from app.core.database import Database
from app.core.postgres.driver import ConnectionOptions, asyncpg_dsn, connect, listen
from tests.fixtures.settings import SettingsFactory


@pytest.mark.parametrize(
    ("url", "dsn"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgres://u:p%40@h:1/d", "postgresql://u:p%40@h:1/d"),
        ("postgresql+asyncpg://u@h/d?ssl=require", "postgresql://u@h/d?sslmode=require"),
        ("postgresql://u@h/d?sslmode=verify-full", "postgresql://u@h/d?sslmode=verify-full"),
        ("postgresql://u@/d?host=/run/pg", "postgresql://u@/d?host=%2Frun%2Fpg"),
        ("postgresql://u@h/d?sslmode=require&channel_binding=require", "postgresql://u@h/d?sslmode=require"),
        ("postgresql://u@h/d?connect_timeout=10", "postgresql://u@h/d"),
        ("postgresql://u@a:1,b:2/d?target_session_attrs=primary", "postgresql://u@a:1,b:2/d?target_session_attrs=primary"),
    ],
)  # fmt: skip
def test_address_forms(url: str, dsn: str) -> None:
    assert asyncpg_dsn(url) == dsn


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "u:secret@h", "", "postgresql://u:secret@[h/d"])
def test_wrong_address_is_named_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as caught:
        asyncpg_dsn(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
async def test_every_scheme_connects(database_url: str, settings_of: SettingsFactory, scheme: str) -> None:
    database = Database(database_url.replace("postgresql", scheme, 1), settings_of())
    await database.check()
    await database.close()


async def test_senseless_address_is_a_configuration_error(settings_of: SettingsFactory) -> None:
    database = Database("postgresql://u@h:port/d", settings_of())
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        await database.check()
    await database.close()


async def test_a_connection_that_dies_while_it_begins_to_listen_is_an_error_of_the_network(database_url: str) -> None:
    options = ConnectionOptions(database_url, connect_timeout_s=5, statement_timeout_s=5, application_name="test")
    dying, other = await connect(options), await connect(options)
    await other.execute("SELECT pg_terminate_backend($1)", dying.get_server_pid())
    with pytest.raises(ConnectionError):
        await listen(dying, "anything", lambda *_: None)
    dying.terminate()
    await other.close()
