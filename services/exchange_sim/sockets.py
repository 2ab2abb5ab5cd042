"""One WebSocket connection: frames leave in order, through one writer, and a reader that is too slow is cut off.

A frame sent with the name of its stream is the market's (or the account's) and passes whoever watches the connection, who may lose or
change it; a frame without one, an answer to the client, does not. The watch is the application's; a connection finds it when it opens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from aiohttp import WSCloseCode, web

from services.exchange_sim.connections import Hole, reset

PING_S = 20.0
BACKLOG_MAX = 200_000
CLOSE_TIMEOUT_S = 0.5


class SocketWatch(Protocol):
    """Who may interfere with connections."""

    def opening(self, socket: Socket) -> None:
        """A connection asks for its handshake."""
        ...

    def closed(self, socket: Socket) -> None:
        """A connection is gone."""
        ...

    def subscribed(self, socket: Socket, stream: str) -> None:
        """A connection has one more stream."""
        ...

    def passed(self, socket: Socket, stream: str, text: str) -> Iterable[str]:
        """What leaves in place of a frame of `stream`."""
        ...

    def refuses(self, socket: Socket, streams: Iterable[str]) -> bool:
        """Whether a subscription must be answered with an error."""
        ...


WATCH: web.AppKey[SocketWatch] = web.AppKey("socket_watch", SocketWatch)


class Socket:
    """Wraps an accepted aiohttp WebSocket; `send` never blocks. `is_market`: what speaks of the market, not of an account."""

    def __init__(self, venue: str = "binance", *, is_market: bool = True) -> None:
        self.venue = venue
        self.is_market = is_market
        self.streams: dict[str, None] = {}
        self.ws = web.WebSocketResponse(heartbeat=PING_S, compress=False, autoping=True, timeout=CLOSE_TIMEOUT_S)
        self._queue: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None
        self._writing = False
        self._watch: SocketWatch | None = None
        self._transport: asyncio.Transport | None = None

    async def open(self, request: web.Request) -> None:
        """Shake hands and start writing."""
        self._transport = request.transport
        self._watch = request.app.get(WATCH)
        if self._watch is not None:
            self._watch.opening(self)
        if self._transport is None or self._transport.is_closing():
            raise web.HTTPServiceUnavailable  # the peer was swallowed or left: there is nobody to hear it
        await self.ws.prepare(request)
        self._writer = asyncio.create_task(self._write())

    def send(self, frame: str | bytes, stream: str | None = None) -> None:
        """Queue a frame; a reader that lets too many of them wait is disconnected, as a real venue would."""
        if stream is None or self._watch is None or isinstance(frame, bytes):
            self._put(frame)
        else:
            for each in self._watch.passed(self, stream, frame):
                self._put(each)

    def add_stream(self, stream: str) -> None:
        """It has subscribed to `stream`."""
        self.streams[stream] = None
        if self._watch is not None:
            self._watch.subscribed(self, stream)

    def remove_stream(self, stream: str) -> None:
        """The end of one subscription."""
        self.streams.pop(stream, None)

    def refuses(self, streams: Iterable[str]) -> bool:
        """Whether this subscription must be answered with an error, because somebody scripted that."""
        return self._watch is not None and self._watch.refuses(self, streams)

    @property
    def is_flushed(self) -> bool:
        """Whether everything sent has been handed to the network, or never will be."""
        if self.ws.closed or self._writer is None or self._writer.done():
            return True
        return not self._writing and self._queue.empty()

    def stop_writing(self) -> None:
        """The peer is gone: nothing more can leave."""
        if self._writer is not None:
            self._writer.cancel()
        if self._watch is not None:
            self._watch.closed(self)

    async def close(self, code: int = WSCloseCode.GOING_AWAY) -> None:
        """Stop writing and close."""
        self.stop_writing()
        await self.ws.close(code=code)

    def begin_close(self, code: int) -> None:
        """Close, once what was said before has left."""
        if self._closer is None:
            self._closer = asyncio.create_task(self._close_when_flushed(code))

    def reset(self) -> None:
        """End with a TCP reset."""
        reset(self._transport)

    def swallow(self) -> Hole | None:
        """Disappear without a word; None when the connection is gone already."""
        if self._transport is None or self._transport.is_closing():
            return None
        return Hole(self._transport)

    def _put(self, frame: str | bytes) -> None:
        if self._queue.qsize() < BACKLOG_MAX:
            self._queue.put_nowait(frame)
        elif self._closer is None:
            self._closer = asyncio.create_task(self.close(WSCloseCode.TRY_AGAIN_LATER))

    async def _close_when_flushed(self, code: int) -> None:
        waited_s = 0.0
        while not self.is_flushed and waited_s < CLOSE_TIMEOUT_S:
            await asyncio.sleep(CLOSE_TIMEOUT_S / 100)
            waited_s += CLOSE_TIMEOUT_S / 100
        await self.close(code)

    async def _write(self) -> None:
        try:
            while True:
                self._writing = False
                frame = await self._queue.get()
                self._writing = True
                if isinstance(frame, str):
                    await self.ws.send_str(frame)
                else:
                    await self.ws.send_bytes(frame)
        except (ConnectionError, RuntimeError):  # the peer left while we wrote; its reader ends the connection
            return
