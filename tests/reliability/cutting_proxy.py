"""A proxy before PostgreSQL that cuts the connection around a chosen COMMIT, before the server sees it or after."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from tests.reliability.commits import CommitSpotter


class Cut(Enum):
    """Where a COMMIT is lost: on its way to the server, or its answer on the way back."""

    QUESTION = "question"
    ANSWER = "answer"


class CuttingProxy:
    """Passes everything on until `arm`; then the n-th COMMIT from now is the end of its connection."""

    def __init__(self, server_socket: Path) -> None:
        self._server_socket = server_socket
        self._spotter = CommitSpotter()
        self._countdown = 0
        self._cut: Cut | None = None

    def arm(self, cut: Cut, *, commit: int) -> None:
        """Cut the `commit`-th COMMIT from now (1 is the next)."""
        self._cut, self._countdown = cut, commit

    @property
    def has_cut(self) -> bool:
        return self._cut is None

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection."""
        server_reader, server_writer = await asyncio.open_unix_connection(self._server_socket)
        back = asyncio.create_task(_pass_on(server_reader, writer))
        # A service that ends closes its connections in the middle of anything.
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                cut = self._cut_for(data)
                if cut is Cut.QUESTION:
                    break
                if cut is Cut.ANSWER:
                    back.cancel()
                    await asyncio.wait({back})
                    server_writer.write(data)
                    await server_reader.read(1)  # it has answered, so it has committed
                    break
                server_writer.write(data)
        back.cancel()
        for stream in (server_writer, writer):
            stream.close()

    def _cut_for(self, data: bytes) -> Cut | None:
        if not self._spotter.is_commit(data) or self._cut is None:
            return None
        self._countdown -= 1
        if self._countdown > 0:
            return None
        cut, self._cut = self._cut, None
        return cut


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def cutting_proxy(database_url: str, directory: Path) -> AsyncIterator[tuple[CuttingProxy, str]]:
    """A proxy before the server of `database_url`, and the URL of the same database through it.

    directory: exists; its path is short, as that of a socket has room for about a hundred bytes.
    """
    parts = urlsplit(database_url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    proxy = CuttingProxy(Path(query["host"]) / f".s.PGSQL.{query['port']}")
    server = await asyncio.start_unix_server(proxy.handle, directory / f".s.PGSQL.{query['port']}")
    through = urlencode(query | {"host": str(directory)})
    async with server:
        yield proxy, urlunsplit(parts._replace(query=through))
