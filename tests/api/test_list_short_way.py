"""Lists answer the same on the short way past FastAPI as on the declared route, which takes every other spelling."""

import uuid

import pytest

from tests.fixtures.api import MEDIA, Api
from tests.fixtures.pictures import png


@pytest.mark.parametrize(
    "query",
    [
        "page=1", "page=2&page_size=1", "page_size=100", "media_type=image", "media_type=video", "count=none",
        "count=exact&page_size=2", f"uploaded_by={uuid.UUID(int=7)}", f"content_id={uuid.UUID(int=7)}", "page=1&page=2",
        "page_size=1&cursor=AAZE9yYg8gAAAAAAAAAAAAAAAAAAAAAA", "media_type=image&page_size=2&page=1&count=estimated",
    ],
)  # fmt: skip
async def test_both_ways_give_the_same_answer(api: Api, query: str) -> None:
    for number in range(3):
        await api.uploaded(f"{number}.png", png(5, 5), "image")
    short = await api.client.get(f"{MEDIA}/?{query}", headers=api.auth)
    declared = await api.client.get(f"{MEDIA}/?{query}&unknown=1", headers=api.auth)

    assert (short.status_code, short.json()) == (200, declared.json())


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer x", "Basic eDp5"])
async def test_both_ways_ask_for_a_token(api: Api, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    short = await api.client.get(f"{MEDIA}/?page=1", headers=headers)
    declared = await api.client.get(f"{MEDIA}/?page=1&unknown=1", headers=headers)

    assert (short.status_code, short.json()) == (declared.status_code, declared.json())
    assert short.status_code == 401
    assert short.headers["www-authenticate"] == declared.headers["www-authenticate"]
