"""Nothing private of a picture reaches the public: not in the file, the thumbnail, the JSON or a list."""

from collections.abc import Callable

import pytest

from tests.fixtures import gif_files, svg_files
from tests.fixtures import image_files as files
from tests.fixtures.api import MEDIA, Api


def _overfull_gif() -> bytes:
    frame = gif_files.Frame(gif_files.plain(60, 40, 0), luggage=files.SECRET * 2)
    return gif_files.Gif((60, 40), [frame], blocks=[b"!\xfe" + gif_files.blocked(files.SECRET)]).data()


PRIVATE = (files.SECRET, b"GPS", b"MakerNote", b"<script", b"PK\x03\x04", b"PK\x05\x06")
CARRIERS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "JPEG": ("a.jpg", lambda: files.jpeg(files.quarters(), with_secrets=True)),
    "JPEG that is re-encoded": ("a.jpg", lambda: files.jpeg(files.photo(2500, 300), with_secrets=True, quality=95)),
    "JPEG that is turned": ("a.jpg", lambda: files.jpeg(files.quarters(), orientation=6, with_secrets=True)),
    "PNG": ("a.png", lambda: files.png(files.quarters(), with_secrets=True)),
    "WebP": ("a.webp", lambda: files.webp(files.quarters(), with_secrets=True)),
    "HEIC": ("a.heic", lambda: files.heic(files.quarters(), with_secrets=True)),
    "GIF": ("a.gif", lambda: files.animated("GIF", comment=files.SECRET)),
    "JPEG without an end": ("a.jpg", lambda: files.jpeg(files.quarters())[:-2] + files.SECRET),
    "GIF with data behind its pixels": ("a.gif", lambda: _overfull_gif() + files.zip_archive()),
    "APNG": ("a.png", lambda: files.animated("PNG") + files.zip_archive()),
    "archive behind a JPEG": ("a.jpg", lambda: files.jpeg(files.quarters()) + files.zip_archive()),
    "archive behind a PNG": ("a.png", lambda: files.png(files.quarters()) + files.zip_archive()),
    "archive behind a GIF": ("a.gif", lambda: files.saved(files.quarters(), "GIF") + files.zip_archive()),
    "archive behind a WebP": ("a.webp", lambda: files.webp(files.quarters()) + files.zip_archive()),
    "SVG": (
        "a.svg",
        lambda: svg_files.svg(
            f"<!-- {files.SECRET.decode()} --><metadata>{files.SECRET.decode()}</metadata>"
            f'<rect data-secret="{files.SECRET.decode()}" width="9" height="9"/>'
        ),
    ),
}


async def public_parts(api: Api, body: dict[str, object]) -> dict[str, bytes]:
    """Everything that anybody may read of a media."""
    parts = {
        "JSON": (await api.client.get(f"{MEDIA}/{body['id']}")).content,
        "list": (await api.client.get(f"{MEDIA}/", headers=api.auth)).content,
        "download": (await api.client.get(f"{MEDIA}/{body['id']}/download")).content,
    }
    for name in ("url", "thumbnail_url", "poster_url"):
        if body[name] is not None:
            parts[name] = (await api.client.get(str(body[name]))).content
    return parts


@pytest.mark.parametrize(("name", "make"), CARRIERS.values(), ids=CARRIERS.keys())
async def test_nothing_private_is_in_any_public_part(api: Api, name: str, make: Callable[[], bytes]) -> None:
    data = make()
    assert files.SECRET in data or name.endswith((".heic", ".jpg"))
    body = await api.uploaded(name, data, "image")
    found = {
        (part, secret)
        for part, content in (await public_parts(api, body)).items()
        for secret in PRIVATE
        if secret in content
    }
    assert found == set()


async def test_camera_exposure_and_date_stay_in_the_properties(api: Api) -> None:
    body = await api.uploaded("a.jpg", files.jpeg(files.quarters(), with_secrets=True), "image")
    properties = body["properties"]
    assert isinstance(properties, dict)
    camera = properties["exif"]
    assert camera["model"] == "EOS R5"
    assert camera["f_number"] == 2.8
    assert properties["taken_at"] == "2026-03-04T05:06:07+02:00"
