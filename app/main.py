"""The composition root: builds every part from the settings, in order, and closes them in reverse."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI

from app.api import health
from app.api.deps import Services
from app.api.docs_pages import add_docs_pages
from app.api.errors import add_error_handlers
from app.api.hot_routes import add_hot_routes
from app.api.middleware import add_middleware
from app.api.openapi_document import TAGS, use_own_document
from app.api.paths import refuse_line_feeds
from app.api.presenters import media_json
from app.api.tracing import tracing
from app.api.v1.api import router
from app.core.config import ConfigurationError, Settings, load_settings
from app.core.database import Database
from app.core.directories import require_directory, unusable
from app.core.errors import ServiceError
from app.core.machine_slots import MachineSlots
from app.core.malware_scan import create_scanner
from app.core.processing.sandbox import Sandbox
from app.core.rate_limit import RateLimiter
from app.core.read_cache import ChangeMarks
from app.core.sandbox_strength import hold_sandbox
from app.core.security import create_verifier
from app.core.staging import Staging
from app.core.storage import StorageManager
from app.core.storage_backends.local import LocalBackend
from app.repositories.media_list_reader import MediaListReader
from app.repositories.media_reader import MediaReader
from app.services.content_service import ContentService
from app.services.delete_saga import DeleteSaga
from app.services.in_flight import InFlight
from app.services.leftovers import close_storage
from app.services.measurements import Measurements
from app.services.media_lists import MediaLists
from app.services.media_service import MediaService
from app.services.public_reads import CHANGE_CHANNEL, PublicReads
from app.services.sweeper import Sweeper
from app.services.upload_saga import UploadSaga

API_PREFIX = "/api/v1"
IO_THREADS = 32
"""Threads for file I/O; fsync keeps one busy for as long as the disk takes, and uploads do not wait for each other."""

_DESCRIPTION = """\
Upload images, videos, audio and documents; they are checked for what they really are, processed, stored safely and
handed out fast. Press **Authorize** and paste a token (locally: `make token`), then try *Upload a file*.

