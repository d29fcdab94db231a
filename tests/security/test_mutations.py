"""Hundreds of damaged files through the public route: each is kept or refused with a sentence, none is our fault.

The damage is random but the same in every run; a failure names the seed of its file.
"""

import asyncio
import random
from collections.abc import Callable

from tests.fixtures import document_files as documents
from tests.fixtures import image_files, svg_files
from tests.fixtures.api import Api
from tests.fixtures.compound_files import make_doc, make_xls
from tests.fixtures.sniff_files import film

FILES: list[tuple[str, str, Callable[[], bytes]]] = [
    *((f"a.{mime.rpartition('/')[2].replace('jpeg', 'jpg')}", "image", lambda make=make: make(image_files.quarters()))
      for mime, make in image_files.MAKERS.items()),
    ("a.svg", "image", lambda: svg_files.FIGMA),
    ("a.mp4", "video", lambda: film("mp4", video="mpeg4", audio="aac")),
    ("a.avi", "video", lambda: film("avi", video="mpeg4")),
    ("a.webm", "video", lambda: film("webm", video="libvpx")),
    ("a.mp3", "audio", lambda: film("mp3", audio="libmp3lame")),
    ("a.ogg", "audio", lambda: film("ogg", audio="libopus")),
    ("a.wav", "audio", lambda: film("wav", audio="pcm_s16le")),
    ("a.pdf", "document", documents.make_pdf),
    ("a.docx", "document", documents.make_docx),
    ("a.xlsx", "document", documents.make_xlsx),
    ("a.doc", "document", make_doc),
    ("a.xls", "document", make_xls),
]  # fmt: skip
ROUNDS = 12
EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0")


def damaged(data: bytes, seed: str) -> bytes:
    """`data` cut, scribbled over, stretched or shuffled."""
    chance = random.Random(seed)
    spoiled = bytearray(data)
    at = chance.randrange(len(spoiled))
    match chance.randrange(5):
        case 0:
            return bytes(spoiled[:at])
        case 1:
            for _ in range(chance.choice((1, 5, 50))):
                spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
        case 2:
            for _ in range(4):
                place = chance.randrange(min(len(spoiled), 400))
                spoiled[place : place + 4] = chance.choice(EXTREMES)
        case 3:
            spoiled[at:at] = chance.randbytes(chance.choice((1, 300)))
        case _:
            del spoiled[at : at + chance.randrange(1, 200)]
    return bytes(spoiled)


async def test_a_damaged_file_is_kept_or_refused_and_never_a_fault_of_ours(api: Api) -> None:
    wrong: dict[str, str] = {}
    kept = 0
    places = asyncio.Semaphore(4)

    async def send(name: str, media_type: str, data: bytes, seed: str) -> None:
        nonlocal kept
        async with places:
            reply = await api.upload(name, damaged(data, seed), media_type)
        kept += reply.status_code == 201
        if reply.status_code not in {201, 400} or (reply.status_code == 400 and not reply.json()["code"]):
            wrong[seed] = reply.text

    await asyncio.gather(
        *(send(name, media_type, make(), f"{name}-{n}") for name, media_type, make in FILES for n in range(ROUNDS))
    )
    assert wrong == {}
    assert await api.media_count() == kept
    assert api.staged_files() == []
