"""What an upload answers and leaves behind, through the public routes."""

import base64
import hashlib
import re
import uuid

import httpx
import pytest

from tests.fixtures.api import CONTENT, MEDIA, UPLOAD, Api, ApiFactory
from tests.fixtures.pictures import jpeg, png


async def test_an_image_upload_answers_201_with_everything_known_about_it(api: Api) -> None:
    data = jpeg(400, 300)
    reply = await api.upload("Mission Photo.JPG", data, "image", {"metadata": '{"place": "Uganda"}'})

    assert reply.status_code == 201
    body = reply.json()
    assert reply.headers["location"] == f"/api/v1/media/{body['id']}"
    assert set(body) == {
        "id", "content_id", "media_type", "filename", "url", "thumbnail_url", "poster_url", "file_size", "mime_type",
        "width", "height", "duration", "metadata", "properties", "checksum_sha256", "uploaded_by", "created_at",
        "updated_at",
    }  # fmt: skip
    assert body["filename"] == "Mission Photo.JPG"
    assert body["mime_type"] == "image/jpeg"
    assert (body["width"], body["height"], body["duration"]) == (400, 300, None)
    assert body["metadata"] == {"place": "Uganda"}
    assert body["uploaded_by"] == str(api.user_id)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", body["created_at"])
    assert re.fullmatch(
        r"http://media\.test/api/v1/media/files/\d{4}/\d\d/Mission_Photo_[0-9a-f]{12}\.jpg", body["url"]
    )


async def test_the_files_lie_in_the_year_month_tree_and_nowhere_else(api: Api) -> None:
    body = await api.uploaded("a.png", png(10, 10), "image")

    key = str(body["url"]).partition("/files/")[2]
    assert api.stored_files() == sorted([key, key.replace(".png", "_thumb.jpg")])
    assert api.staged_files() == []
    assert await api.journal_count() == 0


async def test_the_stored_file_has_the_size_and_checksum_that_the_answer_says(api: Api) -> None:
    body = await api.uploaded("a.png", png(10, 10), "image")

    stored = (await api.client.get(str(body["url"]))).content
    assert len(stored) == body["file_size"]
    assert hashlib.sha256(stored).hexdigest() == body["checksum_sha256"]


async def test_what_was_received_keeps_its_checksum_when_the_image_is_rewritten(api: Api) -> None:
    data = png(10, 10)
    body = await api.uploaded("a.png", data, "image")

    assert isinstance(body["properties"], dict)
    assert body["properties"]["received_sha256"] == hashlib.sha256(data).hexdigest()


async def test_a_document_comes_back_byte_for_byte(api: Api) -> None:
    data = "Grüße\n".encode()
    body = await api.uploaded("notes.txt", data, "document")

    reply = await api.client.get(f"{MEDIA}/{body['id']}/download")
    assert reply.content == data
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"


async def test_the_form_fields_may_come_before_or_after_the_file(api: Api) -> None:
    for order in (["media_type", "file"], ["file", "media_type"]):
        parts = {"media_type": (None, b"image"), "file": ("a.png", png(5, 5))}
        reply = await api.client.post(UPLOAD, files=[(name, parts[name]) for name in order], headers=api.auth)
        assert reply.status_code == 201, reply.text


async def test_an_upload_names_its_content(api: Api) -> None:
    content = (await api.client.post(f"{CONTENT}/", json={"title": "T"}, headers=api.auth)).json()

    by_field = await api.uploaded("a.png", png(5, 5), "image", content_id=content["id"])
    by_path = await api.upload("b.png", png(5, 5), "image", path=f"{MEDIA}/content/{content['id']}/upload")

    assert by_field["content_id"] == by_path.json()["content_id"] == content["id"]


