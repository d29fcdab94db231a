"""A file whose name has no extension, as a browser sends a Blob: the content says what it is, and names it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.api import MEDIA, Api
from tests.fixtures.av_files import write_audio, write_video
from tests.fixtures.document_files import make_docx, make_pdf, make_xlsx
from tests.fixtures.pictures import jpeg, png
from tests.fixtures.sniff_files import picture

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'


def film(directory: Path) -> bytes:
    return write_video(directory / "a.mp4", frames=12).read_bytes()


def sound(directory: Path) -> bytes:
    return write_audio(directory / "a.mp3", container="mp3", codec="libmp3lame", seconds=0.5).read_bytes()


FILES: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "jpg": (lambda _: jpeg(9, 9), "image"),
    "png": (lambda _: png(9, 9), "image"),
    "webp": (lambda _: picture("WEBP"), "image"),
    "svg": (lambda _: SVG, "image"),
    "mp4": (film, "video"),
    "mp3": (sound, "audio"),
    "pdf": (lambda _: make_pdf(), "document"),
    "docx": (lambda _: make_docx(), "document"),
    "xlsx": (lambda _: make_xlsx(), "document"),
    "txt": (lambda _: b"Hello\n", "document"),
}


@pytest.mark.parametrize("extension", FILES)
async def test_a_blob_is_what_its_content_says_and_gets_an_extension(api: Api, tmp_path: Path, extension: str) -> None:
    make, media_type = FILES[extension]
    body = await api.uploaded("blob", make(tmp_path), media_type)
    assert body["filename"] == f"blob.{extension}"
    assert str(body["url"]).endswith(f".{extension}")
    download = await api.client.get(f"{MEDIA}/{body['id']}/download")
    assert download.headers["content-disposition"] == f'attachment; filename="blob.{extension}"'


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("photo", "photo.jpg"), (".jpg", "jpg.jpg"), ("写真", "写真.jpg"), ("a.", "a.jpg"), ("\u202e", "file.jpg")],
)
async def test_every_name_without_an_extension_gets_one(api: Api, sent: str, kept: str) -> None:
    assert (await api.uploaded(sent, jpeg(9, 9), "image"))["filename"] == kept


async def test_a_long_name_without_an_extension_keeps_room_for_it(api: Api) -> None:
    body = await api.uploaded("é" * 300, jpeg(9, 9), "image")
    assert body["filename"] == "é" * 125 + ".jpg"


@pytest.mark.parametrize(
    ("data", "media_type"), [(jpeg(9, 9), "document"), (make_pdf(), "image"), (b"MZ" * 99, "image")]
)
async def test_a_blob_must_be_what_the_form_says(api: Api, data: bytes, media_type: str) -> None:
    reply = await api.upload("blob", data, media_type)
    assert reply.status_code == 400
    assert reply.json()["code"] in {"file_type_mismatch", "unsupported_file_type"}
    await api.assert_nothing_left()


async def test_the_same_blob_again_is_the_same_upload(api: Api) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await api.upload("blob", jpeg(9, 9), "image", headers=headers)
    again = await api.upload("blob", jpeg(9, 9), "image", headers=headers)
    assert again.json() == first.json()
