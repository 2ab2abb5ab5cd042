"""A process between its clients and a venue that notes when the first byte of each order is here, and lets everything through.

    python -m benchmarks.venue_tap <port of the venue>
    41001 41002                                 it listens on both: what reaches the first goes on to the venue,
    1767571200000000000 0a1b…                   what reaches the second is answered 200 {}; one line for each order: ns, client id

A process of its own, so that the one that arrives late is never late because of who sends, or of the venue.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from typing import Any

import uvloop

ORDER = re.compile(rb"POST /api/v3/order[ ?]")
CLIENT_ID = re.compile(rb"newClientOrderId=([0-9a-f]{32})")
END = re.compile(rb"signature=[0-9a-f]{64}")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Ear:
    """One connection's requests as they come in pieces: when each order began, by client id."""

    def __init__(self) -> None:
        self._began: int | None = None
        self._text = b""

    def hear(self, piece: bytes, ns: int) -> tuple[int, str] | None:
        """The order that is complete with this piece: when its first byte was here, and its client id."""
        if self._began is None:
            if not ORDER.match(piece):
                return None
            self._began, self._text = ns, b""
        self._text += piece
        name = CLIENT_ID.search(self._text)
        if name is None or END.search(self._text) is None:
            return None
        began, self._began = self._began, None
        return began, name[1].decode()


class _Client(asyncio.Protocol):
    """Whoever calls the venue; without a port it is answered here."""

    def __init__(self, venue_port: int | None):
        self._venue_port = venue_port
        self._venue: Any = None
        self._waiting = b""
        self._ear = Ear()
        self._connecting: asyncio.Task[None]
        self.transport: Any

    def connection_made(self, transport: Any) -> None:  # uvloop's are no asyncio.Transport
        self.transport = transport
        if self._venue_port is not None:
            self._connecting = asyncio.ensure_future(self._connect(self._venue_port))

    async def _connect(self, port: int) -> None:
        self._venue, _ = await asyncio.get_running_loop().create_connection(lambda: _Venue(self), "127.0.0.1", port)
        self._venue.write(self._waiting)

    def data_received(self, data: bytes) -> None:
        heard = self._ear.hear(data, time.time_ns())
        if self._venue is not None:
            self._venue.write(data)
        elif self._venue_port is not None:
            self._waiting += data
        elif heard is not None:
            self.transport.write(ANSWER)
        if heard is not None:
            print(*heard, flush=True)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._venue is not None:
            self._venue.close()


class _Venue(asyncio.Protocol):
    """What the venue says to one client."""

    def __init__(self, client: _Client):
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.transport.close()


async def _serve(venue_port: int) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda to=to: _Client(to), "127.0.0.1", 0) for to in (venue_port, None)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
