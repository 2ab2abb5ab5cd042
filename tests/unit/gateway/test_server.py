"""How long the server waits for whom."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from services.gateway import server as serving
from services.gateway.doors import CROWDED
from services.gateway.settings import Settings

LARGE = b"x" * 8_000_000


class Hello:
    """Says hi, or on /large more than fits into a line, or on /more that in pieces; remembers what was no request."""

    def __init__(self) -> None:
        self.no_requests: list[int] = []
        self.crowded = 0

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """One request."""
        self.crowded += CROWDED in scope["state"]
        body = LARGE if scope["path"] != "/" else b"hi"
        size = str(len(body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", size)]})
        if scope["path"] == "/more":
            for at in range(0, len(body), 100_000):
                await send({"type": "http.response.body", "body": body[at : at + 100_000], "more_body": True})
            body = b""
        await send({"type": "http.response.body", "body": body})

    def no_request(self, _address: str, status: int) -> Response | None:
        """Every second one is worth an answer."""
        self.no_requests.append(status)
        return PlainTextResponse("no", status) if len(self.no_requests) % 2 else None


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[serving.QuietServer]:
    """A server that waits a quarter of a second for a request, and as long for somebody to read its answer."""
    monkeypatch.setattr(serving, "HEADERS_S_MAX", 0.25)
    monkeypatch.setattr(serving, "READ_S_MAX", 0.25)
    monkeypatch.setattr(serving, "CONNECTIONS_BESIDE_STREAMS", 9)
    monkeypatch.setattr(serving, "CONNECTIONS_FOR_OTHERS", 8)
    monkeypatch.setattr(serving, "CONNECTIONS_TOO_MANY_MAX", 2)
    settings = Settings(home=tmp_path, gateway_port=0, gateway_streams_max=1)
    server, socket = serving.server_of(Hello(), settings), serving.bound(settings)
    running = asyncio.create_task(server.serve([socket]))
    async with asyncio.timeout(5):
        while not server.started:  # noqa: ASYNC110  (uvicorn sets no event)
            await asyncio.sleep(0.01)
    yield server
    server.should_exit = True
    await running


@pytest.fixture
def hello(server: serving.QuietServer) -> Hello:
    """What the server serves."""
    assert isinstance(server.config.app, Hello)
    return server.config.app


@pytest.fixture
def port(server: serving.QuietServer) -> int:
    """Where it listens."""
    return int(server.servers[0].sockets[0].getsockname()[1])


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


@pytest.mark.parametrize("path", [b"/large", b"/more"])
async def test_who_does_not_read_is_cut_off(server: serving.QuietServer, port: int, path: bytes) -> None:
    """An answer that nobody takes costs a line and its buffer for so long, not for ever; closing alone would wait for the reader."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(5):
        assert await reader.read(8) == b"HTTP/1.1"
        while server.server_state.connections or server.server_state.tasks:  # noqa: ASYNC110  (uvicorn sets no event)
            await asyncio.sleep(0.02)
    writer.close()


async def test_what_is_no_request_is_answered_by_us(port: int, hello: Hello, caplog: pytest.LogCaptureFixture) -> None:
    """Or not at all where that is not worth it; whatever strangers send writes no line."""
    for said, status in (
        (b"\x00\x01\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000, 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x00\r\n\r\n", 400),
    ):
        before = len(hello.no_requests)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        found = await heard(reader)
        assert hello.no_requests[before:] == [status]
        assert (f" {status} ".encode() in found) is (before % 2 == 0), found
        assert b"Invalid HTTP" not in found
        writer.close()
    assert not [each for each in caplog.records if each.name.startswith("uvicorn")]


async def test_nobody_takes_all_lines(port: int, hello: Hello) -> None:
    """Who has as many as one address may have is told so on the next, and cut off when even that is too much."""
    lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(13)]
    hellos = []
    for reader, writer in lines:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        hellos.append((await heard(reader)).endswith(b"hi"))
        writer.close()
    assert hellos == [True] * 12 + [False]
    assert hello.crowded == 10


def test_there_are_files_for_all_lines(tmp_path: Path) -> None:
    """A thousand open files, what a process gets by default, are fewer than the lines that may be open: then nothing else could be opened any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        assert serving.make_room(Settings(home=tmp_path)) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(hard, 512 + 512 + 256 + 256)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        assert serving.make_room(Settings(home=tmp_path)) == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
