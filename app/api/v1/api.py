"""The list of routers of version 1, nothing else."""

from fastapi import APIRouter, Depends

from app.api.deps import limit_address
from app.api.v1.endpoints import content, files, media, waveforms

router = APIRouter(dependencies=[Depends(limit_address)])
# `files` first: its `/media/files/…` must not be taken for `/media/{media_id}`.
router.include_router(files.router)
router.include_router(media.router)
router.include_router(waveforms.router)
router.include_router(content.router)
