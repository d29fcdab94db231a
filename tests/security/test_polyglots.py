"""Files that are two things at once, or not what they say, through the public routes: refused, or served harmless.

Which bytes are which format is decided, case by case, in tests/core/processing/test_sniff.py and test_svg.py.
"""

from dataclasses import dataclass

import pytest

from tests.fixtures import document_files as documents
from tests.fixtures import image_files, svg_files
from tests.fixtures.api import MEDIA, Api
from tests.fixtures.compound_files import make_doc
from tests.fixtures.sniff_files import FOREIGN, WINDOWS_PROGRAM, film, picture

HTML = b"<!DOCTYPE html><html><script>alert(document.domain)</script></html>"
PLAYLISTS = {
    "HLS": b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "SDP": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "DASH": b'<?xml version="1.0"?><MPD><Period><BaseURL>http://127.0.0.1/</BaseURL></Period></MPD>',
}
EVIL_SVG = svg_files.svg(
    '<script>alert(1)</script><a href="javascript:alert(1)"><rect onload="alert(1)" width="9" height="9"/></a>'
    '<image href="http://127.0.0.1/x.png"/><foreignObject><iframe src="//evil/"/></foreignObject>'
    "<style>@import url(http://127.0.0.1/x.css);</style>"
)


def java_archive() -> bytes:
    return documents.zip_of({"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n", "Evil.class": FOREIGN["Java class"]})


@dataclass(frozen=True)
class Case:
    """A file under a name, and the sentence's part that says what was found."""

    name: str
    data: bytes
    media_type: str
    says: str


REFUSED = {
    "program as PDF": Case("a.pdf", WINDOWS_PROGRAM, "document", "a Windows program"),
    "program as text": Case("a.txt", WINDOWS_PROGRAM, "document", "a Windows program"),
    "Photoshop as JPEG": Case("a.jpg", FOREIGN["PSD"], "image", "a Photoshop document"),
    "PostScript as JPEG": Case("a.jpg", FOREIGN["EPS"], "image", "a PostScript document"),
    "FITS as PNG": Case("a.png", FOREIGN["FITS"], "image", "a FITS image"),
    "icon as PNG": Case("a.png", FOREIGN["ICO"], "image", "a Windows icon"),
    "Java archive as DOCX": Case("a.docx", java_archive(), "document", "a Java archive"),
    "Java archive as JPEG": Case("a.jpg", java_archive(), "image", "a Java archive"),
    "DOCX as XLSX": Case("a.xlsx", documents.make_docx(), "document", "a Word document"),
    "DOC as PDF": Case("a.pdf", make_doc(), "document", "Word 97-2003"),
    "HTML as JPEG": Case("a.jpg", HTML, "image", ""),
    "HTML as SVG": Case("a.svg", HTML, "image", ""),
    "HTML under its own name": Case("a.html", HTML, "document", ""),
    "HTML in front of a PDF": Case("a.pdf", HTML + documents.make_pdf(), "document", ""),
    "PNG as JPEG": Case("a.jpg", picture("PNG"), "image", "a PNG image"),
    "picture as video": Case("a.jpg", picture("JPEG"), "video", "a JPEG image"),
    "sound as video": Case("a.mp4", film("mp4", audio="aac"), "video", ""),
    "PHP as GIF": Case("a.php", b"GIF89a<?php system($_GET[0]); ?>", "image", ""),
    "stub of a GIF with PHP": Case("a.gif", b"GIF89a<?php system($_GET[0]); ?>", "image", ""),
    "two extensions": Case("a.jpg.exe", picture("JPEG"), "image", ""),
    "no extension": Case("README", b"\x7fELF\x02\x01\x01" + bytes(64), "document", ""),
    "no extension and HTML as an image": Case("blob", HTML, "image", ""),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_not_what_it_says_is_refused_with_what_was_found(api: Api, case: Case) -> None:
    reply = await api.upload(case.name, case.data, case.media_type)
    assert reply.status_code == 400, reply.text
    assert reply.json()["code"] in {"file_type_mismatch", "unsupported_file_type", "unreadable_file"}
    assert case.says in reply.json()["detail"]
    await api.assert_nothing_left()


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mp3", "a.wav"])
@pytest.mark.parametrize("playlist", PLAYLISTS)
async def test_a_playlist_is_no_recording(api: Api, playlist: str, name: str) -> None:
    media_type = "video" if name in {"a.mp4", "a.avi"} else "audio"
    reply = await api.upload(name, PLAYLISTS[playlist], media_type)
    assert reply.status_code == 400
    await api.assert_nothing_left()


@pytest.mark.parametrize("claimed", ["text/html", "image/svg+xml", "application/xhtml+xml", "../../x", "a\tb", ""])
async def test_the_type_that_the_client_claims_is_not_asked(api: Api, claimed: str) -> None:
    part = {"file": ("a.txt", HTML, claimed)}
    reply = await api.client.post(f"{MEDIA}/upload", files=part, data={"media_type": "document"}, headers=api.auth)
    if reply.status_code == 400:
        assert reply.json()["code"] == "malformed_multipart"
        return
    shown = await api.client.get(reply.json()["url"])
    assert shown.headers["content-type"].split(";")[0] == "text/plain"


@dataclass(frozen=True)
class Kept:
    """A file that is taken, the type it is served as, and whether a browser may show it."""

    name: str
    data: bytes
    media_type: str
    served_as: str
    inline: bool = True


KEPT = {
    "text that is HTML": Kept("a.txt", HTML, "document", "text/plain; charset=utf-8"),
    "text that is SVG": Kept("a.txt", EVIL_SVG, "document", "text/plain; charset=utf-8"),
    "PDF with a script": Kept(
        "a.pdf",
        documents.make_pdf().replace(b"/Type /Catalog", b"/Type /Catalog /OpenAction <</S/JavaScript/JS(a())>>"),
        "document",
        "application/pdf",
    ),
    "PDF that is an archive": Kept("a.pdf", documents.make_pdf() + java_archive(), "document", "application/pdf"),
    "DOCX": Kept(
        "a.docx",
        documents.make_docx(),
        "document",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        inline=False,
    ),
    "JPEG that is an archive": Kept(
        "a.jpg", image_files.jpeg(image_files.quarters()) + java_archive(), "image", "image/jpeg"
    ),
    "JPEG with HTML in a comment": Kept(
        "a.jpg", image_files.jpeg(image_files.quarters(), comment=HTML), "image", "image/jpeg"
    ),
    "PNG with HTML behind it": Kept("a.png", image_files.png(image_files.quarters()) + HTML, "image", "image/png"),
    "SVG with everything": Kept("a.svg", EVIL_SVG, "image", "image/svg+xml"),
}


@pytest.mark.parametrize("case", KEPT.values(), ids=KEPT.keys())
async def test_what_is_kept_is_served_harmless(api: Api, case: Kept) -> None:
    body = await api.uploaded(case.name, case.data, case.media_type)
    for url in (body["url"], body["thumbnail_url"], f"{MEDIA}/{body['id']}/download"):
        if url is None:
            continue
        reply = await api.client.get(str(url))
        policy = reply.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ")
        assert policy.endswith("; sandbox")
        assert "script" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        if case.media_type == "image":
            assert not any(mark in reply.content for mark in (b"<script", b"onload", b"PK\x03\x04", b"http://127"))
    shown = await api.client.get(str(body["url"]))
    assert shown.headers["content-type"] == case.served_as
    assert shown.headers["content-disposition"].startswith("inline" if case.inline else "attachment")
    if case.media_type == "document":
        assert shown.content == case.data
