"""Which keys this process is working on right now, so that its own sweep leaves them alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class InFlight:
    """A set of keys; the journal holds the same ones, and keeps them when the process dies."""

    def __init__(self) -> None:
        self._keys: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    @contextmanager
    def working_on(self, keys: Sequence[str]) -> Iterator[None]:
        """Hold `keys` for the time of the block."""
        self._keys.update(keys)
        try:
            yield
        finally:
            self._keys.difference_update(keys)
