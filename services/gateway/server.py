"""The HTTP server: uvicorn on a socket of ours, without WebSockets, without a word about what it is, and with an end to every patience.

What uvicorn would answer or write down by itself is ours here: what is no request gets a problem document and counts like any other, and a connection too many is
let in as far as its answer (`Doors`). Its warnings are switched off, because strangers could fill a disk with them.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

import h11
import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.gateway.doors import CROWDED, HEADER_BYTES_MAX, READ_S_MAX
from services.gateway.rates import network_of
from services.gateway.settings import Settings

HEADERS_S_MAX = 5.0
KEEP_ALIVE_S = 15
STOP_S_MAX = 2
BACKLOG = 1024
CONNECTIONS_BESIDE_STREAMS = 512
CONNECTIONS_FOR_OTHERS = 256
"""So many of all connections no single address can have."""
CONNECTIONS_TOO_MANY_MAX = 256
"""So many connections too many are told so; what comes then is cut off."""
FILES_BESIDE_CONNECTIONS = 512
_log = structlog.get_logger(__name__)


class Served(Protocol):
    """An application that knows what to say to what is no request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

    def no_request(self, address: str, status: int) -> Response | None:
        """The answer to something from `address` that is no request; None: it is not worth one."""


class ReadOrCut:
    """A transport that does not wait for ever until somebody has read what was left when it was closed."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop):
        self._transport = transport
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Close, at once where all was read, else in READ_S_MAX."""
        is_unread = self._transport.get_write_buffer_size() > 0
        self._transport.close()
        if is_unread:
            self._loop.call_later(READ_S_MAX, self._transport.abort)


class PatientOnlyOnce(H11Protocol):
    """A connection on which a request must arrive within HEADERS_S_MAX of its first byte, and the first one of the connection; and what
    we have answered must be read within READ_S_MAX."""

    network = ""
    _request_due: asyncio.TimerHandle | None = None
    _unread_due: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, served: Served, seats: int, **more: Any):
        super().__init__(*args, **more)
        self._served = served
        self._seats = seats

    def connection_made(self, transport: Any) -> None:
        """The clock runs."""
        super().connection_made(ReadOrCut(transport, self.loop))  # type: ignore[arg-type]
        self.network = network_of(self._address)
        if len(self.connections) > self._seats + CONNECTIONS_TOO_MANY_MAX:
            self.transport.abort()
            return
        if self._is_one_too_many():
            self.app_state = {**self.app_state, CROWDED: True}
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request; when its headers are whole, the clock stops."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._disarm()
        elif self.cycle is None or self.cycle.response_complete:
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        self._disarm()
        self._is_read()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Too much of what we have said is unread; the clock runs for that, too."""
        super().pause_writing()
        self._is_read()
        self._unread_due = self.loop.call_later(READ_S_MAX, self.transport.abort)

    def resume_writing(self) -> None:
        """It is being read."""
        self._is_read()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What came is no request of HTTP's."""
        error = sys.exception()
        is_too_large = isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431
        answer = self._served.no_request(self._address, 431 if is_too_large else 400)
        if (
            self.cycle is not None and not self.cycle.response_complete
        ):  # whoever reads the body hears that there is no more
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if answer is None or self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        status = answer.status_code
        head = h11.Response(status_code=status, headers=answer.raw_headers, reason=HTTPStatus(status).phrase.encode())
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else "unknown"

    def _is_one_too_many(self) -> bool:
        """Whether there are more connections than seats, or more from one address than it may have of them."""
        ours = sum(getattr(each, "network", "") == self.network for each in self.connections)
        return len(self.connections) > self._seats or ours > max(1, self._seats - CONNECTIONS_FOR_OTHERS)

    def _arm(self) -> None:
        if self._request_due is None:
            self._request_due = self.loop.call_later(HEADERS_S_MAX, self._give_up)

    def _disarm(self) -> None:
        if self._request_due is not None:
            self._request_due.cancel()
            self._request_due = None

    def _give_up(self) -> None:
        self._request_due = None
        if self.conn.our_state is h11.IDLE:
            self.transport.abort()

    def _is_read(self) -> None:
        if self._unread_due is not None:
            self._unread_due.cancel()
            self._unread_due = None


class QuietServer(Server):
    """A server that leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Not here: `run` hears them."""
        yield


def make_room(settings: Settings) -> int:
    """Let this process have as many open files as lines may be open, and some for the rest of us; returns how many it may have now."""
    wanted = _seats(settings) + CONNECTIONS_TOO_MANY_MAX + FILES_BESIDE_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    found = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (found, hard))
    if found < wanted:
        _log.warning("few_open_files", may_have=found, wants=wanted)
    return found


def _seats(settings: Settings) -> int:
    return settings.gateway_streams_max + CONNECTIONS_BESIDE_STREAMS


def bound(settings: Settings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        OSError: the address is taken, or not ours.
    """
    found = socket.getaddrinfo(
        settings.gateway_host, settings.gateway_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def server_of(app: Served, settings: Settings) -> QuietServer:
    """A server for `app`; its `serve` wants a bound socket.

    Raises:
        OSError, ssl.SSLError: the certificate cannot be used.
    """
    connection: Any = partial(PatientOnlyOnce, served=app, seats=_seats(settings))
    config = Config(
        app,
        http=connection,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S_MAX,
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        backlog=BACKLOG,
    )
    config.load()
    if settings.gateway_tls_cert_file is not None:
        config.ssl = tls_of(settings)
    return QuietServer(config)


def tls_of(settings: Settings) -> ssl.SSLContext:
    """TLS 1.2 or better with the settings' certificate.

    Raises:
        OSError, ssl.SSLError: it cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(str(settings.gateway_tls_cert_file), str(settings.gateway_tls_key_file))
    return context
