"""How the reader of a large request body says where its bytes shall go. Knows no server and no framework.

A body on its way through an HTTP parser is copied three times before it can be written. A server that offers a
`BodyRoom` in the ASGI extensions of a request reads the body out of the socket into memory that its reader lends.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final

EXTENSION: Final = "media.body_room"


class BodyRoom(ABC):
    """Belongs to one request; only who reads its body may use it. `expected_bytes`: how long that body is."""

    expected_bytes: int

    @abstractmethod
    def lend(self, room: memoryview) -> None:
        """Let a later message of the body be read into `room`, which is writable, and be a view of its beginning.

        Until such a message has come, `room` is not to be touched; from then on it is the reader's again, and another
        one may be lent. Messages may come as `bytes` meanwhile. A room that waits to be used is replaced by the next.
        """


def body_room(scope: Mapping[str, object]) -> BodyRoom | None:
    """What the server offers for this request; None for small and chunked bodies, and from other servers."""
    extensions = scope.get("extensions")
    room = extensions.get(EXTENSION) if isinstance(extensions, Mapping) else None
    return room if isinstance(room, BodyRoom) else None
