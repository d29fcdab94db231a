"""One connection: uvicorn's HTTP/1.1 protocol with our limits and refusals; uvicorn's other door."""

import asyncio
from typing import Any, Final, cast

import httptools
from uvicorn import Config
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.core.http_answers import (
    BODY_TIMED_OUT,
    HEADER_TIMED_OUT,
    MALFORMED_REQUEST,
    TOO_MANY_CONNECTIONS,
    Refusal,
    render,
)
from app.core.logging import get_logger
from app.core.request_ids import request_id_of
from app.server.gathering import GatheringTransport
from app.server.lingering import LINGERING_CONNECTIONS, Linger, LingeringConnections
from app.server.patience import BodyWatch, ConnectionLimits, Deadline, WriteWatch
from app.server.request_meter import RequestMeter
from app.server.room_reader import WORTHWHILE_BYTES, RoomReader
from app.server.waiting import WaitingConnections

_MAX_PIPELINED: Final = 8

log = get_logger(__name__)


class ConnectionConfig(Config):
    """uvicorn's configuration with what connections may take, each and together."""

    limits: ConnectionLimits
    lingering: LingeringConnections
    waiting: WaitingConnections


class MediaHttpProtocol(HttpToolsProtocol):
    """One connection: uvicorn's HTTP/1.1 with limits on time, size and number, and refusals in our JSON."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(config, ConnectionConfig)
        self._limits = config.limits
        self._waiting = config.waiting
        self._meter = RequestMeter()
        self._refusal: Refusal | None = None
        self._is_deaf = False
        self._in_head = False
        self._in_body = False
        self._answering: RequestResponseCycle | None = None
        self._head_deadline = Deadline(self.loop, self._limits.header_timeout_s, self._head_is_late)
        self._linger = Linger(self.loop, config.lingering, max_bytes=self._limits.linger_bytes)
        self._is_ending = False
        self._body_watch = BodyWatch(
            self.loop,
            self._limits,
            is_read_paused=lambda: self.flow.read_paused,
            received_bytes=lambda: self._meter.body_bytes,
            on_late=self._body_is_late,
        )
        self._write_watch: WriteWatch | None = None

    # -- the connection --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._write_watch = WriteWatch(self.loop, transport, self._limits.send_timeout_s)
        self._waiting.add(self)
        excess = len(self.connections) - self._limits.max_connections
        if excess > 0 and (idle := self._waiting.longest()) is not None:
            idle.transport.abort()
            excess -= 1
        if excess > LINGERING_CONNECTIONS:
            transport.abort()
        elif excess > 0:
            self._refuse(TOO_MANY_CONNECTIONS)
        else:
            self._head_deadline.start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.discard(self)
        for watch in (self._head_deadline, self._linger, self._body_watch, self._write_watch):
            if watch is not None:
                watch.stop()
        self._write_watch = None
        self._unset_keepalive_if_required()
        self._is_deaf = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # Replaces uvicorn's: any byte would stop its keep-alive timer, and a bad request would be answered in the
        # middle of the response before it.
        if self._is_deaf:
            self._linger.heard(len(data))
            return
        self._body_watch.heard()
        was_in_head, was_in_body = self._in_head, self._in_body
        refusal: Refusal | None = None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # An Upgrade may be ignored (RFC 9110 section 7.8). What follows it could be another protocol, so nothing
            # more is read and the connection ends with this answer.
            self._is_deaf = True
            self.cycle.keep_alive = False
        except httptools.HttpParserError:
            refusal = self._refusal or MALFORMED_REQUEST
        else:
            if was_in_head and self._in_head:
                refusal = self._meter.unfinished_head(len(data))
            elif was_in_body:
                refusal = self._meter.body_on_the_wire(len(data))
        if refusal is not None:
            self._refuse(refusal)
        elif self._in_body and not self._body_watch.is_running:
            self._body_watch.begin()

    def shutdown(self) -> None:
        self._is_ending = True
        if self._linger.is_running:
            self._linger.hasten()
        elif self._in_body and self.cycle.response_complete:
            self._close_gently()
        else:
            super().shutdown()
            self._watch_writes()

    # -- a body that is read past the parser -----------------------------------------------------------------------

    @property
    def is_deaf(self) -> bool:
        return self._is_deaf

    def pause_reading(self) -> None:
        self.flow.pause_reading()

    def _may_pass_parser(self) -> bool:
        return not self._meter.is_chunked and self.body_left() >= WORTHWHILE_BYTES

    def body_left(self) -> int:
        return self._meter.declared_bytes - self._meter.body_bytes

    def body_came(self, length: int) -> None:
        self._body_watch.heard()
        self._linger.heard(length)
        self._meter.body_bytes += length

    def body_ended(self) -> None:
        self.on_message_complete()
        # The parser still waits for a body that it did not see.
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        self.transport.set_protocol(self)

    # -- what the parser reports -----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._meter = RequestMeter()
        self._in_head = True
        if len(self.pipeline) >= _MAX_PIPELINED:
            self._raise(MALFORMED_REQUEST)
        if not self._is_answering() and not self._head_deadline.is_running:
            self._head_deadline.start()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._raise(self._meter.target(len(self.url)))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._raise(self._meter.header(name, value))
        # Trailers arrive here too. uvicorn would add them to the headers the application already looks at, which lets
        # a client set after the fact what a proxy has checked; RFC 9110 section 6.5.1 allows to drop them.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        version, is_upgrade = self.parser.get_http_version(), self.parser.should_upgrade()
        self._raise(self._meter.head_complete(version, is_upgrade=is_upgrade))
        super().on_headers_complete()
        self._in_head, self._in_body = False, True
        self._waiting.discard(self)
        self._head_deadline.stop()

    def on_body(self, body: bytes) -> None:
        self._meter.body_bytes += len(body)
        if not self.cycle.body:
            # Adding to nothing of this type is no copy, and handing it out is none either; a bytearray costs both.
            self.cycle.body = b""  # type: ignore[assignment]
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self._body_watch.stop()
        super().on_message_complete()

    def _raise(self, refusal: Refusal | None) -> None:
        if refusal is not None:
            self._refusal = refusal
            raise _RefusedError

    # -- answering -------------------------------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        cycle.transport = GatheringTransport(self.transport, self.loop, on_close=lambda: self._close_after(cycle))
        if cycle is self.cycle and cycle.more_body and self._may_pass_parser():
            app = cast("ASGI3Application", RoomReader(self, cycle, self.loop).around(app))
        task = self.loop.create_task(cycle.run_asgi(app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        # A closing transport waits for its reader without end.
        task.add_done_callback(lambda _task: self._watch_writes())

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is None:
            return
        # Not left to uvicorn: its setting is a whole number of seconds, and a head that has begun has less time.
        self._unset_keepalive_if_required()
        if self._is_deaf:
            return  # that was the last answer
        self._waiting.add(self)
        if self._in_head:
            self._head_deadline.start()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(self._limits.keep_alive_timeout_s, self._close)

    def _is_answering(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _refuse(self, refusal: Refusal) -> None:
        """Answer as soon as no other answer is in the way, and end the connection."""
        self._is_deaf = True
        self.pipeline.clear()
        request_id = self._request_id()
        log.info(
            "connection.refused",
            status=refusal.status,
            code=refusal.code,
            client=str(self.client),
            request_id=request_id,
        )
        answering = self._answering if self._is_answering() else None
        if answering is None and self._in_body:
            # The rest of a body whose request has its answer: a second one would confuse the client.
            self._close_gently()
        elif answering is None:
            self._answer_and_close(refusal, request_id)
        elif answering is not self.cycle or not self._in_body:
            answering.keep_alive = False  # an earlier request: its answer is finished first, and is the last
        else:
            # It is this request's own body that cannot be read on: for the application the client is gone.
            answering.disconnected = True
            answering.message_event.set()
            if answering.response_started:
                self._close()
            else:
                self._answer_and_close(refusal, request_id)

    def _request_id(self) -> str:
        """The id of the request that is being read, as far as it is known, or a new one."""
        if not (self._in_head or self._in_body):
            return request_id_of(())  # the headers at hand are those of the request before
        known = self.scope.get("state", {}).get("request_id")  # what the application has given it
        return str(known) if known else request_id_of(self.headers)

    def _answer_and_close(self, refusal: Refusal, request_id: str) -> None:
        default_headers = self.server_state.default_headers
        self.transport.write(render(refusal, default_headers=default_headers, request_id=request_id))
        self._close_gently()

    def _close_after(self, cycle: RequestResponseCycle) -> None:
        """End the connection with the answer of `cycle`."""
        if self._is_deaf or (cycle is self.cycle and self._in_body):
            self._close_gently()
        else:
            self.transport.close()

    def _close_gently(self) -> None:
        """Close our side of a connection whose client may still be sending, and drop what it sends."""
        self._is_deaf = True
        self._body_watch.stop()
        self._linger.begin(self.transport, is_hasty=self._is_ending)
        self.flow.resume_reading()
        self._watch_writes()

    def _close(self) -> None:
        self.transport.close()
        self._watch_writes()

    # -- patience --------------------------------------------------------------------------------------------------

    def _head_is_late(self) -> None:
        # A connection that never said anything is a spare one of a browser: it is closed without a word.
        if self._in_head:
            self._refuse(HEADER_TIMED_OUT)
        else:
            self._close()

    def _body_is_late(self) -> None:
        if not self._is_deaf:
            self._refuse(BODY_TIMED_OUT)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writes()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_watch is not None:
            self._write_watch.progressed()

    def _watch_writes(self) -> None:
        if self._write_watch is not None:
            self._write_watch.begin()


class _RefusedError(Exception):
    """Stops the parser; the refusal itself waits in the protocol."""
