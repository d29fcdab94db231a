"""Tags in the code page of their country, and tags with several values, which come out alike in every format."""

import struct
import time
import zlib
from pathlib import Path

import pytest

from app.core.processing.av.matroska_tags import matroska_values
from app.core.processing.av.tag_charset import decoded
from tests.fixtures.av_files import with_atom, write_audio, write_video
from tests.fixtures.av_results import heard, seen
from tests.fixtures.ogg_files import pages, sealed
from tests.fixtures.tag_files import (
    id3v1,
    id3v2,
    latin,
    matroska_artists,
    mp4_artists,
    ogg_page,
    riff,
    vorbis_comments,
)

SONGS = [
    ("cp1252", "Don’t Stop – “Live”"),
    ("cp1252", "Mötley Crüe"),
    ("cp1252", "Ágætis byrjun"),
    ("cp1252", "À la claire fontaine"),
    ("cp1252", "Canción del mariachi"),
    ("cp1252", "Où es-tu, mon cœur?"),
    ("cp1250", "Příliš žluťoučký kůň"),
    ("cp1250", "Płoną góry, płoną lasy"),
    ("cp1250", "Leoš Janáček"),
    ("cp1250", "Őszi éjjel"),
    ("cp1251", "Группа крови"),
    ("cp1251", "ДДТ"),
    ("cp1251", "Океан Ельзи – Обійми"),
    ("cp1253", "Τα παιδιά του Πειραιά"),
    ("cp932", "上を向いて歩こう"),
    ("cp932", "東京事変"),
    ("cp932", "残酷な天使のテーゼ"),
    ("euc_jp", "宇多田ヒカル"),
    ("gbk", "月亮代表我的心"),
    ("gbk", "周杰伦 - 青花瓷"),
    ("big5", "月亮代表我的心"),
    ("big5", "鄧麗君"),
    ("cp949", "강남스타일"),
    ("cp949", "조용필 - 돌아와요 부산항에"),
    ("utf-8", "Ça va – Привет – 漢字"),
]


def _mp3(tmp_path: Path, *, before: bytes = b"", behind: bytes = b"") -> Path:
    path = write_audio(
        tmp_path / "a", container="mp3", codec="libmp3lame", seconds=0.3, muxer_options={"id3v2_version": "0"}
    )
    path.write_bytes(before + path.read_bytes() + behind)
    return path


@pytest.mark.parametrize(("charset", "title"), SONGS)
def test_a_title_in_the_code_page_of_its_country_is_read(tmp_path: Path, charset: str, title: str) -> None:
    raw = title.encode(charset)
    path = _mp3(tmp_path, before=id3v2(3, ("TIT2", latin(raw)), ("TPE1", latin(b"Artist"))))
    facts = heard(path).properties
    assert (facts["title"], facts["artist"]) == (title, "Artist")


@pytest.mark.parametrize("charset_and_title", [SONGS[0], SONGS[10], SONGS[15], SONGS[22]])
def test_every_old_tag_is_repaired_alike(tmp_path: Path, charset_and_title: tuple[str, str]) -> None:
    charset, title = charset_and_title
    raw = title.encode(charset)
    wav = write_audio(tmp_path / "w", container="wav", codec="pcm_s16le", seconds=0.3).read_bytes()
    info = b"INFOINAM" + struct.pack("<I", len(raw)) + raw + bytes(len(raw) % 2)
    for data, mime_type in (
        (_mp3(tmp_path, behind=id3v1(raw, b"Artist")).read_bytes(), "audio/mpeg"),
        (_mp3(tmp_path, before=id3v2(2, ("TT2", latin(raw)))).read_bytes(), "audio/mpeg"),
        (_mp3(tmp_path, before=id3v2(4, ("TIT2", latin(raw)))).read_bytes(), "audio/mpeg"),
        (riff(wav, b"id3 ", id3v2(3, ("TIT2", latin(raw)))), "audio/wav"),
        (riff(wav, b"LIST", info), "audio/wav"),
    ):
        path = tmp_path / "b"
        path.write_bytes(data)
        assert heard(path, mime_type).properties["title"] == title


