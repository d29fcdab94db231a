"""One upload on its way in: a multipart body becomes one staged file and a few checked text fields. No FastAPI here.

The bytes pass through once: parsed, counted, hashed and written as they arrive, and spooled nowhere else.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

from app.core.errors import BodyTooLarge, FileTooLarge, RequestTimedOut
from app.core.filenames import clean_display_name
from app.core.media_types import MIB, MediaType
from app.core.uploads.body_room import BodyRoom
from app.core.uploads.multipart_form import MultipartForm
from app.core.uploads.multipart_headers import FormType, read_form_type
from app.core.uploads.staged_file import StagedFile

FORM_OVERHEAD_BYTES: Final = MIB
"""What the form around a file may add: boundaries, part headers, the other fields."""

_GUESS_BYTES: Final = 4096
_LEAST_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class ReceivedUpload:
    """What arrived; the file lies complete and closed at the staged path, not yet synced.

    filename: cleaned for display.  sha256: lower-case hex.  fields: `media_type`, `content_id`, `metadata` and
    `checksum_sha256` as far as they were sent, unchecked except for charset and length.  file_headers: the headers of
    the file part by lower-case name.
    """

    filename: str
    media_type: MediaType
    size_bytes: int
    sha256: str
    fields: Mapping[str, str]
    file_headers: Mapping[str, str]


async def receive_upload(
    *,
    content_type: str | None,
    body: AsyncIterator[bytes | memoryview],
    staged_path: Path,
    limit_for: Callable[[MediaType | None], int],
    max_upload_bytes: int,
    idle_timeout_s: float,
    total_timeout_s: float,
    least_bytes_per_s: int = 0,
    guess: Callable[[bytes], MediaType | None] | None = None,
    room: BodyRoom | None = None,
    restore: Callable[[], None] | None = None,
) -> ReceivedUpload:
    """Read `body` to its end into a new file at `staged_path` (mode 0640) and return what it was.

    content_type: the request's header value.  limit_for: most bytes of a file of that media type, of any for None.
    guess: says from a file's first 4 KiB what it surely is, for a file part that comes before `media_type`; None
    leaves the largest limit in force until the field is known.  room: what the server offers for this body, so that
    its bytes come to where they are written from.  Timeouts in seconds: the longest wait for a chunk and for the whole
    body.  least_bytes_per_s: the slowest body that is waited for, averaged over the longest wait; 0 takes any.
    restore: as in StagedFile.

    Raises UnsupportedForm, MalformedMultipart, MissingField, DuplicateField, InvalidField; FileTooLarge and
    BodyTooLarge as soon as the count says so, with nothing more taken in than the current chunk or room;
    RequestTimedOut; StorageFull, StorageUnavailable. What `body` raises passes through. The file is closed in every
    case; removing it after an error is the caller's part, who owns its directory.
    Source: RFC 7578 (form-data), RFC 2046 section 5.1 (framing).
    """
    form_type = read_form_type(content_type)
    expected_bytes = room.expected_bytes if room is not None else 0
    staged = StagedFile(staged_path, expected_bytes=expected_bytes, restore=restore)
    intake = _Intake(staged, form_type, limit_for=limit_for, max_upload_bytes=max_upload_bytes, guess=guess)
    try:
        patience = _Patience(idle_s=idle_timeout_s, total_s=total_timeout_s, least_bytes_per_s=least_bytes_per_s)
        async with patience:
            while True:
                if room is not None:
                    room.lend(staged.room())
                if (chunk := await patience.wait_for(body)) is None:
                    break
                intake.feed(chunk)
                if staged.wants_drain:
                    await staged.drain()
        form = intake.form
        head, media_type = form.finish()
        sha256 = await staged.finish()
    except BaseException:
        await staged.abandon()
        raise
    return ReceivedUpload(
        filename=clean_display_name(form.file_name),
        media_type=media_type,
        size_bytes=staged.size_bytes,
        sha256=sha256,
        fields=MappingProxyType(form.fields),
        file_headers=MappingProxyType(dict(head.headers)),
    )


class _Patience:
    """Limits each wait for a chunk, and all of them together; the block raises RequestTimedOut when one is over.

    A body that always sends one more byte in time is cut as well: whoever is slower than `least_bytes_per_s` uses up
    `_credit_s`, the seconds for which we still wait, and each byte that comes earns some of them back.
    Only the client is waited for with a limit: a disk of ours that is slow must not look like a slow client. One timer
    looks at the time now and then, instead of one that is set and taken back for each of a thousand chunks.
    """

    def __init__(self, *, idle_s: float, total_s: float, least_bytes_per_s: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle_s = idle_s
        self._deadline = self._loop.time() + total_s
        self._credit_s = idle_s
        self._earned_s_per_byte = 1 / least_bytes_per_s if least_bytes_per_s else math.inf
        self._waiting_since: float | None = None
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._timer = self._loop.call_at(self._due_at(self._loop.time()), self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as exc:
            raise RequestTimedOut from exc

    async def wait_for(self, body: AsyncIterator[bytes | memoryview]) -> bytes | memoryview | None:
        """The next bytes, None at the end of the body."""
        self._waiting_since = self._loop.time()
        chunk = await anext(body, None)
        if chunk is not None:
            waited_s = self._loop.time() - self._waiting_since
            earned_s = len(chunk) * self._earned_s_per_byte if chunk else 0.0
            self._credit_s = min(self._idle_s, self._credit_s - waited_s + earned_s)
        self._waiting_since = None
        return chunk

    def _look(self) -> None:
        now = self._loop.time()
        if self._waiting_since is not None and now >= self._due_at(self._waiting_since):
            self._timeout.reschedule(now)
            return
        next_at = self._due_at(now if self._waiting_since is None else self._waiting_since)
        self._timer = self._loop.call_at(max(next_at, now + _LEAST_LOOK_S), self._look)

    def _due_at(self, waiting_since: float) -> float:
        # Never more than `idle_s`, so this is also the longest wait for a single chunk.
        return min(waiting_since + self._credit_s, self._deadline)


class _Intake:
    """Feeds the form, passes the file's bytes to the staged file and stops at whichever limit comes first."""

    def __init__(
        self,
        staged: StagedFile,
        form_type: FormType,
        *,
        limit_for: Callable[[MediaType | None], int],
        max_upload_bytes: int,
        guess: Callable[[bytes], MediaType | None] | None,
    ) -> None:
        self.form = MultipartForm(form_type, self._take)
        self._staged = staged
        self._limit_for = limit_for
        self._max_upload_bytes = max_upload_bytes
        self._guess = guess
        self._guessed: MediaType | None = None
        self._head = bytearray()
        self._received_bytes = 0

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take one chunk. Raises what the form raises, BodyTooLarge and FileTooLarge."""
        self._received_bytes += len(chunk)
        if self._received_bytes > self._max_upload_bytes + FORM_OVERHEAD_BYTES:
            raise BodyTooLarge(limit_bytes=self._max_upload_bytes)
        self.form.feed(chunk)
        self._check_size()

    def _take(self, data: bytes | memoryview, start: int, end: int) -> None:
        self._staged.add(data, start, end)
        if self._guess is not None:
            self._head += data[start : min(end, start + _GUESS_BYTES)]

    def _check_size(self) -> None:
        size_bytes = self._staged.size_bytes
        if size_bytes > self._max_upload_bytes:
            raise BodyTooLarge(limit_bytes=self._max_upload_bytes)
        if self._guess is not None and (self.form.file_is_complete or len(self._head) >= _GUESS_BYTES):
            # The declared type wins as soon as it is known; the guess only shortens the wait for a lost cause.
            self._guessed = self._guess(bytes(self._head[:_GUESS_BYTES]))
            self._guess = None
        media_type = self.form.media_type or self._guessed
        limit_bytes = self._limit_for(media_type)
        if size_bytes > limit_bytes:
            raise FileTooLarge(limit_bytes=limit_bytes, media_type=media_type.value if media_type else "unknown")
