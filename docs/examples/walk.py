"""Calls every route of the media API with httpx: TOKEN=$(make token) .venv/bin/python docs/examples/walk.py"""

import asyncio
import base64
import os

import httpx

BASE = os.environ.get("BASE_URL", "http://localhost:8002") + "/api/v1"
# The smallest PNG there is: one transparent pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def main() -> None:
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    async with httpx.AsyncClient(base_url=BASE, headers=headers) as client:
        content = (await client.post("/content/", json={"title": "Mission report"})).raise_for_status().json()
        print("content   ", content["id"])

        reply = await client.post(
            "/media/upload",
            files={"file": ("photo.png", PIXEL, "image/png")},
            data={"media_type": "image", "content_id": content["id"], "metadata": '{"photographer": "John Doe"}'},
        )
        media = reply.raise_for_status().json()
        print("uploaded  ", reply.status_code, reply.headers["Location"], media["url"])

        second = await client.post(
            f"/media/content/{content['id']}/upload",
            files={"file": ("notes.txt", b"hello\n")},
            data={"media_type": "document"},
        )
        notes = second.raise_for_status().json()

        print("metadata  ", (await client.get(f"/media/{media['id']}")).json()["width"], "pixel wide")
        download = await client.get(f"/media/{notes['id']}/download")
        print("download  ", download.headers["Content-Disposition"], download.content)
        part = await client.get(notes["url"], headers={"Range": "bytes=0-1"})
        print("range     ", part.status_code, part.headers["Content-Range"], part.content)
        of_content = (await client.get(f"/media/content/{content['id']}/media")).json()
        print("of content", [item["filename"] for item in of_content])
        detached = await client.delete(f"/content/{content['id']}/media/{of_content[0]['id']}")
        print("detached  ", detached.json()["message"])
        page = (await client.get("/media/", params={"media_type": "image", "page_size": 5})).json()
        print("listed    ", len(page["items"]), "of", page["total"])
        renamed = await client.put(f"/media/{media['id']}", json={"filename": "updated-name.png"})
        print("renamed   ", renamed.json()["filename"])
        for item in (media, notes):
            print("deleted   ", (await client.delete(f"/media/{item['id']}")).json()["message"])
        await client.delete(f"/content/{content['id']}")


asyncio.run(main())