def test_the_tags_of_a_file_are_judged_together() -> None:
    # The second alone would be read as Western.
    assert decoded(["Группа крови".encode("cp1251"), "Я".encode("cp1251"), b"Live"]) == ["Группа крови", "Я", "Live"]


def test_a_letter_that_the_end_of_an_old_tag_cuts_is_left_out(tmp_path: Path) -> None:
    raw = "夜のピアノ、夜の歌、朝の光と風の".encode("cp932")
    path = _mp3(tmp_path, behind=id3v1(b"x" + raw, b"y" + raw))
    facts = heard(path).properties
    assert (facts["title"], facts["artist"]) == ("x夜のピアノ、夜の歌、朝の光と", "y夜のピアノ、夜の歌、朝の光と")


def test_unicode_is_never_taken_for_a_code_page(tmp_path: Path) -> None:
    for number, content in enumerate((b"\x01" + "Ïðèâåò".encode("utf-16"), b"\x03" + "Ïðèâåò".encode())):
        path = _mp3(tmp_path, before=id3v2(4 - number, ("TIT2", content)))
        assert heard(path).properties["title"] == "Ïðèâåò"


@pytest.mark.parametrize(
    "tag",
    [
        id3v2(4, ("TPE1", b"\x03Simon\x00Garfunkel")),
        id3v2(4, ("TPE1", b"\x03Simon\x00Garfunkel\x00")),
        id3v2(4, ("TPE1", b"\x03Simon"), ("TPE1", b"\x03Garfunkel")),
        id3v2(4, ("TPE1", b"\x01" + "Simon\x00Garfunkel".encode("utf-16"))),
        id3v2(4, ("TPE1", b"\x02" + "Simon\x00Garfunkel".encode("utf-16-be"))),
        id3v2(3, ("TPE1", latin(b"Simon/Garfunkel"))),
        id3v2(3, ("TPE1", b"\x01" + "Simon / Garfunkel".encode("utf-16"))),
        id3v2(3, ("TPE1", latin(b"Simon", b"Garfunkel"))),
        id3v2(2, ("TP1", latin(b"Simon/Garfunkel"))),
        id3v2(3, ("TPE1", struct.pack(">I", 16) + zlib.compress(latin(b"Simon/Garfunkel"))), frame_flags=0x80),
        id3v2(4, ("TPE1", b"\x00\x00\x00\x10" + b"\x03Simon\x00Garfunkel"), frame_flags=0x01),
        id3v2(3, ("TPE1", b"\x01\xff\x00\xfe" + "Simon/Garfunkel".encode("utf-16-le")), flags=0x80),
    ],
)
def test_several_artists_of_an_mp3(tmp_path: Path, tag: bytes) -> None:
    assert heard(_mp3(tmp_path, before=tag)).properties["artist"] == "Simon; Garfunkel"


@pytest.mark.parametrize("name", ["AC/DC", "K/DA", "22/7", "Smith/Kotzen", "Simon & Garfunkel", "/", "a/"])
def test_a_name_with_a_slash_is_one_artist(tmp_path: Path, name: str) -> None:
    assert heard(_mp3(tmp_path, before=id3v2(3, ("TPE1", latin(name.encode()))))).properties["artist"] == name


def test_a_slash_parts_nothing_in_the_version_that_has_a_better_sign(tmp_path: Path) -> None:
    tag = id3v2(4, ("TPE1", b"\x03Earth/Wind"), ("TIT2", b"\x03One/Two"))
    facts = heard(_mp3(tmp_path, before=tag)).properties
    assert (facts["artist"], facts["title"]) == ("Earth/Wind", "One/Two")


@pytest.mark.parametrize("in_one_box", [True, False])
def test_several_artists_of_an_mp4(tmp_path: Path, in_one_box: bool) -> None:
    path = write_audio(tmp_path / "a", container="ipod", codec="aac", seconds=0.3, tags={"artist": "Simon"})
    boxes = mp4_artists("Simon", "Garfunkel", in_one_box=in_one_box)
    path.write_bytes(
        with_atom(
            path.read_bytes(), "moov/udta/meta", lambda body: body[:4] + with_atom(body[4:], "ilst", lambda _: boxes)
        )
    )
    assert heard(path, "audio/mp4").properties["artist"] == "Simon; Garfunkel"


