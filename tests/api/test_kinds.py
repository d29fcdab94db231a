"""Every kind of file through the whole service: what is known about it, its pictures, and the bytes that come back."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.fixtures import image_files
from tests.fixtures.api import MEDIA, Api, ApiFactory
from tests.fixtures.av_files import write_audio, write_video
from tests.fixtures.document_files import make_docx, make_pdf, make_xlsx
from tests.fixtures.svg_files import svg

Maker = Callable[[Path], Path]


def video(container: str, codec: str, *, audio_codec: str | None = None) -> Maker:
    return lambda path: write_video(
        path, container=container, codec=codec, audio_codec=audio_codec, frames=75, size=(160, 120)
    )


def sound(container: str, codec: str, *, rate: int = 44_100, layout: str = "mono") -> Maker:
    return lambda path: write_audio(path, container=container, codec=codec, seconds=3.0, rate=rate, layout=layout)


async def picture(api: Api, url: object) -> Image.Image:
    reply = await api.client.get(str(url))
    assert reply.status_code == 200
    return Image.open(io.BytesIO(reply.content))


@pytest.mark.parametrize(
    ("name", "mime_type", "make"),
    [
        ("a.mp4", "video/mp4", video("mp4", "libx264", audio_codec="aac")),
        ("a.mpg", "video/mpeg", video("mpeg", "mpeg2video")),
        ("a.mov", "video/quicktime", video("mov", "libx264")),
        ("a.AVI", "video/x-msvideo", video("avi", "mpeg4")),
        ("a.webm", "video/webm", video("webm", "libvpx", audio_codec="libopus")),
    ],
)
async def test_a_video_has_duration_size_and_pictures(
    api: Api, tmp_path: Path, name: str, mime_type: str, make: Maker
) -> None:
    data = make(tmp_path / "file").read_bytes()
    body = await api.uploaded(name, data, "video")

    assert (body["mime_type"], body["width"], body["height"]) == (mime_type, 160, 120)
    assert isinstance(body["duration"], int)
    assert abs(body["duration"] - 3) <= 1
    assert max((await picture(api, body["thumbnail_url"])).size) <= 300
    assert (await picture(api, body["poster_url"])).size == (160, 120)
    assert (await api.client.get(f"{MEDIA}/{body['id']}/download")).content == data


@pytest.mark.parametrize(
    ("name", "mime_type", "make"),
    [
        ("a.mp3", "audio/mpeg", sound("mp3", "libmp3lame")),
        ("a.wav", "audio/wav", sound("wav", "pcm_s16le")),
        ("a.ogg", "audio/ogg", sound("ogg", "vorbis", layout="stereo")),
        ("a.opus", "audio/ogg", sound("ogg", "libopus", rate=48_000)),
        ("a.aac", "audio/aac", sound("adts", "aac")),
        ("a.m4a", "audio/mp4", sound("ipod", "aac")),
        ("a.webm", "audio/webm", sound("webm", "libopus", rate=48_000)),
    ],
)
async def test_audio_has_duration_and_waveform(
    api: Api, tmp_path: Path, name: str, mime_type: str, make: Maker
) -> None:
    body = await api.uploaded(name, make(tmp_path / "file").read_bytes(), "audio")
    waveform = (await api.client.get(f"{MEDIA}/{body['id']}/waveform?points=20")).json()
    drawing = await api.client.get(f"{MEDIA}/{body['id']}/waveform.svg?points=20")

    assert (body["mime_type"], body["duration"], body["width"]) == (mime_type, 3, None)
    assert (waveform["version"], waveform["channels"], waveform["bits"]) == (2, 1, 8)
    assert len(waveform["data"]) == 2 * waveform["length"] <= 40
    seconds = waveform["length"] * waveform["samples_per_pixel"] / waveform["sample_rate"]
    assert seconds == pytest.approx(3, abs=0.4)
    assert max(waveform["data"]) > 40
    assert drawing.headers["content-type"] == "image/svg+xml"
    assert await picture(api, body["thumbnail_url"])


async def test_a_media_without_sound_has_no_waveform(api: Api) -> None:
    body = await api.uploaded("a.txt", b"text", "document")
    assert (await api.client.get(f"{MEDIA}/{body['id']}/waveform")).status_code == 404


@pytest.mark.parametrize("points", ["0", "10001", "x"])
async def test_an_absurd_number_of_points_is_400(api: Api, points: str) -> None:
    body = await api.uploaded("a.txt", b"text", "document")
    assert (await api.client.get(f"{MEDIA}/{body['id']}/waveform?points={points}")).status_code == 400


@pytest.mark.parametrize(
    ("name", "data", "has_picture"),
    [("a.pdf", make_pdf(), True), ("a.docx", make_docx(), False), ("a.xlsx", make_xlsx(), False)],
)
async def test_a_document_comes_back_byte_for_byte_with_what_is_in_it(
    api: Api, name: str, data: bytes, has_picture: bool
) -> None:
    body = await api.uploaded(name, data, "document")
    download = await api.client.get(f"{MEDIA}/{body['id']}/download")
    shown = await api.client.get(str(body["url"]))

    assert download.content == data
    assert (body["thumbnail_url"] is not None) == has_picture
    assert shown.headers["content-disposition"].startswith("inline" if has_picture else "attachment")


@pytest.mark.parametrize(
    ("name", "make", "stored"),
    [
        ("a.gif", lambda: image_files.animated("GIF"), "GIF"),
        ("a.webp", lambda: image_files.animated("WEBP"), "WEBP"),
        ("a.avif", lambda: image_files.saved(image_files.quarters(), "AVIF"), "AVIF"),
        ("a.HEIC", lambda: image_files.heic(image_files.quarters()), "JPEG"),
        ("a.png", lambda: image_files.grey16([0, 1000, 65535]), "PNG"),
        ("a.jpg", lambda: image_files.jpeg(image_files.quarters().convert("CMYK")), "JPEG"),
    ],
)
async def test_every_raster_format_is_stored_as_browsers_show_it(
    api: Api, name: str, make: Callable[[], bytes], stored: str
) -> None:
    body = await api.uploaded(name, make(), "image")

    assert (await picture(api, body["url"])).format == stored
    assert (await picture(api, body["thumbnail_url"])).format == "JPEG"
    properties = body["properties"]
    assert isinstance(properties, dict)
    assert str(properties["dominant_color"]).startswith("#")
    assert properties["blurhash"]


async def test_heic_can_be_switched_off(make_api: ApiFactory) -> None:
    api = await make_api(ACCEPT_HEIC=False)
    reply = await api.upload("a.heic", image_files.heic(image_files.quarters()), "image")
    assert (reply.status_code, reply.json()["code"]) == (400, "unsupported_file_type")


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_photo_is_shown_upright(api: Api, orientation: int) -> None:
    upright = image_files.quarters(400, 300)
    data = image_files.jpeg(upright, orientation=orientation, quality=95)
    body = await api.uploaded("a.jpg", data, "image")
    shown = (await picture(api, body["url"])).convert("RGB")

    assert (body["width"], body["height"]) == shown.size == (400, 300)
    for place in ((100, 75), (300, 75), (100, 225), (300, 225)):
        expected, found = upright.getpixel(place), shown.getpixel(place)
        assert isinstance(expected, tuple)
        assert isinstance(found, tuple)
        assert max(abs(a - b) for a, b in zip(expected, found, strict=True)) < 12


async def test_an_svg_is_cleaned_boxed_and_drawn(api: Api) -> None:
    drawing = svg('<script>alert(1)</script><rect width="40" height="20" fill="#ff0000" onclick="alert(2)"/>')
    body = await api.uploaded("a.svg", drawing, "image")
    shown = await api.client.get(str(body["url"]))

    assert b"alert" not in shown.content
    assert b"<rect" in shown.content
    assert shown.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert shown.headers["content-security-policy"].endswith("sandbox")
    assert (body["width"], body["height"]) == (40, 20)
    assert await picture(api, body["thumbnail_url"])
