"""What can be done to a TCP connection that HTTP has no word for: cut it, keep it waiting, let it disappear."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable

from aiohttp import web

HANG_S_MAX = 120.0
HANG_LOOK_S = 0.02
_LINGER_0 = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport | None) -> None:
    """Cut the connection with a TCP reset, as a crashed peer does."""
    if transport is not None and not transport.is_closing():
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        transport.abort()


def cut(request: web.Request) -> web.Response:
    """Answer a request with a TCP reset."""
    reset(request.transport)
    return web.Response()


async def hang(request: web.Request, seconds: float | None, is_over: Callable[[], bool] = lambda: False) -> None:
    """Say nothing until the client gives up, or for so long, or until it is over."""
    waited_s = 0.0
    limit_s = HANG_S_MAX if seconds is None else seconds
    while waited_s < limit_s and not is_over() and request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(min(HANG_LOOK_S, limit_s - waited_s))
        waited_s += HANG_LOOK_S


class Hole:
    """A connection behind which nobody is any more: the kernel keeps TCP open, no byte is read from it or written to it.

    The server's own handle of the socket is closed, so that none of its timers, pings or answers can reach the peer; only this second
    handle keeps the kernel from saying goodbye.
    """

    def __init__(self, transport: asyncio.Transport):
        self._kept = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        transport.abort()

    def end(self) -> None:
        """The peer is told: reset."""
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        self._kept.close()
