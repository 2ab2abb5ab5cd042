"""How long the server waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from services.gateway import server as serving
from services.gateway.settings import Settings


async def hello(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


@pytest.fixture
async def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A server that waits a quarter of a second for a request."""
    monkeypatch.setattr(serving, "HEADERS_S_MAX", 0.25)
    settings = Settings(home=tmp_path, gateway_port=0)
    server, socket = serving.server_of(hello, settings), serving.bound(settings)
    running = asyncio.create_task(server.serve([socket]))
    yield socket.getsockname()[1]
    server.should_exit = True
    await running


async def heard(reader: asyncio.StreamReader) -> bytes:
    """Everything until the line is closed."""
    async with asyncio.timeout(5):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_who_says_nothing_whole_is_let_go(port: int, said: bytes) -> None:
    """However many open a line and dribble: each costs us a quarter of a second here, five seconds outside."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    assert await heard(reader) == b""
    writer.close()


async def test_a_second_request_on_the_line_has_its_own_time(port: int) -> None:
    """An answered line may rest; when the next request begins, it must come to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.3)
    writer.write(b"GET / HTTP/1.1\r\nHo")
    assert await heard(reader) == b""
    writer.close()
