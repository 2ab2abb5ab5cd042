"""The HTTP server: uvicorn on a socket of ours, without WebSockets, without a word about what it is, and with an end to every patience."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h11
from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.gateway.doors import HEADER_BYTES_MAX
from services.gateway.settings import Settings

HEADERS_S_MAX = 5.0
KEEP_ALIVE_S = 15
STOP_S_MAX = 2
BACKLOG = 1024
CONNECTIONS_BESIDE_STREAMS = 512


class PatientOnlyOnce(H11Protocol):
    """A connection on which a request must arrive within HEADERS_S_MAX of its first byte, and the first one of the connection."""

    _request_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """The clock runs."""
        super().connection_made(transport)
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
        super().connection_lost(exc)

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


class QuietServer(Server):
    """A server that leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Not here: `run` hears them."""
        yield


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


def server_of(app: ASGIApp, settings: Settings) -> QuietServer:
    """A server for `app`; its `serve` wants a bound socket.

    Raises:
        OSError, ssl.SSLError: the certificate cannot be used.
    """
    config = Config(
        app,
        http=PatientOnlyOnce,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S_MAX,
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        limit_concurrency=settings.gateway_streams_max + CONNECTIONS_BESIDE_STREAMS,
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
