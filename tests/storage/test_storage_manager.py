"""StorageManager: keys look like the founding document's, and nothing else is ever taken for one."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.core.errors import StoredFileNotFound
from app.core.staging import Staging
from app.core.storage import StorageManager, sanitise_name
from app.core.storage_backends.local import LocalBackend

AT = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)


@pytest.fixture
def storage(tmp_path: Path) -> StorageManager:
    return StorageManager(
        backend=LocalBackend(tmp_path), staging=Staging(tmp_path), public_url="https://media.example.org"
    )


def test_a_key_is_year_month_name_id_and_extension(storage: StorageManager) -> None:
    key = storage.new_key("Mission photo.JPEG", extension="jpg", at=AT)
    assert re.fullmatch(r"2026/03/Mission_photo_[0-9a-f]{12}\.jpg", key)
    assert storage.checked_key(key) == key


def test_two_keys_of_one_name_differ(storage: StorageManager) -> None:
    assert len({storage.new_key("a.jpg", extension="jpg", at=AT) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("photo.jpg", "photo"),
        ("x" * 300 + ".jpg", "x" * 50),
        ("../../etc/passwd.txt", "etc_passwd"),
        ("..", "file"),
        ("", "file"),
        (".htaccess", "htaccess"),
        ("-rf.txt", "rf"),
        ("Zürich — Übersicht.png", "Zurich_Ubersicht"),
        ("фото.jpg", "file"),
        ("a\x00b\r\nc.txt", "a_b_c"),
        ("a.tar.gz", "a_tar"),
        ("no_extension", "no_extension"),
        ("a b  c.txt", "a_b_c"),
        ("%2e%2e%2f.txt", "2e_2e_2f"),
    ],
)
def test_a_name_gives_a_key_its_looks_only(storage: StorageManager, filename: str, name: str) -> None:
    assert sanitise_name(filename) == name
    storage.checked_key(storage.new_key(filename, extension="bin", at=AT))


def test_renditions_lie_beside_their_file(storage: StorageManager) -> None:
    key = "2026/03/photo_a1b2c3d4e5f6.png"
    thumbnail = storage.rendition_key(key, kind="thumb", extension="jpg")
    assert thumbnail == "2026/03/photo_a1b2c3d4e5f6_thumb.jpg"
    assert storage.checked_key(thumbnail) == thumbnail


def test_urls_are_public_and_paths_are_not_bound_to_a_host(storage: StorageManager) -> None:
    key = "2026/03/photo_a1b2c3d4e5f6.png"
    assert storage.path_of(key) == f"/api/v1/media/files/{key}"
    assert storage.url_of(key) == f"https://media.example.org/api/v1/media/files/{key}"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "/etc/passwd",
        "../2026/03/a_1.jpg",
        "2026/03/../../etc/passwd",
        "2026/03/..%2f..%2fpasswd.txt",
        "2026/03/.hidden.jpg",
        "2026/03/a_1.jpg\n",
        "2026/03/a_1.jpg\x00",
        "2026\\03\\a_1.jpg",
        "2026/3/a_1.jpg",
        "2026/03/a_1",
        "2026/03/sub/a_1.jpg",
        "2026/03/a 1.jpg",
        "2026/03/é_1.jpg",
        "٢٠٢٦/٠٣/a_1.jpg",
        "2026/03/a_1.JPG",
        "2026/03/" + "a" * 101 + ".jpg",
        ".staging/" + "a" * 32 + "/incoming",
        "lost+found/a.jpg",
    ],
)
def test_what_is_no_key_of_ours_is_not_found(storage: StorageManager, raw: str) -> None:
    with pytest.raises(StoredFileNotFound):
        storage.checked_key(raw)