def test_several_artists_of_a_webm(tmp_path: Path) -> None:
    path = write_audio(
        tmp_path / "a", container="webm", codec="libopus", rate=48_000, seconds=0.3, tags={"artist": "Simon" * 40}
    )
    path.write_bytes(_with_tags(path.read_bytes(), matroska_artists("Simon", "Garfunkel")))
    assert heard(path, "audio/webm").properties["artist"] == "Simon; Garfunkel"


def _with_tags(data: bytes, tags: bytes) -> bytes:
    """The WebM with other tags in the place of its own, which must be longer; a void element fills the rest."""
    at = data.rindex(b"\x12\x54\xc3\x67")
    size_bytes = 9 - data[at + 4].bit_length()
    size = int.from_bytes(data[at + 4 : at + 4 + size_bytes]) & (1 << 7 * size_bytes) - 1
    end = at + 4 + size_bytes + size
    void = end - at - len(tags) - 9
    assert void >= 0
    return data[:at] + tags + b"\xec" + struct.pack(">Q", void | 1 << 56) + bytes(void) + data[end:]


def test_several_artists_of_an_ogg(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a", container="ogg", codec="libopus", rate=48_000, seconds=0.3)
    first, _, *sound = pages(path.read_bytes())
    comments = vorbis_comments("ARTIST=Simon", "TITLE=One;Two", "artist=Garfunkel", "ARTIST=Simon")
    page = sealed(ogg_page(struct.unpack_from("<I", first, 14)[0], 1, [comments]))
    path.write_bytes(b"".join([first, page, *sound]))
    facts = heard(path, "audio/ogg").properties
    assert (facts["artist"], facts["title"]) == ("Simon; Garfunkel", "One;Two")


def test_a_film_has_several_artists_as_well(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v", frames=5, tags={"artist": "Simon"})
    boxes = mp4_artists("Simon", "Garfunkel", in_one_box=True)
    path.write_bytes(
        with_atom(
            path.read_bytes(), "moov/udta/meta", lambda body: body[:4] + with_atom(body[4:], "ilst", lambda _: boxes)
        )
    )
    assert seen(path).properties["artist"] == "Simon; Garfunkel"


@pytest.mark.parametrize("cut", [11, 15, 20, 25])
@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_damaged_tag_costs_only_the_tag(tmp_path: Path, cut: int, version: int) -> None:
    name = "TT2" if version == 2 else "TIT2"
    tag = bytearray(id3v2(version, (name, latin(b"A title that is cut"))))
    tag[cut:] = b"\xff" * (len(tag) - cut)
    assert heard(_mp3(tmp_path, before=bytes(tag))).duration_s == pytest.approx(0.3, abs=0.06)


def test_a_tag_that_unpacks_to_gigabytes_is_read_up_to_its_limit(tmp_path: Path) -> None:
    packed = struct.pack(">I", 65_536) + zlib.compress(bytes(65_536))
    bomb = id3v2(3, ("TIT2", latin(b"First")), *[("TPE1", packed)] * 10_000, frame_flags=0x80)
    began = time.process_time()
    heard(_mp3(tmp_path, before=bomb))
    assert time.process_time() - began < 5


def test_a_flood_of_tags_is_read_up_to_its_limit(tmp_path: Path) -> None:
    simple = b"\x67\xc8\x8e\x45\xa3\x86ARTIST\x44\x87\x82ab"
    tag = b"\x73\x73" + (len(simple) | 1 << 28).to_bytes(4) + simple
    tags = b"\x12\x54\xc3\x67" + (len(tag) * 40_000 | 1 << 28).to_bytes(4) + tag * 40_000
    path = tmp_path / "flood"
    path.write_bytes(b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" + tags * 2)
    assert 0 < sum(len(found.get("artist", [])) for found in matroska_values(path)) < 50_000
