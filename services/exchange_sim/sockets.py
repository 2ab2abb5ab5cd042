"""One WebSocket connection: frames leave in order, through one writer, and a reader that is too slow is cut off."""

from __future__ import annotations

import asyncio

from aiohttp import WSCloseCode, web

PING_S = 20.0
BACKLOG_MAX = 200_000
CLOSE_TIMEOUT_S = 0.5


class Socket:
    """Wraps an accepted aiohttp WebSocket of one of the venues; `send` never blocks."""

    def __init__(self, venue: str = "binance") -> None:
        self.venue = venue
        self.ws = web.WebSocketResponse(heartbeat=PING_S, compress=False, autoping=True, timeout=CLOSE_TIMEOUT_S)
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None
        self._writing = False

    async def open(self, request: web.Request) -> None:
        """Shake hands and start writing."""
        await self.ws.prepare(request)
        self._writer = asyncio.create_task(self._write())

    def send(self, text: str) -> None:
        """Queue a frame; a reader that lets too many of them wait is disconnected, as a real venue would."""
        if self._queue.qsize() < BACKLOG_MAX:
            self._queue.put_nowait(text)
        elif self._closer is None:
            self._closer = asyncio.create_task(self.close(WSCloseCode.TRY_AGAIN_LATER))

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

    async def close(self, code: int = WSCloseCode.GOING_AWAY) -> None:
        """Stop writing and close."""
        self.stop_writing()
        await self.ws.close(code=code)

    async def _write(self) -> None:
        try:
            while True:
                self._writing = False
                text = await self._queue.get()
                self._writing = True
                await self.ws.send_str(text)
        except (ConnectionError, RuntimeError):  # the peer left while we wrote; its reader ends the connection
            return