async def test_the_content_in_the_path_wins_over_a_field(api: Api) -> None:
    content = (await api.client.post(f"{CONTENT}/", json={"title": "T"}, headers=api.auth)).json()
    reply = await api.upload(
        "b.png", png(5, 5), "image", {"content_id": str(uuid.uuid4())}, path=f"{MEDIA}/content/{content['id']}/upload"
    )
    assert reply.json()["content_id"] == content["id"]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"media_type": "picture"}, 400, "invalid_field"),
        ({"media_type": "image", "content_id": "not-a-uuid"}, 400, "invalid_field"),
        ({"media_type": "image", "content_id": str(uuid.uuid4())}, 404, "content_not_found"),
        ({"media_type": "image", "metadata": "{not json"}, 400, "invalid_field"),
        ({"media_type": "image", "metadata": "[1]"}, 400, "invalid_field"),
        ({"media_type": "image", "metadata": '{"a": NaN}'}, 400, "invalid_field"),
        ({"media_type": "image", "metadata": '{"a": "\\u0000"}'}, 400, "invalid_field"),
        ({"media_type": "image", "metadata": '{"a": "\\ud800"}'}, 400, "invalid_field"),
        ({"media_type": "image", "metadata": '{"a":' * 5000 + "1" + "}" * 5000}, 400, "invalid_field"),
        ({"media_type": "image", "checksum_sha256": "0" * 64}, 400, "checksum_mismatch"),
        ({"media_type": "image", "checksum_sha256": "xyz"}, 400, "invalid_field"),
        ({"media_type": "document"}, 400, "file_type_mismatch"),
    ],
)
async def test_a_bad_field_is_refused_and_leaves_nothing_behind(
    api: Api, fields: dict[str, str], status: int, code: str
) -> None:
    reply = await api.client.post(UPLOAD, files={"file": ("a.png", png(5, 5))}, data=fields, headers=api.auth)

    assert (reply.status_code, reply.json()["code"]) == (status, code)
    await api.assert_nothing_left()


async def test_without_a_token_there_is_nothing_to_upload(api: Api) -> None:
    reply = await api.client.post(UPLOAD, files={"file": ("a.png", png(5, 5))}, data={"media_type": "image"})

    assert reply.status_code == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")
    await api.assert_nothing_left()


async def test_fields_that_a_client_may_not_set_have_no_effect(api: Api) -> None:
    wanted = {"id": str(uuid.uuid4()), "uploaded_by": str(uuid.uuid4()), "url": "http://evil", "storage_path": "../x"}
    body = await api.uploaded("a.png", png(5, 5), "image", **wanted)

    assert body["uploaded_by"] == str(api.user_id)
    assert body["id"] != wanted["id"]
    assert str(body["url"]).startswith("http://media.test/api/v1/media/files/20")


async def test_the_limit_of_a_type_is_exact(make_api: ApiFactory) -> None:
    limit = 1000
    api = await make_api(MAX_DOCUMENT_SIZE=limit)

    assert (await api.upload("a.txt", b"x" * limit, "document")).status_code == 201
    over = await api.upload("b.txt", b"x" * (limit + 1), "document")

    assert (over.status_code, over.json()["code"]) == (400, "file_too_large")
    assert len(api.stored_files()) == 1


async def test_an_empty_file_is_refused(api: Api) -> None:
    reply = await api.upload("a.txt", b"", "document")

    assert (reply.status_code, reply.json()["code"]) == (400, "empty_file")
    await api.assert_nothing_left()


async def test_a_body_over_the_upload_limit_is_413(make_api: ApiFactory) -> None:
    api = await make_api(MAX_UPLOAD_SIZE=1000)
    reply = await api.upload("a.txt", b"x" * 2_000_000, "document")

    assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")
    await api.assert_nothing_left()


async def test_a_file_over_the_limit_of_its_type_alone_is_400(make_api: ApiFactory) -> None:
    small = dict.fromkeys(("MAX_IMAGE_SIZE", "MAX_VIDEO_SIZE", "MAX_AUDIO_SIZE", "MAX_DOCUMENT_SIZE"), 1000)
    api = await make_api(MAX_UPLOAD_SIZE=5_000_000, **small)
    reply = await api.upload("a.txt", b"x" * 4_000_000, "document")

    assert (reply.status_code, reply.json()["code"]) == (400, "file_too_large")
    await api.assert_nothing_left()


@pytest.mark.parametrize("algorithm", ["field", "part"])
async def test_a_true_checksum_is_accepted(api: Api, algorithm: str) -> None:
    data = png(5, 5)
    if algorithm == "field":
        reply = await api.upload("a.png", data, "image", {"checksum_sha256": hashlib.sha256(data).hexdigest()})
    else:
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        part = ("a.png", data, "image/png", {"Content-Digest": f"sha-256=:{digest}:"})
        reply = await api.client.post(UPLOAD, files={"file": part}, data={"media_type": "image"}, headers=api.auth)
    assert reply.status_code == 201, reply.text


