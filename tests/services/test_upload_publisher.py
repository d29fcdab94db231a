"""Publishing never costs an acknowledged file, whatever the random ids do, and what fails leaves nothing."""

import uuid
from pathlib import Path

import pytest

from app.core.database import Database
from app.core.errors import QuotaExceeded, StorageUnavailable
from app.core.json_safety import RawJson
from app.core.staging import Staging
from app.core.storage import StorageManager
from app.core.storage_backends.local import LocalBackend
from app.models import Media, StorageJournal
from app.repositories.upload_ledger import RecordRefused
from app.services.in_flight import InFlight
from app.services.upload_draft import Draft
from app.services.upload_publisher import UploadPublisher
from tests.fixtures.settings import SettingsFactory
from tests.reliability.evidence import Inspector

KEY = "2026/11/a_000000000001.txt"
OTHER_KEY = "2026/11/b_000000000002.txt"


@pytest.fixture
async def storage(tmp_path: Path) -> StorageManager:
    root = tmp_path / "uploads"
    storage = StorageManager(backend=LocalBackend(root), staging=Staging(root), public_url="http://media.test")
    storage.open()
    return storage


@pytest.fixture
def inspector(clean_database: Database, tmp_path: Path, storage: StorageManager) -> Inspector:
    return Inspector(clean_database, tmp_path / "uploads")


@pytest.fixture
def publisher(settings_of: SettingsFactory, clean_database: Database, storage: StorageManager) -> UploadPublisher:
    return publisher_of(settings_of, clean_database, storage)


def publisher_of(
    settings_of: SettingsFactory, database: Database, storage: StorageManager, **overrides: object
) -> UploadPublisher:
    return UploadPublisher(
        settings=settings_of(**overrides),
        database=database,
        storage=storage,
        in_flight=InFlight(),
        nudge_sweep=lambda: None,
    )


def draft_of(tmp_path: Path, *keys: str, data: bytes = b"bytes", content_id: uuid.UUID | None = None) -> Draft:
    files = []
    for key in keys:
        staged = tmp_path / uuid.uuid4().hex
        staged.write_bytes(data)
        files.append((staged, key))
    media = Media(
        id=uuid.uuid4(),
        content_id=content_id,
        media_type="document",
        filename="a.txt",
        url=f"/api/v1/media/files/{keys[0]}",
        storage_path=keys[0],
        thumbnail_path=keys[1] if len(keys) > 1 else None,
        file_size=len(data),
        user_metadata=RawJson("{}"),
        properties=RawJson("{}"),
        checksum_sha256="0" * 64,
        uploaded_by=uuid.UUID(int=7),
    )
    return Draft(files=files, media=media, waveform=None, text=None, idempotency=None)


async def test_what_is_published_is_there(publisher: UploadPublisher, inspector: Inspector, tmp_path: Path) -> None:
    await publisher.publish(draft_of(tmp_path, KEY, OTHER_KEY))
    assert (await inspector.settled(within_s=0)).files == {KEY, OTHER_KEY}


async def test_a_key_that_another_media_has_costs_that_media_nothing(
    publisher: UploadPublisher, inspector: Inspector, tmp_path: Path
) -> None:
    await publisher.publish(draft_of(tmp_path, KEY, data=b"first"))
    for draft in (draft_of(tmp_path, KEY), draft_of(tmp_path, OTHER_KEY, KEY)):
        with pytest.raises(StorageUnavailable):
            await publisher.publish(draft)
        assert (await inspector.settled(within_s=0)).files == {KEY}
        assert (tmp_path / "uploads" / KEY).read_bytes() == b"first"


async def test_a_key_that_another_upload_is_using_costs_that_upload_nothing(
    publisher: UploadPublisher, inspector: Inspector, clean_database: Database, tmp_path: Path
) -> None:
    async with clean_database.transaction() as session:
        session.add(StorageJournal(key=KEY, owner="another process"))
    with pytest.raises(StorageUnavailable):
        await publisher.publish(draft_of(tmp_path, KEY))
    assert (await inspector.look()).journal == {KEY}


async def test_a_second_file_that_cannot_be_placed_takes_the_first_along(
    publisher: UploadPublisher, inspector: Inspector, tmp_path: Path
) -> None:
    draft = draft_of(tmp_path, KEY, OTHER_KEY)
    draft.files[1][0].unlink()
    with pytest.raises(StorageUnavailable):
        await publisher.publish(draft)
    assert (await inspector.settled(within_s=0)).files == set()


async def test_a_content_that_is_gone_takes_the_files_along(
    publisher: UploadPublisher, inspector: Inspector, tmp_path: Path
) -> None:
    with pytest.raises(RecordRefused):
        await publisher.publish(draft_of(tmp_path, KEY, content_id=uuid.uuid4()))
    assert (await inspector.settled(within_s=0)).files == set()


async def test_a_quota_that_is_reached_meanwhile_takes_the_files_along(
    settings_of: SettingsFactory,
    clean_database: Database,
    storage: StorageManager,
    inspector: Inspector,
    tmp_path: Path,
) -> None:
    publisher = publisher_of(settings_of, clean_database, storage, QUOTA_FILES=1)
    await publisher.publish(draft_of(tmp_path, KEY))
    with pytest.raises(QuotaExceeded):
        await publisher.publish(draft_of(tmp_path, OTHER_KEY))
    assert (await inspector.settled(within_s=0)).files == {KEY}
