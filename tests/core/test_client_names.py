"""File names and text fields as clients of many kinds write them, read through the form of an upload."""

import time
from base64 import b64encode
from pathlib import Path

import pytest

from app.core.errors import InvalidField, UnsupportedForm
from app.core.media_types import MIB
from app.core.upload_stream import ReceivedUpload, receive_upload
from tests.fixtures.multipart_bodies import CONTENT_TYPE, END, field_part, file_part, in_chunks, part

IMAGE = field_part("media_type", "image")
FILE = file_part(b"data")


async def receive(
    body: bytes, directory: Path, *, content_type: str = CONTENT_TYPE, chunk: int = 65536
) -> ReceivedUpload:
    return await receive_upload(
        content_type=content_type,
        body=in_chunks(body + END, chunk),
        staged_path=directory / "incoming",
        limit_for=lambda _: MIB,
        max_upload_bytes=MIB,
        idle_timeout_s=5,
        total_timeout_s=60,
    )


async def name_of(parameters: bytes, directory: Path, *, before: bytes = b"", after: bytes = b"", **more: str) -> str:
    disposition = b'Content-Disposition: form-data; name="file"; ' + parameters
    return (await receive(before + IMAGE + part(disposition, content=b"data") + after, directory, **more)).filename  # type: ignore[arg-type]


def word(text: str, charset: str = "utf-8") -> bytes:
    return b"=?%b?B?%b?=" % (charset.encode(), b64encode(text.encode(charset)))


