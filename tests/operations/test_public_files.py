"""Public files that the proxy sends without asking: every header is what the service would have said."""

import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import httpx
import pytest

from app.core.embedded import EmbeddedPostgres
from app.core.media_types import FILE_TYPES, MIB, MediaType, by_extension, by_mime_type
from tests.fixtures.av_files import write_audio, write_video
from tests.fixtures.image_files import quarters, saved
from tests.fixtures.live_service import LiveService
from tests.fixtures.svg_files import svg
from tests.operations.proxy import TEMPLATE, Proxy, running_nginx

Maker = Callable[[Path], Path]

FRIEND, STRANGER = "https://friend.test", "https://stranger.test"
REQUEST_ID = {"X-Request-ID": "compared"}
ABOUT_THE_CONNECTION = {"server", "date", "connection", "keep-alive", "transfer-encoding"}
# nginx looks at the range after it has given out the headers of the file, and says Accept-Ranges only with the whole
# file. A 304 may repeat the length and the time of the file (RFC 9110 sections 8.6 and 15.4.5), and only one does.
NGINX_OWN_WAY = {206: {"accept-ranges"}, 304: {"accept-ranges", "content-length", "last-modified"}}


def _picture(format_name: str) -> Maker:
    return lambda path: _written(path, saved(quarters(), format_name))


def _drawing(path: Path) -> Path:
    return _written(path, svg('<circle cx="20" cy="10" r="5"/>'))


def _video(container: str, codec: str) -> Maker:
    return lambda path: write_video(path, container=container, codec=codec, frames=10)


def _sound(container: str, codec: str, *, rate: int = 44_100, layout: str = "mono") -> Maker:
    return lambda path: write_audio(path, container=container, codec=codec, seconds=0.5, rate=rate, layout=layout)


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


MPEG, MOV = _video("mpeg", "mpeg2video"), _video("mov", "libx264")
MP3, M4A, VORBIS = _sound("mp3", "libmp3lame"), _sound("ipod", "aac"), _sound("ogg", "vorbis", layout="stereo")
STORED: dict[str, Maker] = {
    "jpg": _picture("JPEG"), "png": _picture("PNG"), "gif": _picture("GIF"), "webp": _picture("WEBP"),
    "avif": _picture("AVIF"), "svg": _drawing,
    "mp4": _video("mp4", "libx264"), "m4v": _video("mp4", "libx264"), "webm": _video("webm", "libvpx-vp9"),
    "mpeg": MPEG, "mpg": MPEG, "mpe": MPEG, "mov": MOV, "qt": MOV,
    "avi": _video("avi", "mpeg4"),
    "mp3": MP3, "mpga": MP3, "wav": _sound("wav", "pcm_s16le"), "ogg": VORBIS, "oga": VORBIS,
    "opus": _sound("ogg", "libopus", rate=48_000), "aac": _sound("adts", "aac"), "m4a": M4A, "m4b": M4A,
    "weba": _sound("webm", "libopus", rate=48_000),
}  # fmt: skip
OTHER_NAMES_OF_JPEG = {"jpeg", "jpe", "jfif"}  # every JPEG is stored as `.jpg`


@dataclass(frozen=True)
class Site:
    """A service that sends its files itself, a proxy that reads them from its disk, and a file of every extension."""

    service: LiveService
    proxy: Proxy
    paths: dict[str, str]

    def both(self, method: str, path: str, headers: dict[str, str]) -> tuple[httpx.Response, httpx.Response]:
        """What the service and what the proxy answers."""
        asked = headers | REQUEST_ID
        return (
            httpx.request(method, self.service.url + path, headers=asked),
            httpx.request(method, self.proxy.url + path, headers=asked),
        )


