"""A kernel that cannot confine the workers: told in the log and as a number, and not accepted in production."""

import logging

import pytest

from app.core import metrics
from app.core.config import ConfigurationError
from app.core.sandbox_strength import hold_sandbox
from tests.fixtures.settings import SettingsFactory

GAPS = {"landlock": "off: landlock"}
PRODUCTION: dict[str, object] = {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://db/media",
    "BASE_URL": "https://media.test",
}


def confined() -> dict[str, bool]:
    text = metrics.render_metrics()[0].decode()
    return {name: f'media_sandbox_confined{{mechanism="{name}"}} 1.0' in text for name in ("landlock", "seccomp")}


@pytest.mark.parametrize("sandbox", [None, "weak"])
def test_a_weak_sandbox_is_told_in_development(
    settings_of: SettingsFactory, caplog: pytest.LogCaptureFixture, sandbox: str | None
) -> None:
    with caplog.at_level(logging.WARNING):
        hold_sandbox(settings_of(SANDBOX=sandbox), GAPS)
    assert len([record for record in caplog.records if "sandbox.weak" in record.getMessage()]) == 1
    assert confined() == {"landlock": False, "seccomp": True}


def test_production_takes_a_weak_sandbox_only_when_told(settings_of: SettingsFactory) -> None:
    for settings in (settings_of(**PRODUCTION), settings_of(SANDBOX="full")):
        with pytest.raises(ConfigurationError, match=r"^SANDBOX: .* does not offer landlock .*SANDBOX=weak"):
            hold_sandbox(settings, GAPS)
        hold_sandbox(settings, {})
    hold_sandbox(settings_of(**PRODUCTION, SANDBOX="weak"), GAPS)


def test_a_whole_sandbox_is_no_line_in_the_log(settings_of: SettingsFactory, caplog: pytest.LogCaptureFixture) -> None:
    hold_sandbox(settings_of(), {})
    assert [record for record in caplog.records if "sandbox" in record.getMessage()] == []
    assert confined() == {"landlock": True, "seccomp": True}
