"""The list of routers of version 1, nothing else."""

from fastapi import APIRouter, Depends

from app.api.deps import limit_address, one_authorization
from app.api.head import answer_head
from app.api.v1.endpoints import content, files, media, waveforms

router = APIRouter(dependencies=[Depends(limit_address), Depends(one_authorization)])
# `files` first: its `/media/files/…` must not be taken for `/media/{media_id}`.
for part in (files.router, media.router, waveforms.router, content.router):
    answer_head(part)
    router.include_router(part)
