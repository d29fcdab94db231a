"""The media API as the FastAPI, Pillow and SQLAlchemy tutorials together teach it: the baseline we compare with.

UploadFile copied to its place with aiofiles, Pillow in a thread pool function called from the handler, the ORM for
every row, pydantic on the way out, FileResponse, `page` by OFFSET beside `count(*)`. It checks nothing but the
declared type, keeps no journal, makes no hash and never calls fsync: less work than ours, on purpose.

Reads TEXTBOOK_DATABASE_URL (`postgresql+asyncpg://…`) and TEXTBOOK_DIR from the environment.
"""

import os
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import aiofiles
from fastapi import Depends, FastAPI, Form, HTTPException, UploadFile
from fastapi.responses import FileResponse
from fastapi.security import OAuth2PasswordBearer
from jose import JWTError, jwt
from PIL import Image, ImageOps
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from starlette.concurrency import run_in_threadpool

from benchmarks.textbook.models import Media

CHUNK_BYTES = 1024 * 1024
MAX_SIDE_PX = 2048
THUMBNAIL_PX = 300

uploads = Path(os.environ["TEXTBOOK_DIR"])
secret = os.environ["TEXTBOOK_SECRET"]
engine = create_async_engine(os.environ["TEXTBOOK_DATABASE_URL"], pool_size=10)
new_session = async_sessionmaker(engine, expire_on_commit=False)
oauth2 = OAuth2PasswordBearer(tokenUrl="token")
app = FastAPI(title="Textbook media API")


class MediaOut(BaseModel):
    """What a client sees of a media."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    content_id: uuid.UUID | None
    media_type: str
    filename: str
    url: str
    thumbnail_path: str | None
    file_size: int | None
    mime_type: str | None
    width: int | None
    height: int | None
    user_metadata: dict[str, object]
    uploaded_by: uuid.UUID
    created_at: datetime
    updated_at: datetime


class MediaPage(BaseModel):
    """One page of the list."""

    items: list[MediaOut]
    total: int
    page: int
    page_size: int


async def get_session() -> AsyncIterator[AsyncSession]:
    """A session per request, as the tutorials do it."""
    async with new_session() as session:
        yield session


def get_user(token: Annotated[str, Depends(oauth2)]) -> uuid.UUID:
    """The user of the bearer token."""
    try:
        return uuid.UUID(jwt.decode(token, secret, algorithms=["HS256"])["sub"])
    except (JWTError, KeyError, ValueError) as exc:
        raise HTTPException(401, "Could not validate credentials") from exc


Session = Annotated[AsyncSession, Depends(get_session)]
User = Annotated[uuid.UUID, Depends(get_user)]


@app.post("/media/upload", status_code=201)
async def upload(file: UploadFile, media_type: Annotated[str, Form()], session: Session, user: User) -> MediaOut:
    """Copy the upload to its place, make the pictures, insert the row."""
    if not (file.content_type or "").startswith(f"{media_type}/"):
        raise HTTPException(400, "Invalid file type")
    name = Path(file.filename or "file").name
    path = uploads / f"{uuid.uuid4().hex}{Path(name).suffix}"
    async with aiofiles.open(path, "wb") as target:
        while chunk := await file.read(CHUNK_BYTES):
            await target.write(chunk)
    width = height = thumbnail = None
    if media_type == "image":
        width, height = await run_in_threadpool(fit, path)
        thumbnail = await run_in_threadpool(make_thumbnail, path)
    media = Media(
        media_type=media_type,
        filename=name,
        url=f"/uploads/{path.name}",
        storage_path=str(path),
        thumbnail_path=thumbnail,
        file_size=path.stat().st_size,
        mime_type=file.content_type,
        width=width,
        height=height,
        uploaded_by=user,
    )
    session.add(media)
    await session.commit()
    await session.refresh(media)
    return MediaOut.model_validate(media)


@app.get("/media/{media_id}")
async def get_media(media_id: uuid.UUID, session: Session) -> MediaOut:
    """One media."""
    media = await session.get(Media, media_id)
    if media is None:
        raise HTTPException(404, "Media not found")
    return MediaOut.model_validate(media)


@app.get("/media/{media_id}/download")
async def download(media_id: uuid.UUID, session: Session) -> FileResponse:
    """The file of a media."""
    media = await session.get(Media, media_id)
    if media is None or media.storage_path is None:
        raise HTTPException(404, "Media not found")
    return FileResponse(media.storage_path, media_type=media.mime_type, filename=media.filename)


@app.get("/media/")
async def list_media(session: Session, _: User, page: int = 1, page_size: int = 20) -> MediaPage:
    """One page, newest first, and how many there are."""
    total = (await session.execute(select(func.count()).select_from(Media))).scalar_one()
    query = select(Media).order_by(Media.created_at.desc()).offset((page - 1) * page_size).limit(page_size)
    items = (await session.execute(query)).scalars().all()
    return MediaPage(
        items=[MediaOut.model_validate(media) for media in items], total=total, page=page, page_size=page_size
    )


def fit(path: Path) -> tuple[int, int]:
    """Turn upright and shrink into 2048 px in place; returns the size in pixels."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    image.save(path, "JPEG", quality=85, optimize=True)
    return image.size


def make_thumbnail(path: Path) -> str:
    """A picture of at most 300 px beside the file; returns its path."""
    target = path.with_name(f"{path.stem}_thumb.jpg")
    with Image.open(path) as image:
        image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
        image.convert("RGB").save(target, "JPEG", quality=85)
    return str(target)
