"""A service for the length of a block, if need be inside another command: a namespace with a small disk, or strace."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from tests.fixtures.live_service import LiveService
from tests.fixtures.nursery import Nursery


@contextmanager
def quick_service(directory: Path, environment: dict[str, str], *, prefix: Sequence[str] = ()) -> Iterator[LiveService]:
    """A started service, killed afterwards. prefix: a command that everything of it is run with."""
    with closing(Nursery(prefix)) if prefix else nullcontext() as nursery:
        service = LiveService(directory, environment, nursery=nursery)
        try:
            service.start()
            yield service
        finally:
            if service.process is not None:
                service.kill()