Wherever `GET` is answered, so is `HEAD`: the same headers without the body.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The whole application; without `settings` they come from the environment. Raises ConfigurationError."""
    settings = settings or load_settings()
    app = FastAPI(
        title="Content Service: Media API",
        version="1.0.0",
        description=_DESCRIPTION,
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
        telemetry=tracing(),
    )
    app.state.settings = settings
    app.state.api_prefix = API_PREFIX
    app.include_router(router, prefix=API_PREFIX)
    app.include_router(health.router)
    use_own_document(app)
    add_docs_pages(app)
    refuse_line_feeds(app)
    add_hot_routes(app, prefix=API_PREFIX)
    add_error_handlers(app)
    add_middleware(app, cors_origins=settings.CORS_ORIGINS)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = app.state.settings
    assert isinstance(settings, Settings)
    async with AsyncExitStack() as stack:
        app.state.services = await _build(settings, stack)
        yield


async def _build(settings: Settings, stack: AsyncExitStack) -> Services:
    """Every part of a running service; `stack` closes them, the last one first."""
    if settings.DATABASE_URL is None:
        raise ConfigurationError("DATABASE_URL is not set; `python -m app serve` brings its own PostgreSQL")
    for setting in ("UPLOAD_DIR", "DATA_DIR"):
        require_directory(setting, getattr(settings, setting).resolve())
    executor = ThreadPoolExecutor(IO_THREADS, thread_name_prefix="io")
    asyncio.get_running_loop().set_default_executor(executor)

    database = Database(settings.DATABASE_URL.get_secret_value(), settings, is_measured=True)
    stack.push_async_callback(database.close)
    await database.wait_until_ready(settings.DATABASE_STARTUP_TIMEOUT_S)

    storage = StorageManager(
        backend=LocalBackend(settings.UPLOAD_DIR),
        staging=Staging(settings.UPLOAD_DIR.resolve()),
        public_url=settings.public_url,
    )
    try:
        storage.open()
    except ServiceError as exc:
        raise unusable("UPLOAD_DIR", settings.UPLOAD_DIR.resolve(), exc.__cause__ or exc) from exc
    stack.push_async_callback(close_storage, database, storage)

    verifier = create_verifier(settings)
    stack.push_async_callback(verifier.aclose)

    slots = MachineSlots(settings.DATA_DIR / "slots", settings.PROCESSING_WORKERS)
    sandbox = await stack.enter_async_context(
        create_sandbox(settings, boxes_dir=storage.staging.boxes_dir, hold_boxes_dir=storage.staging.hold, slots=slots)
    )
    hold_sandbox(settings, sandbox.gaps)

    marks = ChangeMarks(settings.DATA_DIR / "cache" / "change-marks")
    stack.callback(marks.close)
    reads = PublicReads(MediaReader(database.statements), marks, ttl_s=settings.READ_CACHE_TTL_S)
    lists = MediaLists(
        MediaListReader(database.statements),
        marks,
        render=lambda media: media_json(media, storage),
        ttl_s=settings.READ_CACHE_TTL_S,
    )
    if settings.READ_CACHE_TTL_S:
        listener = database.listener(CHANGE_CHANNEL, on_notice=reads.told, on_hearing=reads.hearing)
        reads.rely_on(listener.relied_on)
        stack.push_async_callback(_cancelled, asyncio.create_task(listener.run_forever(), name="change-listener"))

    in_flight = InFlight()
    sweeper = Sweeper(
        database=database,
        storage=storage,
        in_flight=in_flight,
        interval_s=settings.SWEEP_INTERVAL_S,
        age_s=settings.SWEEP_AGE_S,
    )
    for task in (sweeper.run_forever(), sweeper.beat_forever()):
        stack.push_async_callback(_cancelled, asyncio.create_task(task, name="sweeper"))
    measurements = Measurements(database=database, staging=storage.staging, store_dir=settings.UPLOAD_DIR)
    stack.push_async_callback(_cancelled, asyncio.create_task(measurements.run_forever(), name="measurements"))

    upload_saga = UploadSaga(
        settings=settings,
        database=database,
        storage=storage,
        scanner=create_scanner(settings),
        sandbox=sandbox,
        in_flight=in_flight,
        nudge_sweep=sweeper.nudge,
    )
    delete_saga = DeleteSaga(
        database=database,
        storage=storage,
        in_flight=in_flight,
        nudge_sweep=sweeper.nudge,
        has_proxy=settings.ACCEL_REDIRECT_PREFIX is not None,
    )
    return Services(
        settings=settings,
        database=database,
        storage=storage,
        sandbox=sandbox,
        verifier=verifier,
        media=MediaService(
            database=database,
            reads=reads,
            lists=lists,
            storage=storage,
            upload_saga=upload_saga,
            delete_saga=delete_saga,
        ),
        content=ContentService(database, reads, lists, settings),
        upload_limiter=RateLimiter(settings.uploads_per_minute),
        address_limiter=RateLimiter(settings.requests_per_minute),
    )


def create_sandbox(
    settings: Settings,
    *,
    boxes_dir: Path,
    hold_boxes_dir: Callable[[], None] | None = None,
    slots: MachineSlots | None = None,
) -> Sandbox:
    """The worker processes as the settings want them; not started yet."""
    return Sandbox(
        # The machine runs PROCESSING_WORKERS files at once whatever WORKERS is, so the server processes share them out:
        # a worker that could never get a slot would only hold its 66 MiB.
        workers=math.ceil(settings.PROCESSING_WORKERS / settings.WORKERS),
        queue_size=settings.PROCESSING_QUEUE_SIZE,
        timeout_s=settings.PROCESSING_TIMEOUT_S,
        cpu_s=settings.PROCESSING_CPU_S,
        memory_bytes=settings.PROCESSING_MEMORY_BYTES,
        boxes_dir=boxes_dir,
        hold_boxes_dir=hold_boxes_dir,
        slots=slots,
    )


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def __getattr__(name: str) -> FastAPI:
    # `uvicorn app.main:app`, as in the founding document: built when asked for, so that importing reads no environment.
    if name == "app":
        return create_app()
    raise AttributeError(name)