ENCODED_WORDS = {
    b'filename="%b"' % word("файл 漢字.jpg"): "файл 漢字.jpg",
    b"filename=%b" % word("файл.jpg"): "файл.jpg",
    b'filename="=?UTF-8?Q?caf=C3=A9_2.jpg?="': "café 2.jpg",
    b'filename="%b %b"' % (word("длинное "), word("имя.jpg")): "длинное имя.jpg",
    b'filename="=?utf-8?b?0YTQ?= =?utf-8?b?uy5qcGc=?="': "фл.jpg",
    b'filename="%b =?iso-8859-1?q?=E9?=.jpg"' % word("é"): "éé.jpg",
    b'filename="Report %b 2.jpg"' % word("été"): "Report été 2.jpg",
    b'filename="=?utf-8*de?Q?=C3=BC.jpg?="': "ü.jpg",
    b'filename="=?utf-8?B?w7wuanBn?="': "ü.jpg",
    b'filename="=?utf-8?B?w7wua?="': "=_utf-8_B_w7wua_=",
    b'filename="%b"' % word("写真.jpg", "shift_jis"): "写真.jpg",
    b'filename="%b"' % word("写真.jpg", "iso-2022-jp"): "写真.jpg",
    b'filename="%b"' % word("图片.jpg", "gb2312"): "图片.jpg",
    b'filename="%b"' % word("файл.jpg", "koi8-r"): "файл.jpg",
    b'filename="=?x-unknown?B?YS5qcGc=?=.jpg"': "=_x-unknown_B_YS5qcGc=_=.jpg",
    b'filename="=?utf-7?Q?+AGE-?=.jpg"': "=_utf-7_Q_+AGE-_=.jpg",
    b'filename="=?utf-8?Q?a=2F=2E=2E=2Fb.jpg?="': "b.jpg",
    b'filename="=?utf-8?Q?a=00=0D=0Ab.jpg?="': "a b.jpg",
    b'filename="=?utf-8?Q?%D1%84.jpg?="': "%D1%84.jpg",
}
EXTENDED = {
    b"filename*=UTF-8''%D1%84.jpg": "ф.jpg",
    b"filename*=utf-8'en'%e2%82%ac%20rates.jpg": "€ rates.jpg",
    b"filename*=iso-8859-1'en'caf%E9.jpg": "café.jpg",
    b"filename*=\"UTF-8''%C3%BC.jpg\"": "ü.jpg",
    b"filename*=UTF-8''50%.jpg": "50%.jpg",
    b"filename*=UTF-8''a%2F..%2Fb.jpg": "b.jpg",
    b"filename*=UTF-8''%252e%2500.jpg": "%2e%00.jpg",
    b"filename*=a.jpg": "a.jpg",
    b"filename=a.jpg; filename*=UTF-8''%D1%84.jpg": "ф.jpg",
    b"filename*=UTF-8''%D1%84.jpg; filename=a.jpg": "ф.jpg",
    b"filename=\"\"; filename*=UTF-8''%D1%84.jpg": "ф.jpg",
    b"filename=a.jpg; filename*=UTF-8''%FF.jpg": "a.jpg",
    b"filename=a.jpg; filename*=idna''b.jpg": "a.jpg",
    b"filename=a.jpg; filename*=": "a.jpg",
    b"filename*=UTF-8''caf%E9.jpg": "café.jpg",
    b"filename*0*=UTF-8''%D1; filename*1*=%84; filename*2=\"%20.jpg\"": "ф%20.jpg",
    b"filename*1=b.jpg; filename*0=a": "ab.jpg",
}
PLAIN = {
    b'filename="%D1%84%D0%B0%D0%B9%D0%BB%20100%25.jpg"': "файл 100%.jpg",
    b'filename="r%C3%A9sum%C3%A9(1).jpg"': "résumé(1).jpg",
    b'filename="100%25.jpg"': "100%25.jpg",
    b'filename="50%.jpg"': "50%.jpg",
    b'filename="my%20photo.jpg"': "my%20photo.jpg",
    b'filename="%E9t%E9.jpg"': "%E9t%E9.jpg",
    b'filename="%C3%A9 100%.jpg"': "%C3%A9 100%.jpg",
    b'filename="%2e%2e%2fevil.jpg"': "%2e%2e%2fevil.jpg",
    b'filename="%22quoted%22.jpg"': "_quoted_.jpg",
    b'filename="a%0D%0Ab.jpg"': "a b.jpg",
    rb'filename="a\"b.jpg"': "a_b.jpg",
    rb'filename="C:\Users\me\a.jpg"': "a.jpg",
    rb'filename="C:\\Users\\me\\a.jpg"': "a.jpg",
    rb'filename="\\server\share\a.jpg"': "a.jpg",
    b"filename=a b.jpg ": "a b.jpg",
    b"filename=a.jpg ; size=4": "a.jpg",
    'filename="写真.jpg"'.encode(): "写真.jpg",
    b'filename="caf\xe9.jpg"': "café.jpg",
    'filename="“Don’t” – été.jpg"'.encode("cp1252"): "“Don’t” – été.jpg",
    'filename="résumé “a”.jpg"'.encode("cp1252"): "résumé “a”.jpg",
    'filename="写真.jpg"'.encode("shift_jis"): "写真.jpg",
    'filename="ファイル表.jpg"'.encode("shift_jis"): "ファイル表.jpg",
    b'filename="../../a.jpg"': "a.jpg",
    b'filename=""': "file",
}


@pytest.mark.parametrize(("sent", "filename"), (ENCODED_WORDS | EXTENDED | PLAIN).items())
async def test_the_file_name_is_read_as_clients_write_it(tmp_path: Path, sent: bytes, filename: str) -> None:
    assert await name_of(sent, tmp_path) == filename


HOSTILE = [
    b"=?a?q?x" * 1100, b"=?utf-8?q?=E9?= " * 490, b"=?" * 3900, b"%C3%A9" * 1300, b"\x83\x40" * 3900, b"=?a*" * 1900,
    b"x=?utf-8?b?" * 700,
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:16]))
async def test_a_name_made_to_cost_time_costs_none(tmp_path: Path, name: bytes) -> None:
    began_at = time.process_time()
    for _ in range(5):
        assert await name_of(b'filename="%b"' % name, tmp_path)
        (tmp_path / "incoming").unlink()
    assert time.process_time() - began_at < 1