@pytest.fixture(scope="module")
def site(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("public-files")
    origins = f"https://other.test, {FRIEND}"
    service = LiveService(directory, {"DATABASE_URL": postgres.url, "CORS_ORIGINS": origins})
    with ExitStack() as stack:
        stack.callback(service.close)
        service.start()
        proxy = stack.enter_context(
            running_nginx(
                api=f"127.0.0.1:{service.port}", max_body_bytes=MIB, files=service.upload_dir, cors_origins=origins
            )
        )
        headers = service.auth_of(uuid.uuid4())
        paths = {extension: _uploaded(service, headers, directory, extension) for extension in STORED}
        yield Site(service, proxy, paths)


def _uploaded(service: LiveService, headers: dict[str, str], directory: Path, extension: str) -> str:
    """The path of a file with this extension, stored."""
    file_type = by_extension(extension)[0]
    data = STORED[extension](directory / f"made.{extension}").read_bytes()
    reply = httpx.post(
        f"{service.url}/api/v1/media/upload",
        headers=headers,
        files={"file": (f"a name.{extension}", data)},
        data={"media_type": file_type.media_type},
        timeout=60,
    )
    assert reply.status_code == 201, reply.text
    url = str(reply.json()["url"])
    assert url.endswith(f".{extension}")
    return url.removeprefix(service.url)


def _compared(reply: httpx.Response) -> dict[str, list[str]]:
    """The headers that have to be the same, each with all its lines."""
    left_out = ABOUT_THE_CONNECTION | NGINX_OWN_WAY.get(reply.status_code, set())
    return {name: reply.headers.get_list(name) for name in reply.headers if name not in left_out}


# -- the table ---------------------------------------------------------------------------------------------------------


def _location() -> str:
    (location,) = re.findall(r"    location ~ \"\^/api/v1/media/files/.*?\n    }\n", TEMPLATE.read_text(), re.DOTALL)
    return str(location)


def test_the_proxy_knows_the_extensions_of_pictures_video_and_audio() -> None:
    expected: dict[str, str] = {}
    for extension in {extension for file_type in FILE_TYPES for extension in file_type.extensions}:
        first = by_extension(extension)[0]  # what a stored file of this extension is
        if first.media_type is not MediaType.DOCUMENT and first.stored_as is None:
            expected[extension] = first.mime_type
    (types,) = re.findall(r"types \{\n(.*?)\}", _location(), re.DOTALL)
    lines = [line.rstrip(";").split() for line in types.strip().splitlines()]
    assert {extension: mime_type for mime_type, *extensions in lines for extension in extensions} == expected
    (alternatives,) = re.findall(r"\(\?<media_extension>([^)]+)\)", _location())
    assert set(alternatives.split("|")) == set(expected) == set(STORED) | OTHER_NAMES_OF_JPEG


def test_all_that_the_proxy_shows_by_itself_may_be_shown() -> None:
    mime_types = re.findall(r"^            (\w+/\S+)", _location(), re.MULTILINE)
    assert mime_types
    assert all(by_mime_type(mime_type).inline for mime_type in mime_types)


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", STORED)
@pytest.mark.parametrize(
    ("method", "asked", "status"),
    [
        ("GET", {}, 200),
        ("HEAD", {}, 200),
        ("GET", {"If-None-Match": '"other"'}, 200),
        ("GET", {"Range": "bytes=1-8"}, 206),
        ("GET", {"Range": "bytes=-5"}, 206),
        ("GET", {"If-None-Match": "*"}, 304),
        ("HEAD", {"If-Modified-Since": formatdate(4e9, usegmt=True)}, 304),
    ],
)
def test_answer_is_the_one_of_the_service(
    site: Site, extension: str, method: str, asked: dict[str, str], status: int
) -> None:
    service, proxy = site.both(method, site.paths[extension], asked)
    assert (service.status_code, proxy.status_code) == (status, status)
    assert _compared(proxy) == _compared(service)
    assert proxy.content == service.content


@pytest.mark.parametrize("extension", STORED)
def test_range_outside_is_refused_in_the_words_of_the_service(site: Site, extension: str) -> None:
    service, proxy = site.both("GET", site.paths[extension], {"Range": "bytes=99999999-"})
    assert (service.status_code, proxy.status_code) == (416, 416)
    same = ("content-type", "content-range", "x-request-id", "x-content-type-options", "referrer-policy", "vary")
    assert [proxy.headers.get_list(name) for name in same] == [service.headers.get_list(name) for name in same]
    assert "no-store" in proxy.headers.get_list("cache-control")
    assert "default-src 'none'" in proxy.headers["content-security-policy"]
    assert proxy.json()["code"] == service.json()["code"]


@pytest.mark.parametrize("extension", STORED)
def test_missing_file_is_the_404_of_the_service(site: Site, extension: str) -> None:
    service, proxy = site.both("GET", f"/api/v1/media/files/2026/11/missing_1.{extension}", {"If-None-Match": "*"})
    assert (service.status_code, proxy.status_code) == (404, 404)
    assert _compared(proxy) == _compared(service)
    assert proxy.json() == service.json()


@pytest.mark.parametrize("origin", [FRIEND, STRANGER])
@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=0-0"}, {"If-None-Match": "*"}])
def test_pages_of_other_origins_get_the_answers_of_the_service(site: Site, origin: str, asked: dict[str, str]) -> None:
    service, proxy = site.both("GET", site.paths["png"], asked | {"Origin": origin})
    assert _compared(proxy) == _compared(service)
    assert ("access-control-allow-origin" in proxy.headers) == (origin == FRIEND)


def test_any_origin_may_be_allowed(site: Site) -> None:
    origins = "*"
    with running_nginx(
        api="127.0.0.1:1", max_body_bytes=MIB, files=site.service.upload_dir, cors_origins=origins
    ) as open_to_all:
        reply = httpx.get(open_to_all.url + site.paths["png"], headers={"Origin": STRANGER})
    assert (reply.headers["access-control-allow-origin"], reply.headers.get("vary")) == ("*", None)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"a", W/{tag}', 304),
        ('{tag},"b"', 304),
        ('"a", "b"', 200),
        ("{name}", 200),
        ('"x{name}"', 200),
    ],
)
def test_entity_tags_are_compared_as_the_service_does(site: Site, form: str, status: int) -> None:
    path = site.paths["png"]
    name = path.rpartition("/")[2]
    service, proxy = site.both("GET", path, {"If-None-Match": form.format(tag=f'"{name}"', name=name)})
    assert (service.status_code, proxy.status_code) == (status, status)


