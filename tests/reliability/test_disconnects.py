"""A client that hangs up at any byte of its upload leaves nothing behind, within a second."""

import asyncio
import socket
import struct

from tests.fixtures.multipart_bodies import CONTENT_TYPE, END, field_part, file_part
from tests.fixtures.pictures import png
from tests.fixtures.raw_http import raw_connection
from tests.reliability.conftest import Rig
from tests.reliability.ledger import UPLOAD

FIRST, SECOND = field_part("media_type", "image"), file_part(png(300, 300), filename=b"a.png")
BODY = FIRST + SECOND + END
SAMPLES = 24
# Linger for no time: close(2) sends a reset instead of a proper end, as a crashed client does.
RESET = struct.pack("ii", 1, 0)


def head_of(rig: Rig) -> bytes:
    authorization = rig.client.headers["Authorization"]
    return (
        f"POST /api/v1/media/upload HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    ).encode()


def cut_positions(head: bytes) -> list[int]:
    """Around every seam of the request, and evenly spread over the rest; never the whole of it."""
    seams = [0, head.index(b"\r\n"), len(head), len(head) + len(FIRST), len(head) + len(FIRST) + len(SECOND)]
    seams.append(len(head) + BODY.index(b"\r\n\r\n", len(FIRST)) + 4)
    end = len(head) + len(BODY)
    around = {seam + shift for seam in [*seams, end] for shift in (-2, -1, 0, 1, 2)}
    return sorted(cut for cut in around | set(range(0, end, end // SAMPLES)) if 0 <= cut < end)


def hang_up(port: int, data: bytes, *, with_reset: bool) -> None:
    with raw_connection(port) as connection:
        connection.send(data)
        if with_reset:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


async def test_hanging_up_at_any_byte_leaves_nothing(rig: Rig) -> None:
    head = head_of(rig)
    request = head + BODY
    for number, cut in enumerate(cut_positions(head)):
        await asyncio.to_thread(hang_up, rig.service.port, request[:cut], with_reset=number % 2 == 0)
        evidence = await rig.inspector.settled(within_s=1)
        assert evidence.files == set(), f"cut at {cut} of {len(request)}"


async def test_fifty_that_hang_up_at_once_leave_nothing_and_take_no_place(rig: Rig) -> None:
    request = head_of(rig) + BODY
    cuts = [len(request) * number // 50 for number in range(50)]
    await asyncio.gather(
        *(asyncio.to_thread(hang_up, rig.service.port, request[:cut], with_reset=cut % 2 == 0) for cut in cuts)
    )
    assert (await rig.inspector.settled(within_s=1)).files == set()
    files, data = {"file": ("a.txt", b"text")}, {"media_type": "document"}
    replies = await asyncio.gather(*(rig.client.post(UPLOAD, files=files, data=data) for _ in range(20)))
    assert {reply.status_code for reply in replies} == {201}


async def test_a_request_that_was_sent_whole_is_done_whole_though_nobody_waits_for_it(rig: Rig) -> None:
    await asyncio.to_thread(hang_up, rig.service.port, head_of(rig) + BODY, with_reset=False)
    await asyncio.sleep(1)
    assert len((await rig.inspector.settled(within_s=5)).files) in (0, 2)
    await rig.inspector.assert_bytes_are_what_rows_say()
