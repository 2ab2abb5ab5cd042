"""What tests of scripted faults share: asking for them, letting trades happen, and a WebSocket that hides nothing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

from aiohttp import ClientWebSocketResponse

from tests.e2e.venue_stand import VenueStand

SILENCE_S = 0.2


async def until(holds: Callable[[], Any]) -> None:
    """Wait for something of which nobody tells us."""
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


async def script(venue: VenueStand, /, kind: str, on: str = "socket", **more: Any) -> dict[str, Any]:
    """Ask for a fault."""
    answer = await venue.post("/sim/faults", {"on": on, "kind": kind, **more})
    assert "error" not in answer, answer["error"]
    return answer


def active(venue: VenueStand) -> list[dict[str, Any]]:
    """What waits or lasts."""
    return venue.server.faults.shown()["active"]


async def heal(venue: VenueStand, **query: Any) -> dict[str, Any]:
    """End all faults, or the one of an `id`."""
    async with venue.http.delete("/sim/faults", params=query) as answer:
        return await answer.json()


async def frame(socket: ClientWebSocketResponse) -> Any:
    """The next one."""
    return await asyncio.wait_for(socket.receive_json(), 5)


async def trades(venue: VenueStand, count: int) -> int:
    """Let time pass until exactly so many trades of BTC-USDT were made; the id of the last of them."""
    now = (await venue.get("/sim/state"))["instruments"]["BTC-USDT"]["last_trade_id"]
    until = now + count
    while now < until:
        now = (await venue.advance(0.5))["instruments"]["BTC-USDT"]["last_trade_id"]
    assert now == until
    return now


async def frames(venue: VenueStand, socket: ClientWebSocketResponse, count: int) -> list[Any]:
    """As many frames of one stream, with as many trades."""
    await trades(venue, count)
    return [await frame(socket) for _ in range(count)]


async def is_silent(socket: ClientWebSocketResponse) -> bool:
    """Whether nothing comes for a while."""
    try:
        await asyncio.wait_for(socket.receive(), SILENCE_S)
    except TimeoutError:
        return True
    return False


class RawSocket:
    """A WebSocket without a library: what really comes over TCP, pongs and resets included."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, path: str) -> RawSocket:
        self = cls(*await asyncio.open_connection("127.0.0.1", port))
        self.writer.write(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n\r\n".encode()
        )
        return self

    async def handshake(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)

    def ping(self) -> None:
        self.writer.write(b"\x89\x82" + bytes(4) + b"hi")

    async def heard(self, seconds: float = 5.0) -> bytes:
        """What comes next; ConnectionResetError for a reset, TimeoutError for nothing."""
        return await asyncio.wait_for(self.reader.read(1 << 16), seconds)

    async def to_the_end(self) -> None:
        """Hear everything; ConnectionResetError when it ends with a reset."""
        while await self.heard():
            pass
