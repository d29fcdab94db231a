"""What becomes of a service whose kernel cannot confine its workers: it says so, and does not start in production."""

from collections.abc import Mapping

from app.core import metrics
from app.core.config import ConfigurationError, Settings
from app.core.logging import get_logger
from app.core.processing.workers.confinement import MECHANISMS

log = get_logger(__name__)


def hold_sandbox(settings: Settings, gaps: Mapping[str, str]) -> None:
    """Count and log the mechanisms that are off, `gaps` of `Sandbox`; nothing to log where all hold.

    Raises ConfigurationError when the settings ask for all of them.
    """
    for name in MECHANISMS:
        metrics.sandbox_confined(name, is_on=name not in gaps)
    if not gaps:
        return
    if settings.needs_full_sandbox:
        missing = " and ".join(f"{name} ({state})" for name, state in gaps.items())
        raise ConfigurationError(
            f"SANDBOX: this kernel or container does not offer {missing}, so a file that takes over its decoder could "
            "reach what the service can; offer it, or set SANDBOX=weak to start all the same"
        )
    log.warning("sandbox.weak", **gaps)
