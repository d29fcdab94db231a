"""What clients were told: the history of acknowledged operations that is compared with later reads, as Jepsen does."""

import asyncio
import random
from dataclasses import dataclass, field

import httpx

from tests.fixtures.pictures import png

UPLOAD = "/api/v1/media/upload"
MEDIA = "/api/v1/media"


@dataclass(slots=True)
class Ledger:
    """`kept` maps an id to the bytes that its 201 stands for, None for a picture, which is rewritten.

    `unsure` are ids whose delete got no answer: they may be there or gone, but only whole.
    """

    kept: dict[str, bytes | None] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    refused: int = 0

    @property
    def acknowledged(self) -> int:
        """How many operations were answered with success."""
        return len(self.kept) + 2 * len(self.deleted)

    async def grown_to(self, acknowledged: int) -> None:
        """Return when so many operations were answered with success."""
        while self.acknowledged < acknowledged:  # noqa: ASYNC110 - clients write answers down, they do not notify
            await asyncio.sleep(0.001)

    async def assert_kept(self, client: httpx.AsyncClient, ids: set[str] | None = None) -> None:
        """Each acknowledged upload is there byte for byte, each acknowledged delete is final."""
        for media_id, data in self.kept.items():
            if ids is not None and media_id not in ids:
                continue
            reply = await client.get(f"{MEDIA}/{media_id}/download")
            if media_id in self.unsure and reply.status_code == 404:
                continue
            assert reply.status_code == 200, f"lost: {media_id} {reply.status_code}"
            assert data is None or reply.content == data, f"changed: {media_id}"
        for media_id in self.deleted if ids is None else self.deleted & ids:
            reply = await client.get(f"{MEDIA}/{media_id}")
            assert reply.status_code == 404, f"came back: {media_id}"


async def busy_client(
    client: httpx.AsyncClient, headers: dict[str, str], ledger: Ledger, random_: random.Random
) -> None:
    """Upload and delete as one user, one thing after the other, until the service is gone; write down what it says."""
    mine: list[str] = []
    while True:
        try:
            if mine and random_.random() < 0.4:
                await _delete(client, headers, ledger, mine.pop(random_.randrange(len(mine))))
            else:
                mine += await _upload(client, headers, ledger, random_)
        except httpx.HTTPError:
            return


async def _upload(
    client: httpx.AsyncClient, headers: dict[str, str], ledger: Ledger, random_: random.Random
) -> list[str]:
    data: bytes | None
    if random_.random() < 0.15:
        data, file, kind = None, ("p.png", png(random_.randrange(5, 60), 9)), "image"
    else:
        data = random_.randbytes(random_.randrange(1, 60_000)).hex().encode()
        file, kind = ("t.txt", data), "document"
    reply = await client.post(UPLOAD, files={"file": file}, data={"media_type": kind}, headers=headers)
    if reply.status_code != 201:
        ledger.refused += 1
        await asyncio.sleep(0.02)
        return []
    media_id = reply.json()["id"]
    ledger.kept[media_id] = data
    return [media_id]


async def _delete(client: httpx.AsyncClient, headers: dict[str, str], ledger: Ledger, media_id: str) -> None:
    ledger.unsure.add(media_id)
    reply = await client.delete(f"{MEDIA}/{media_id}", headers=headers)
    if reply.status_code == 200:
        ledger.unsure.discard(media_id)
        ledger.kept.pop(media_id)
        ledger.deleted.add(media_id)
