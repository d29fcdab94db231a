"""Over HTTP: whole pictures are taken whatever their ends and side notes look like, others refused in true words."""

import struct

import pytest

from tests.fixtures import gif_files as gifs
from tests.fixtures import image_files as files
from tests.fixtures import png_files as pngs
from tests.fixtures.api import Api

PHOTO = files.photo(320, 240)
JPEG, PNG = files.jpeg(PHOTO), files.png(PHOTO)
APNG = files.animated("PNG")
ODD_GIF = gifs.Gif(
    (60, 40), [gifs.Frame(gifs.plain(60, 40, 0)), gifs.Frame([list(range(60))] * 40, palette=gifs.GREYS)]
)
WHOLE = {
    "JPEG without an end": ("a.jpg", JPEG[:-2]),
    "JPEG with padding": ("a.jpg", JPEG[:-2] + bytes(500)),
    "PNG with a wrong checksum of a text": (
        "a.png",
        pngs.with_chunk(PNG, pngs.wrong_chunk(b"tEXt", b"Comment\0" + files.SECRET), before=b"IDAT"),
    ),
    "PNG without an end": ("a.png", PNG[:-12]),
    "APNG with a wrong number": ("a.png", APNG.replace(b"fdAT\0\0\0\x02", b"fdAT\0\0\0\x07")),
    "GIF with greys of its own": ("a.gif", ODD_GIF.data()),
    "GIF without an end": ("a.gif", ODD_GIF.data(end=b"")),
}
TWELVE_BITS = JPEG.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c")
REFUSED = {
    "half a JPEG": ("a.jpg", JPEG[: len(JPEG) // 2], "unreadable_file", "incomplete"),
    "half a JPEG with an end": ("a.jpg", JPEG[: len(JPEG) // 2] + JPEG[-2:], "unreadable_file", "incomplete"),
    "PNG with a wrong checksum": ("a.png", pngs.with_wrong_checksum(PNG, b"IDAT"), "unreadable_file", "damaged"),
    "JPEG of 12 bits": ("a.jpg", TWELVE_BITS, "unsupported_file_type", "12 bits"),
    "PNG of 268 megapixels": (
        "a.png",
        files.png_of(16_384, 16_384, bits=1, color=0, rows=bytes(99)),
        "file_too_complex",
        "pixels",
    ),
    "AVIF of 1600 megapixels": (
        "a.avif",
        files.saved(files.quarters(), "AVIF").replace(struct.pack(">II", 64, 48), struct.pack(">II", 40_000, 40_000)),
        "file_too_complex",
        "pixels",
    ),
}


@pytest.mark.parametrize(("name", "data"), WHOLE.values(), ids=WHOLE.keys())
async def test_a_whole_picture_is_taken(api: Api, name: str, data: bytes) -> None:
    body = await api.uploaded(name, data, "image")
    assert (body["width"], body["height"]) in {(320, 240), (60, 40)}
    stored = await api.client.get(str(body["url"]))
    assert files.SECRET not in stored.content


@pytest.mark.parametrize(("name", "data", "code", "says"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_not_whole_is_refused_with_the_reason(
    api: Api, name: str, data: bytes, code: str, says: str
) -> None:
    reply = await api.upload(name, data, "image")
    assert (reply.status_code, reply.json()["code"]) == (400, code)
    assert says in reply.json()["detail"]
    await api.assert_nothing_left()
