"""Whether this process is on its way out; the server says so, the application asks. Imports nothing of ours.

The server puts one `Draining` into the ASGI state of the process, so every request finds it under
`scope["state"]["draining"]` (ASGI lifespan state); there is no global that tests or two servers would share.
"""

from collections.abc import Mapping

STATE_KEY = "draining"


class Draining:
    """A flag that goes up once: new uploads are refused and `/readyz` answers 503, running requests finish."""

    __slots__ = ("_is_draining",)

    def __init__(self) -> None:
        self._is_draining = False

    @property
    def is_draining(self) -> bool:
        return self._is_draining

    def start(self) -> None:
        """Raise the flag; safe in a signal handler and when called again."""
        self._is_draining = True


def is_draining(state: Mapping[str, object]) -> bool:
    """Whether the server behind this ASGI state is shutting down; False where no server of ours put a flag there."""
    flag = state.get(STATE_KEY)
    return isinstance(flag, Draining) and flag.is_draining
