"""Every form that is not one upload is refused with a sentence, quickly, and without keeping anything open."""

import time
from pathlib import Path

import pytest

from app.core.errors import (
    DuplicateField,
    InvalidField,
    MalformedMultipart,
    MissingField,
    ServiceError,
    UnsupportedForm,
)
from app.core.media_types import MIB
from app.core.upload_stream import ReceivedUpload, receive_upload
from tests.fixtures.multipart_bodies import BOUNDARY, CONTENT_TYPE, END, field_part, file_part, in_chunks, part

IMAGE = field_part("media_type", "image")
FILE = file_part(b"data")
B = BOUNDARY
DISPOSITION = b'Content-Disposition: form-data; name="file"; filename="a.jpg"'


async def receive(
    body: bytes, directory: Path, *, content_type: str | None = CONTENT_TYPE, chunk: int = 65536
) -> ReceivedUpload:
    return await receive_upload(
        content_type=content_type,
        body=in_chunks(body, chunk),
        staged_path=directory / "incoming",
        limit_for=lambda _: 200 * MIB,
        max_upload_bytes=200 * MIB,
        idle_timeout_s=5,
        total_timeout_s=60,
    )


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "b" * 71,
        'multipart/form-data; boundary="ends with a blank "',
        "multipart/form-data; boundary=käse",
        "multipart/form-data; boundary=a; boundary=b",
        'multipart/form-data; boundary="a\r\nb"',
        "multipart/mixed; boundary=abc",
        "multipart/form-data-x; boundary=abc",
        "application/x-www-form-urlencoded",
        "application/json",
        "text/plain; boundary=abc",
        "multipart/form-data; boundary=abc" + "; x=" + '"\\' * 100_000,
        ";" * 900 + "boundary=abc",
        "multipart/form-data" + " ;" * 500,
    ],
)
async def test_a_body_that_is_no_form_is_refused(tmp_path: Path, content_type: str | None) -> None:
    with pytest.raises(UnsupportedForm):
        await receive(IMAGE + FILE + END, tmp_path, content_type=content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        f"multipart/form-data; boundary={B.decode()}",
        f"Multipart/Form-Data;BOUNDARY={B.decode()}",
        f'multipart/form-data; charset=utf-8; boundary="{B.decode()}"',
        f"multipart/form-data; boundary={B.decode()};",
    ],
)
async def test_every_spelling_of_the_content_type_is_read(tmp_path: Path, content_type: str) -> None:
    assert (await receive(IMAGE + FILE + END, tmp_path, content_type=content_type)).size_bytes == 4