@pytest.mark.parametrize("charset", ["windows-1251", "GBK", "Shift_JIS", "euc-kr", "big5", "UTF-8"])
@pytest.mark.parametrize("place", ["before", "after", "request"])
async def test_a_form_may_name_its_charset(tmp_path: Path, charset: str, place: str) -> None:
    text = {"windows-1251": "файл", "euc-kr": "사진", "big5": "圖片", "GBK": "图片", "Shift_JIS": "写真", "UTF-8": "é"}[
        charset
    ]
    field = field_part("_charset_", charset)
    body = field_part("metadata", f'{{"title": "{text}"}}'.encode(charset)) + IMAGE
    body += part(b'Content-Disposition: form-data; name="file"; filename="%b.jpg"' % text.encode(charset), content=b"x")
    content_type = CONTENT_TYPE
    if place == "request":
        content_type = f"{CONTENT_TYPE}; charset={charset}"
    else:
        body = field + body if place == "before" else body + field
    received = await receive(body, tmp_path, content_type=content_type)
    assert received.filename == f"{text}.jpg"
    assert received.fields["metadata"] == f'{{"title": "{text}"}}'
    assert "_charset_" not in received.fields


@pytest.mark.parametrize("charset", ["x-unknown", "utf-7", "utf-16", "", "\xff", "a" * 60_000])
async def test_a_charset_that_a_form_cannot_have_changes_nothing(tmp_path: Path, charset: str) -> None:
    body = field_part("_charset_", charset) + IMAGE + file_part(b"x", filename="é.jpg".encode())
    assert (await receive(body, tmp_path)).filename == "é.jpg"


FIELDS = {
    b"text/plain; charset=ISO-8859-1": "café".encode("latin-1"),
    b"text/plain; charset=iso-8859-15": "café".encode("latin-1"),
    b"text/plain;charset=windows-1252": "café".encode("cp1252"),
    b'application/json; charset="UTF-16"': "café".encode("utf-16"),
    b"application/json; charset=utf-16be": "café".encode("utf-16-be"),
    b"text/plain; charset=utf8": "café".encode(),
    b"application/json": "café".encode(),
    b"application/json;charset=UTF-8": b"\xef\xbb\xbf" + "café".encode(),
    b"text/plain; charset=": "café".encode(),
    b"text/plain; charset=us-ascii": "café".encode(),
}


@pytest.mark.parametrize(("content_type", "sent"), FIELDS.items())
@pytest.mark.parametrize("chunk", [65536, 7])
async def test_a_text_part_may_name_its_charset(tmp_path: Path, content_type: bytes, sent: bytes, chunk: int) -> None:
    headers = [b"Content-Type: " + content_type, b"Content-Transfer-Encoding: 8bit"]
    received = await receive(IMAGE + field_part("metadata", sent, headers=headers) + FILE, tmp_path, chunk=chunk)
    assert received.fields["metadata"] == "café"


async def test_the_media_type_may_come_in_a_declared_charset(tmp_path: Path) -> None:
    body = field_part("media_type", "image", headers=[b"Content-Type: text/plain; charset=ISO-8859-1"]) + FILE
    assert (await receive(body, tmp_path)).media_type == "image"


@pytest.mark.parametrize("charset", [b"utf-7", b"x-unknown", b"idna", b"unicode_escape", b"rot13", b"base64"])
async def test_a_text_part_in_an_unknown_charset_is_refused_in_true_words(tmp_path: Path, charset: bytes) -> None:
    headers = [b"Content-Type: text/plain; charset=" + charset]
    with pytest.raises(InvalidField, match="'metadata' is in a charset that this service does not know"):
        await receive(IMAGE + field_part("metadata", "{}", headers=headers) + FILE, tmp_path)


async def test_a_boundary_is_needed_beside_a_charset(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedForm):
        await receive(IMAGE + FILE, tmp_path, content_type="multipart/form-data; charset=utf-8")