async def test_a_wrong_digest_of_the_part_is_refused(api: Api) -> None:
    digest = base64.b64encode(bytes(32)).decode()
    part = ("a.png", png(5, 5), "image/png", {"Content-Digest": f"sha-256=:{digest}:"})
    reply = await api.client.post(UPLOAD, files={"file": part}, data={"media_type": "image"}, headers=api.auth)

    assert (reply.status_code, reply.json()["code"]) == (400, "checksum_mismatch")
    await api.assert_nothing_left()


class TestIdempotencyKey:
    async def test_the_same_upload_again_gets_the_first_answer(self, api: Api) -> None:
        data, headers = png(5, 5), {"Idempotency-Key": '"one"'}
        first = await api.upload("a.png", data, "image", headers=headers)
        again = await api.upload("a.png", data, "image", headers=headers)

        assert first.status_code == again.status_code == 201
        assert first.json() == again.json()
        assert again.headers["idempotent-replayed"] == "true"
        assert await api.media_count() == 1
        assert len(api.stored_files()) == 2

    async def test_other_bytes_under_the_same_key_are_refused(self, api: Api) -> None:
        headers = {"Idempotency-Key": "one"}
        await api.upload("a.png", png(5, 5), "image", headers=headers)
        other = await api.upload("a.png", png(6, 6), "image", headers=headers)

        assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
        assert await api.media_count() == 1

    async def test_keys_of_two_users_do_not_meet(self, api: Api) -> None:
        headers = {"Idempotency-Key": "one"}
        await api.upload("a.png", png(5, 5), "image", headers=headers)
        api.user_id = uuid.uuid4()
        await api.upload("a.png", png(5, 5), "image", headers=headers)

        assert await api.media_count() == 2

    @pytest.mark.parametrize("key", ["", "x" * 256, "a\x7fb"])
    async def test_a_key_that_is_none_is_400(self, api: Api, key: str) -> None:
        reply = await api.upload("a.png", png(5, 5), "image", headers={"Idempotency-Key": key})
        assert reply.status_code == 400


class TestLimitsPerUser:
    async def test_the_quota_of_files_is_exact(self, make_api: ApiFactory) -> None:
        api = await make_api(QUOTA_FILES=1)
        assert (await api.upload("a.txt", b"a", "document")).status_code == 201
        over = await api.upload("b.txt", b"b", "document")

        assert (over.status_code, over.json()["code"]) == (413, "quota_exceeded")
        assert len(api.stored_files()) == 1

    async def test_the_quota_of_bytes_is_exact_and_comes_back_with_a_delete(self, make_api: ApiFactory) -> None:
        api = await make_api(QUOTA_BYTES=10)
        first = await api.uploaded("a.txt", b"x" * 10, "document")
        assert (await api.upload("b.txt", b"y", "document")).json()["code"] == "quota_exceeded"

        await api.client.delete(f"{MEDIA}/{first['id']}", headers=api.auth)
        assert (await api.upload("b.txt", b"y" * 10, "document")).status_code == 201
        assert (await api.upload("c.txt", b"y" * 11, "document")).status_code == 413

    async def test_uploads_over_the_rate_wait(self, make_api: ApiFactory) -> None:
        api = await make_api(RATE_LIMIT_UPLOADS_PER_MINUTE=2)
        replies: list[httpx.Response] = [await api.upload("a.txt", b"a", "document") for _ in range(3)]

        assert [reply.status_code for reply in replies] == [201, 201, 429]
        assert 0 < int(replies[-1].headers["retry-after"]) <= 30

    async def test_requests_over_the_rate_of_an_address_wait(self, make_api: ApiFactory) -> None:
        api = await make_api(RATE_LIMIT_REQUESTS_PER_MINUTE=1)
        replies = [await api.client.get(f"{MEDIA}/{uuid.uuid4()}") for _ in range(2)]

        assert [reply.status_code for reply in replies] == [404, 429]
