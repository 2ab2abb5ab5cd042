"""A venue whose market sockets say exactly what a test tells them to: real TCP, real WebSocket, any bytes.

It agrees to every subscription unless `answer` says otherwise, keeps what it was asked, and knows how each connection ended.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

Answer = Callable[[dict[str, Any]], dict[str, Any] | None]


def agreed(asked: dict[str, Any]) -> dict[str, Any] | None:
    """Yes."""
    return {"result": None, "id": asked["id"]}


class RawConnection:
    """One reader's connection as the venue sees it."""

    def __init__(self, ws: web.WebSocketResponse, transport: asyncio.Transport):
        self.ws = ws
        self.transport = transport
        self.asked: list[dict[str, Any]] = []
        self.streams: set[str] = set()
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []
        self.close_code: int | None = None
        self.has_ended = False

    async def say(self, *frames: str | dict[str, Any]) -> None:
        """Send text frames."""
        for frame in frames:
            await self.ws.send_str(frame if isinstance(frame, str) else json.dumps(frame))

    def write(self, raw: bytes) -> None:
        """Send bytes as they are; see `framed`."""
        self.transport.write(raw)

    def cut(self) -> None:
        """End it without a goodbye."""
        self.transport.abort()


class RawVenue:
    """Listens on a port of its own while open."""

    def __init__(self, answer: Answer = agreed, ssl_context: ssl.SSLContext | None = None):
        self.answer = answer
        self._ssl_context = ssl_context
        self.refusals: deque[tuple[int, dict[str, str]]] = deque()
        self.connections: list[RawConnection] = []
        self._runner: web.AppRunner
        self.url = ""

    async def __aenter__(self) -> RawVenue:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._ssl_context)
        await site.start()
        self.url = f"{'https' if self._ssl_context else 'http'}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        for connection in self.connections:
            connection.cut()
        await self._runner.cleanup()

    @property
    def live(self) -> list[RawConnection]:
        """The connections that have not ended."""
        return [each for each in self.connections if not each.has_ended]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.refusals:
            status, headers = self.refusals.popleft()
            return web.Response(status=status, headers=headers, text="not now")
        ws = web.WebSocketResponse(autoping=False, compress=False, timeout=0.2)
        await ws.prepare(request)
        assert request.transport is not None
        connection = RawConnection(ws, request.transport)
        self.connections.append(connection)
        try:
            async for message in ws:
                await self._hear(connection, message)
        finally:
            connection.close_code = ws.close_code
            connection.has_ended = True
        return ws

    async def _hear(self, connection: RawConnection, message: WSMessage) -> None:
        if message.type is WSMsgType.PING:
            connection.pings.append(message.data)
            await connection.ws.pong(message.data)
        elif message.type is WSMsgType.PONG:
            connection.pongs.append(message.data)
        elif message.type is WSMsgType.TEXT:
            asked = json.loads(message.data)
            connection.asked.append(asked)
            answer = self.answer(asked)
            if answer is not None:
                if "error" not in answer:
                    connection.streams |= set(asked["params"])
                await connection.say(answer)


def framed(payload: bytes, opcode: int = 0x1, *, is_last: bool = True) -> bytes:
    """A server's WebSocket frame."""
    head = bytes(((0x80 if is_last else 0) | opcode,))
    if len(payload) < 126:
        return head + bytes((len(payload),)) + payload
    if len(payload) < 1 << 16:
        return head + b"\x7e" + len(payload).to_bytes(2, "big") + payload
    return head + b"\x7f" + len(payload).to_bytes(8, "big") + payload