@pytest.mark.parametrize("validator", ["etag", "last-modified"])
def test_rest_of_a_file_is_sent_when_it_is_still_the_same(site: Site, validator: str) -> None:
    path = site.paths["png"]
    known = httpx.head(site.service.url + path).headers[validator]
    for if_range, status in ((known, 206), ('"other"', 200)):
        service, proxy = site.both("GET", path, {"Range": "bytes=9-", "If-Range": if_range})
        assert (service.status_code, proxy.status_code) == (status, status)
        assert proxy.content == service.content


def test_several_ranges_are_sent_as_the_service_does(site: Site) -> None:
    service, proxy = site.both("GET", site.paths["png"], {"Range": "bytes=0-4,9-12"})
    assert (service.status_code, proxy.status_code) == (206, 206)
    assert proxy.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert proxy.content.count(b"Content-Type: image/png") == 2


# -- what the service still answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_are_for_the_service(site: Site, method: str) -> None:
    service, proxy = site.both(method, site.paths["png"], {"If-None-Match": "*"})
    assert (service.status_code, proxy.status_code) == (405, 405)
    assert proxy.json() == service.json()


def test_preflights_are_for_the_service(site: Site) -> None:
    asked = {"Origin": FRIEND, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "Range"}
    service, proxy = site.both("OPTIONS", site.paths["png"], asked)
    assert (service.status_code, proxy.status_code) == (200, 200)
    names = [name for name in service.headers if name.startswith("access-control-")]
    assert "access-control-max-age" in names
    assert [proxy.headers.get_list(name) for name in names] == [service.headers.get_list(name) for name in names]


@pytest.mark.parametrize("asked", [{"If-Match": '"other"'}, {"If-Unmodified-Since": formatdate(0, usegmt=True)}])
def test_preconditions_are_for_the_service(site: Site, asked: dict[str, str]) -> None:
    service, proxy = site.both("GET", site.paths["png"], asked)
    assert proxy.status_code == service.status_code
    assert _compared(proxy) == _compared(service)


@pytest.mark.parametrize(("direct_files", "status"), [("on", 200), ("off", 503)])
def test_asking_the_service_for_everything_can_be_switched_on(site: Site, direct_files: str, status: int) -> None:
    with running_nginx(
        api="127.0.0.1:1", max_body_bytes=MIB, files=site.service.upload_dir, direct_files=direct_files
    ) as alone:
        reply = httpx.get(alone.url + site.paths["png"])
    assert reply.status_code == status


# -- the disk ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", [".staging/x/a_1.png", "2026/11/.a_1.png", "2026/a_1.png", "2026/11/x/a_1.png", "2026/11/A_1.PNG"]
)
def test_only_addresses_of_stored_files_reach_the_disk(site: Site, place: str) -> None:
    path = site.service.upload_dir / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"not public")
    reply = httpx.get(f"{site.proxy.url}/api/v1/media/files/{place}")
    assert (reply.status_code, reply.json()["code"]) == (404, "file_not_found")


def test_a_link_is_not_followed(site: Site) -> None:
    month = site.service.upload_dir / "2026/11"
    month.mkdir(parents=True, exist_ok=True)
    (month / "link_1.png").symlink_to("/etc/hostname")
    reply = httpx.get(f"{site.proxy.url}/api/v1/media/files/2026/11/link_1.png")
    assert (reply.status_code, reply.json()["code"]) == (404, "file_not_found")


def test_a_deleted_file_is_gone_within_two_seconds(site: Site) -> None:
    month = site.service.upload_dir / "2026/11"
    month.mkdir(parents=True, exist_ok=True)
    path = month / "short-lived_1.png"
    path.write_bytes(b"soon gone")
    url = f"{site.proxy.url}/api/v1/media/files/2026/11/{path.name}"
    assert httpx.get(url).status_code == 200
    path.unlink()
    time.sleep(2)
    assert httpx.get(url).status_code == 404