MALFORMED = {
    "no final boundary": IMAGE + FILE,
    "cut inside the file": (IMAGE + FILE)[:-6],
    "cut inside a header": IMAGE + b"--" + B + b"\r\nContent-Disp",
    "only a boundary": b"--" + B + b"\r\n",
    "nothing": b"",
    "another boundary": IMAGE.replace(B, b"other") + FILE.replace(B, b"other") + END.replace(B, b"other"),
    "text before the first boundary": b"hello" + IMAGE + FILE + END,
    "bare line feeds": (IMAGE + FILE + END).replace(b"\r\n", b"\n"),
    "no disposition": part(b"Content-Type: text/plain", content=b"x") + END,
    "no headers": part(content=b"x") + END,
    "attachment": part(b'Content-Disposition: attachment; name="file"; filename="a"', content=b"x") + END,
    "no name": part(b'Content-Disposition: form-data; filename="a"', content=b"x") + END,
    "two names": part(b'Content-Disposition: form-data; name="x"; name="file"', content=b"x") + END,
    "unclosed quote": part(b'Content-Disposition: form-data; name="file', content=b"x") + END,
    "two dispositions": part(DISPOSITION, DISPOSITION, content=b"x") + END,
    "nested": part(DISPOSITION, b"Content-Type: multipart/mixed; boundary=x", content=b"x") + END,
    "base64": part(DISPOSITION, b"Content-Transfer-Encoding: base64", content=b"eA==") + END,
    "quoted-printable": part(DISPOSITION, b"content-transfer-encoding: Quoted-Printable", content=b"x") + END,
    "header without a colon": part(DISPOSITION, b"nonsense", content=b"x") + END,
    "header with an empty name": part(DISPOSITION, b": x", content=b"x") + END,
    "header with a blank name": part(b"Content Disposition: form-data", content=b"x") + END,
    "line feed in a header": part(DISPOSITION + b"\nX: y", content=b"x") + END,
    "NUL in a header": part(b'Content-Disposition: form-data; name="fi\0le"; filename="a"', content=b"x") + END,
    "folded header": part(DISPOSITION, b" folded", content=b"x") + END,
    "nine headers": part(DISPOSITION, *(b"X-%d: y" % n for n in range(8)), content=b"x") + END,
    "long header": part(DISPOSITION, b"X: " + b"y" * 9000, content=b"x") + END,
    "long headers together": part(DISPOSITION, *(b"X-%d: " % n + b"y" * 2000 for n in range(5)), content=b"x") + END,
    "long header name": part(DISPOSITION, b"X" * 9000 + b": y", content=b"x") + END,
    "seventeen parts": b"".join(field_part(f"x{n}", "y") for n in range(17)) + END,
    "long unknown field": field_part("unknown", b"x" * 65_537) + END,
    "long epilogue": IMAGE + FILE + END + b"x" * 200_000,
    "boundary followed by text": IMAGE + FILE + b"--" + B + b"x\r\n",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("chunk", [65536, 11])
async def test_a_malformed_form_is_refused(tmp_path: Path, body: bytes, chunk: int) -> None:
    with pytest.raises(MalformedMultipart) as caught:
        await receive(body, tmp_path, chunk=chunk)
    assert str(caught.value).endswith(".")


FIELDS: dict[str, tuple[bytes, type[ServiceError], str]] = {
    "no file": (IMAGE + END, MissingField, "'file' is required"),
    "empty form": (END, MissingField, "'file' is required"),
    "no media_type": (FILE + END, MissingField, "'media_type' is required"),
    "empty file input": (IMAGE + file_part(b"", filename=b"") + END, MissingField, "'file' is required"),
    "file as text": (field_part("file", "data") + IMAGE + END, InvalidField, "'file' must be sent as a file"),
    "file under another name": (file_part(b"x", name=b"photo") + IMAGE + END, InvalidField, "'file' is the name"),
    "two files": (IMAGE + FILE + FILE + END, DuplicateField, "'file'"),
    "two media_types": (IMAGE + IMAGE + FILE + END, DuplicateField, "'media_type'"),
    "two metadata": (field_part("metadata", "{}") * 2 + END, DuplicateField, "'metadata'"),
    "unknown media_type": (field_part("media_type", "IMAGE") + FILE + END, InvalidField, "one of image, video, audio"),
    "empty media_type": (field_part("media_type", "") + FILE + END, InvalidField, "one of image"),
    "long media_type": (field_part("media_type", "x" * 1025) + END, InvalidField, "longer than 1024 bytes"),
    "long metadata": (field_part("metadata", "x" * 65_537) + END, InvalidField, "longer than 65536 bytes"),
    "Latin-1 metadata": (field_part("metadata", b'{"a": "\xe4"}') + END, InvalidField, "UTF-8"),
    "declared Latin-1 that is none": (
        field_part("metadata", b"\x81", headers=[b"Content-Type: text/plain; charset=shift_jis"]) + END,
        InvalidField,
        "not text in the charset",
    ),
    "declared UTF-7": (
        field_part("metadata", "{}", headers=[b'Content-Type: text/plain; charset="utf-7"']) + END,
        InvalidField,
        "UTF-8",
    ),
}


@pytest.mark.parametrize(("body", "error", "sentence"), FIELDS.values(), ids=FIELDS.keys())
async def test_a_wrong_field_is_named(tmp_path: Path, body: bytes, error: type[ServiceError], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        await receive(body, tmp_path)


LENIENT = {
    "unknown fields": field_part("_charset_", "utf-8") + field_part("uploaded_by", "me") + IMAGE + FILE,
    "a text field with a file name": file_part(b"image", name=b"media_type", filename=b"blob") + FILE,
    "blanks around media_type": field_part("media_type", " image\r\n") + FILE,
    "a line end before the first boundary": b"\r\n" + IMAGE + FILE,
    "blanks after a boundary": IMAGE + FILE.replace(b"\r\n", b" \t\r\n", 1),
    "plain transfer encoding": IMAGE + part(DISPOSITION, b"Content-Transfer-Encoding: binary", content=b"data"),
    "unquoted parameters": IMAGE + part(b"content-disposition:form-data;name=file;filename=a.jpg", content=b"data"),
    "unquoted with a blank": IMAGE + part(DISPOSITION.replace(b'"a.jpg"', b"a b.jpg"), content=b"data"),
}  # fmt: skip


@pytest.mark.parametrize("body", LENIENT.values(), ids=LENIENT.keys())
async def test_what_honest_clients_send_passes(tmp_path: Path, body: bytes) -> None:
    received = await receive(body + END, tmp_path)
    assert received.size_bytes == 4
    assert set(received.fields) == {"media_type"}
    assert "evil" not in received.filename


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n" * 5_000_000,
        b"\r\n" + b"x" * 10_000_000,
        b"--" + B + b" " * 10_000_000,
        IMAGE + FILE[:-2] + (b"\r\n--" + B + b"x") * 500_000,
        IMAGE + FILE + b"--" + B + b"\t" * 10_000_000,
        part(b'Content-Disposition: form-data; name="' + b"\\" * 8000, content=b"") + END,
        part(b"Content-Disposition: form-data" + b"; a" * 2600, content=b"") + END,
        part(b"Content-Disposition: form-data" + b" ;" * 4000, content=b"") + END,
    ],
    ids=[
        "line ends",
        "preamble",
        "padding",
        "false delimiters",
        "more padding",
        "backslashes",
        "flags",
        "semicolons",
    ],
)
async def test_a_body_made_to_cost_time_costs_none(tmp_path: Path, body: bytes) -> None:
    began_at = time.process_time()
    with pytest.raises(MalformedMultipart):
        await receive(body, tmp_path)
    assert time.process_time() - began_at < 1
