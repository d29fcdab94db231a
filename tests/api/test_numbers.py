"""A number in `metadata` is kept exactly or refused, and whatever was accepted once is served by every route."""

import asyncio
import json
import time
import uuid
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import text

from app.core.json_safety import RawJson, is_readable
from tests.fixtures.api import CONTENT, MEDIA, Api
from tests.fixtures.pictures import png

EXACT = [
    "99999999999999999999", "18446744073709551616", "-9223372036854775809", "1e25", "1E+25", "1.5e300", "5e-324",
    "0.1234567890123456789", "3.14159265358979323846264338327950288", "1.10", "9007199254740993", "123456789012345",
    "-0", "-0.0", "0e999999999999", "0.000000000000000000000000001", "1" * 309, "0." + "7" * 998, "1e308", "-1.5e-300",
]  # fmt: skip
REFUSED = [
    "9" * 309,
    "1e400",
    "-1e400",
    "1E-400",
    "1e999999999999",
    "1e-999999999999",
    "9" * 310,
    "9" * 60_000,
    "0." + "1" * 999,
]
NOT_JSON = ["NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "0x10", "1e", "--1", "1_000"]
AS_JSON = {"Content-Type": "application/json"}


def numbers_in(reply_text: str) -> list[Decimal]:
    """Every number of `metadata.n`, wherever it is in the answer."""
    found: list[Decimal] = []

    def noted(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found.extend(value for name, value in pairs if name == "n" and isinstance(value, Decimal))
        return dict(pairs)

    json.loads(reply_text, parse_int=Decimal, parse_float=Decimal, object_pairs_hook=noted)
    return found


async def every_answer(api: Api, media_id: str, content_id: str) -> list[httpx.Response]:
    paths = [
        f"{MEDIA}/{media_id}", f"{MEDIA}/", f"{MEDIA}/?page=1&unknown=1", f"{MEDIA}/?content_id={content_id}",
        f"{MEDIA}/content/{content_id}/media", f"{CONTENT}/{content_id}", f"{CONTENT}/",
    ]  # fmt: skip
    return [await api.client.get(path, headers=api.auth) for path in paths]


async def content_of(api: Api) -> str:
    created = await api.client.post(f"{CONTENT}/", json={"title": "T"}, headers=api.auth)
    return str(created.json()["id"])


async def test_numbers_come_back_exactly_by_every_route(api: Api) -> None:
    content_id = await content_of(api)
    everything = "[" + ",".join(f'{{"n":{number}}}' for number in EXACT) + "]"
    sent = [Decimal(number) for number in EXACT]
    key = {"Idempotency-Key": "n"}
    fields = {"metadata": f'{{"all": {everything}}}', "content_id": content_id}
    stored = await api.upload("a.png", png(5, 5), "image", fields, key)
    again = await api.upload("a.png", png(5, 5), "image", fields, key)
    media_id = stored.json()["id"]
    body = f'{{"metadata": {{"all": {everything}}}}}'
    for answer in [stored, again, *await every_answer(api, media_id, content_id)]:
        assert (answer.status_code, numbers_in(answer.text)) == (answer.status_code, sent), answer.text
    changed = await api.client.put(f"{MEDIA}/{media_id}", content=body, headers=api.auth | AS_JSON)
    renamed = await api.client.put(f"{CONTENT}/{content_id}", json={"title": "U"}, headers=api.auth)
    for answer in [changed, renamed, *await every_answer(api, media_id, content_id)]:
        assert (answer.status_code, numbers_in(answer.text)) == (200, sent), answer.text


@pytest.mark.parametrize("number", REFUSED, ids=lambda number: number[:20])
async def test_numbers_that_would_change_are_refused_alike_everywhere(api: Api, number: str) -> None:
    media_id = (await api.uploaded("a.png", png(5, 5), "image"))["id"]
    metadata = f'{{"deep": [{{"n": {number}}}]}}'
    refused = await api.upload("a.png", png(5, 5), "image", {"metadata": metadata})
    changed = await api.client.put(
        f"{MEDIA}/{media_id}", content=f'{{"metadata": {metadata}}}', headers=api.auth | AS_JSON
    )
    for reply in (refused, changed):
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid_number")
        assert reply.json()["detail"].startswith("'metadata' has a number beyond")
    assert await api.media_count() == 1


@pytest.mark.parametrize("number", NOT_JSON)
async def test_what_is_no_number_of_json_is_refused(api: Api, number: str) -> None:
    reply = await api.upload("a.png", png(5, 5), "image", {"metadata": f'{{"a": 1e400, "n": {number}}}'})
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_field")


async def test_a_short_exponent_does_not_become_a_long_answer(api: Api) -> None:
    many = ",".join(["1e300"] * 300)  # 1.8 KB, and 90 KB written out
    reply = await api.upload("a.png", png(5, 5), "image", {"metadata": f'{{"n": [{many}]}}'})
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_field")


async def test_the_other_rules_hold_beside_such_numbers(api: Api) -> None:
    for raw in ('{"n": 1e25, "a": "\\u0000"}', '{"n": 1e400, "a": "\\ud800"}', '{"n": 1e25, "a": "\\ud800"}',
                '{"a":' * 33 + "1e25" + "}" * 33, '{"a":' * 5000 + "1e400" + "}" * 5000):  # fmt: skip
        reply = await api.upload("a.png", png(5, 5), "image", {"metadata": raw})
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid_field"), raw[:40]
    body = await api.uploaded("a.png", png(5, 5), "image", metadata='{"n": 1e25, "n": 7}')
    assert body["metadata"] == {"n": 7}


async def test_a_number_in_a_field_that_is_ignored_is_ignored(api: Api) -> None:
    body = b'{"title": "T", "other": 1e400, "another": 99999999999999999999}'
    assert (await api.client.post(f"{CONTENT}/", content=body, headers=api.auth | AS_JSON)).status_code == 201
    wrong = await api.client.post(f"{CONTENT}/", content=b'{"title": 1e400}', headers=api.auth | AS_JSON)
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "title")


@pytest.mark.parametrize(
    ("by_hand", "shown"),
    [
        ('{"n": 1e5000}', {}),
        ('{"n": 0.' + "1" * 2000 + "}", {}),
        ('{"a":' * 2000 + "1" + "}" * 2000, {}),
        ("[1, 2]", {}),
        ('"text"', {}),
        ('{"n": 1e400}', {"n": 10**400}),
        ('{"text": "' + "1" * 5000 + '"}', {"text": "1" * 5000}),
    ],
    ids=["digits", "decimals", "deep", "list", "text", "beyond a double", "digits in text"],
)
async def test_a_row_written_by_hand_costs_no_page(
    api: Api, by_hand: str, shown: object, capsys: pytest.CaptureFixture[str]
) -> None:
    content_id = await content_of(api)
    media_id = str((await api.uploaded("a.png", png(5, 5), "image", content_id=content_id))["id"])
    await api.uploaded("b.png", png(5, 5), "image", content_id=content_id, metadata='{"mine": 1}')
    async with api.database.transaction() as session:
        await session.execute(
            text("UPDATE media SET metadata = CAST(:value AS jsonb) WHERE id = :id"),
            {"value": by_hand, "id": uuid.UUID(media_id)},
        )
    api.services.media._reads.many_changed()  # what the database tells a live service
    for answer in await every_answer(api, media_id, content_id):
        assert answer.status_code == 200
        document = answer.json()
        items = document if isinstance(document, list) else document.get("items", [document])
        media = [one for item in items for one in item.get("media", [item])]
        assert {"mine": 1} in [one["metadata"] for one in media] or len(media) == 1
        assert [one["metadata"] for one in media if one["id"] == media_id] == [shown]


LONG_BODIES = {
    "exponents": b",".join([b"1e5"] * 99_000),
    "long when written out": b",".join([b"1e300"] * 99_000),
    "integers": b",".join([b"1"] * 500_000),
    "an exponent and many integers": b"1e5" + b",1" * 99_000,
}


@pytest.mark.parametrize("values", LONG_BODIES.values(), ids=LONG_BODIES)
async def test_a_body_full_of_numbers_holds_nobody_else(api: Api, values: bytes) -> None:
    media_id = (await api.uploaded("a.png", png(5, 5), "image"))["id"]
    body = b'{"metadata": {"a": [' + values + b"]}}"
    waits_s = [0.0]

    async def wait_in_turn() -> None:
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(0.001)
            waits_s.append(time.monotonic() - before_s)

    waiting = asyncio.create_task(wait_in_turn())
    began_s = time.monotonic()
    reply = await api.client.put(f"{MEDIA}/{media_id}", content=body, headers=api.auth | AS_JSON)
    took_s = time.monotonic() - began_s
    waiting.cancel()
    assert reply.status_code == 400
    assert max(waits_s) < max(0.1, took_s / 2)


async def test_a_body_of_too_many_values_is_refused_and_a_text_of_commas_is_not(api: Api) -> None:
    many = b'{"title": "T", "other": [0' + b",0" * 100_000 + b"]}"
    reply = await api.client.post(f"{CONTENT}/", content=many, headers=api.auth | AS_JSON)
    assert (reply.status_code, reply.json()["detail"]) == (400, "The body has more than 100000 values.")
    commas = b'{"title": "T", "body": "' + b",," * 100_000 + b'"}'
    reply = await api.client.post(f"{CONTENT}/", content=commas, headers=api.auth | AS_JSON)
    assert (reply.status_code, len(reply.json()["body"])) == (201, 200_000)


@pytest.mark.parametrize(
    "text_of_digits",
    [("1" * 1000 + "a") * 65, "1" * 65_000, '\\"' * 10_000 + "1" * 3_000, ("1" * 1001 + "\\\\") * 60],
    ids=["almost too long", "one run", "behind quotes", "behind backslashes"],
)
def test_looking_for_long_numbers_takes_no_time(text_of_digits: str) -> None:
    row = RawJson('{"a": "' + text_of_digits + '", "b": [' + ",".join(["1"] * 30_000) + "]}")
    began_s = time.thread_time()
    assert all(is_readable(row) for _ in range(20))
    assert time.thread_time() - began_s < 0.1
    assert not is_readable(RawJson(row.text[:-1] + ', "c": ' + "1" * 1001 + "}"))


@pytest.mark.parametrize(
    "by_hand",
    ["mime_type = NULL", "mime_type = E'text/plain\\r\\nX: y'", "mime_type = 't\u00e9xt'",
     """properties = '{"charset": [1]}'""",
     "properties = CAST(repeat('{\"a\"\\:', 2000) || '1' || repeat('}', 2000) AS jsonb)"],
    ids=["no type", "type with a line end", "unknown type", "charset that is none", "deep properties"],
)  # fmt: skip
async def test_a_file_whose_row_was_written_by_hand_is_served(api: Api, by_hand: str) -> None:
    media = await api.uploaded("a.txt", b"some text", "document")
    async with api.database.transaction() as session:
        await session.execute(text(f"UPDATE media SET {by_hand} WHERE id = :id"), {"id": media["id"]})
    for address in (f"{MEDIA}/{media['id']}/download", str(media["url"]).removeprefix("http://media.test")):
        reply = await api.client.get(address)
        assert (reply.status_code, reply.content) == (200, b"some text")
        kind = reply.headers["content-type"]
        assert kind == ("application/octet-stream" if "mime_type" in by_hand else "text/plain")
        assert reply.headers["content-disposition"].startswith("attachment" if "mime_type" in by_hand else "")
