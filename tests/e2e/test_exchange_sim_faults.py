"""Each fault that can be scripted for connections, seen on the wire by a client that hides nothing."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from services.exchange_sim.faults import SocketFault
from tests.e2e.fault_bench import SILENCE_S, RawSocket, active, frame, frames, heal, is_silent, script, trades, until
from tests.e2e.venue_stand import VenueStand, open_venue, run_venue

TRADES = "btcusdt@trade"


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """A venue whose time stands still unless a test moves it."""
    async with open_venue(tmp_path / "home") as stand:
        yield stand


PONG = b"\x8a\x02hi"


async def test_a_reset_is_a_reset(venue) -> None:
    """The kernel says RST, not FIN; connections to other streams, and those opened afterwards, are well."""
    raw = await RawSocket.open(venue.server.port, f"/ws/{TRADES}")
    assert b"101 Switching" in await raw.handshake()
    async with venue.http.ws_connect("/ws/ethusdt@trade") as other:
        answer = await script(venue, "reset", stream="btc*")
        assert (answer["sockets"], answer["active"]) == (1, [])
        with pytest.raises(ConnectionResetError):
            await raw.to_the_end()
        await venue.advance(10)
        assert (await frame(other))["s"] == "ETHUSDT"
    async with venue.http.ws_connect(f"/ws/{TRADES}") as socket:
        assert (await frames(venue, socket, 1))[0]["s"] == "BTCUSDT"


async def test_a_close_says_its_code_after_what_was_said_before(venue) -> None:
    """From Python, in one breath: a last frame, then the close frame."""
    async with venue.http.ws_connect("/ws") as socket:
        venue.server.faults.add(SocketFault(kind="inject", text="last words"))
        assert venue.server.faults.add(SocketFault(kind="close", code=1011))["sockets"] == 1
        assert (await asyncio.wait_for(socket.receive(), 5)).data == "last words"
        closed = await asyncio.wait_for(socket.receive(), 5)
        assert (closed.type, closed.data) == (WSMsgType.CLOSE, 1011)


async def test_a_frozen_socket_answers_pings_and_says_nothing(venue) -> None:
    """The stream is dead and the connection looks alive; new connections are well; what was lost stays lost."""
    raw = await RawSocket.open(venue.server.port, f"/ws/{TRADES}")
    await raw.handshake()
    await script(venue, "freeze")
    await trades(venue, 6)
    raw.ping()
    assert await raw.heard() == PONG
    with pytest.raises(TimeoutError):
        await raw.heard(SILENCE_S)
    async with venue.http.ws_connect(f"/ws/{TRADES}") as fresh:
        first = (await frames(venue, fresh, 1))[0]
        assert active(venue)[0]["struck"] == 7
        assert (await heal(venue))["ended"] == 1
        assert (await frames(venue, fresh, 1))[0]["t"] == first["t"] + 1
    text = await raw.heard()
    assert json.loads(text[2:] if text[1] < 126 else text[4:])["t"] == first["t"] + 1
    raw.writer.close()


async def test_a_sticky_freeze_takes_new_connections_too_and_ends_by_itself(venue) -> None:
    """Reconnecting does not help before its time is over; acks are no market frames, and other streams go on."""
    await script(venue, "freeze", stream="@trade", sticky=True, seconds=2)
    async with venue.http.ws_connect("/ws") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": [TRADES, "btcusdt@aggTrade"], "id": 1})
        assert await frame(socket) == {"result": None, "id": 1}
        assert {each["e"] for each in await frames(venue, socket, 3)} == {"aggTrade"}
        assert active(venue)[0]["struck"] == 3
        await until(lambda: not active(venue))
        await trades(venue, 1)
        assert [(await frame(socket))["e"] for _ in range(2)] == ["trade", "aggTrade"]


async def test_from_a_black_hole_nothing_comes_until_it_ends_with_a_reset(venue) -> None:
    """No frame, no pong, no goodbye; the venue has forgotten the connection, TCP has not."""
    raw = await RawSocket.open(venue.server.port, f"/ws/{TRADES}")
    await raw.handshake()
    assert (await script(venue, "black_hole", stream=TRADES))["sockets"] == 1
    await trades(venue, 3)
    raw.ping()
    with pytest.raises(TimeoutError):
        await raw.heard(SILENCE_S)
    assert TRADES not in [stream for socket in venue.server.hub.sockets for stream in socket.streams]
    async with venue.http.ws_connect(f"/ws/{TRADES}") as fresh:
        assert len(await frames(venue, fresh, 2)) == 2
    await heal(venue)
    with pytest.raises(ConnectionResetError):
        await raw.heard()


async def test_a_sticky_black_hole_swallows_handshakes(venue) -> None:
    """Whoever comes meanwhile is accepted by TCP and hears nothing; a stream can be swallowed with its subscription."""
    await script(venue, "black_hole", sticky=True, seconds=2)
    raw = await RawSocket.open(venue.server.port, f"/ws/{TRADES}")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(raw.handshake(), SILENCE_S)
    with pytest.raises(ConnectionResetError):
        await raw.handshake()
    await script(venue, "black_hole", sticky=True, stream="ethusdt")
    async with venue.http.ws_connect("/ws") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": [TRADES], "id": 1})
        assert await frame(socket) == {"result": None, "id": 1}
        await socket.send_json({"method": "SUBSCRIBE", "params": ["ethusdt@trade"], "id": 2})
        assert await is_silent(socket)
        await heal(venue)


@pytest.mark.parametrize("text", ['{"e":"trade","s":"BTCU', "[]", "null", "17", "<html></html>", '{"e":"trade"}'])
async def test_anything_can_be_injected(venue, text) -> None:
    """Byte for byte, between true frames."""
    async with venue.http.ws_connect(f"/ws/{TRADES}") as socket:
        assert (await script(venue, "inject", text=text, times=2))["sockets"] == 1
        for _ in range(2):
            message = await asyncio.wait_for(socket.receive(), 5)
            assert (message.type, message.data) == (WSMsgType.TEXT, text)
        assert (await frames(venue, socket, 1))[0]["e"] == "trade"


async def test_binary_nonsense_can_be_injected(venue) -> None:
    """A binary frame no codec accepts."""
    async with venue.http.ws_connect(f"/ws/{TRADES}") as socket:
        await script(venue, "inject", base64=base64.b64encode(b"\x1f\x8b\xff").decode())
        message = await asyncio.wait_for(socket.receive(), 5)
        assert (message.type, message.data) == (WSMsgType.BINARY, b"\x1f\x8b\xff")


@pytest.mark.parametrize(
    ("kind", "heard"), [("drop", [2, 3]), ("duplicate", [0, 0, 1, 1, 2, 3]), ("hold", [2, 0, 1, 3])]
)
async def test_frames_are_lost_repeated_or_late(venue, kind, heard) -> None:
    """Of four trades the first two are; other streams of the same connection are not."""
    async with venue.http.ws_connect("/ws") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": [TRADES, "btcusdt@aggTrade"], "id": 1})
        await frame(socket)
        answer = await script(venue, kind, stream=TRADES, times=2)
        assert [each["times_left"] for each in answer["active"]] == [2]
        first = await trades(venue, 4) - 3
        told = [await frame(socket) for _ in range(4 + len(heard))]
        assert [each["t"] - first for each in told if each["e"] == "trade"] == heard
        assert [each["a"] - first for each in told if each["e"] == "aggTrade"] == [0, 1, 2, 3]
        assert active(venue) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"field": "p", "value": "NaN"}, lambda old: "NaN"),
        ({"field": "p", "value": None}, lambda old: None),
        ({"field": "p", "factor": 10}, lambda old: f"{float(old) * 10:.8f}"),
        ({"field": "p", "factor": -1}, lambda old: "-" + old),
        ({"field": "p"}, lambda old: "gone"),
    ],
)
async def test_one_field_is_not_what_it_should_be(venue, change, expected) -> None:
    """Wrapped or bare, of one frame only; the rest of the frame is true."""
    async with venue.http.ws_connect(f"/stream?streams={TRADES}") as socket, venue.http.ws_connect("/ws") as bare:
        await bare.send_json({"method": "SUBSCRIBE", "params": [TRADES], "id": 1})
        await frame(bare)
        await script(venue, "mangle", stream=TRADES, **change)
        await trades(venue, 1)
        wrong, true = (await frame(socket))["data"], await frame(bare)
        assert wrong.get("p", "gone") == expected(true["p"])
        assert {**wrong, "p": 0} == {**true, "p": 0}
        assert (await frames(venue, socket, 1))[0]["data"]["p"] == (await frame(bare))["p"]


async def test_time_itself_can_be_mangled(venue) -> None:
    """An hour ahead, for as long as asked; nested fields have dots, and what no frame has never strikes."""
    async with venue.http.ws_connect("/ws/btcusdt@kline_1m") as socket:
        await script(venue, "mangle", field="E", offset=3_600_000, seconds=60)
        await script(venue, "mangle", field="k.c", value="0.00000000", seconds=60)
        await script(venue, "mangle", field="no.such", value=1)
        for each in await frames(venue, socket, 2):
            assert each["E"] - each["k"]["t"] >= 3_600_000
            assert each["k"]["c"] == "0.00000000"
        assert [each["struck"] for each in active(venue)] == [2, 2, 0]


async def test_a_subscription_can_be_refused(venue) -> None:
    """Once, with an error frame; the second try is taken."""
    await script(venue, "refuse_subscribe", stream="@trade")
    async with venue.http.ws_connect("/ws") as socket:
        for request, refused in ((["btcusdt@bookTicker"], False), ([TRADES], True), ([TRADES], False)):
            await socket.send_json({"method": "SUBSCRIBE", "params": request, "id": 1})
            assert ("error" in await frame(socket)) is refused


async def test_the_account_has_a_stream_of_its_own(venue) -> None:
    """Faults of the market leave it alone; named, it is struck like any other."""
    exchange = venue.client()
    await exchange.load_markets()
    watching = asyncio.ensure_future(exchange.watch_orders())
    await until(lambda: [socket for socket in venue.server.hub.sockets if "account" in socket.streams])
    assert (await script(venue, "reset"))["sockets"] == 0
    await script(venue, "drop", stream="account", seconds=60)
    await exchange.create_order("BTC/USDT", "market", "buy", 0.01)
    assert active(venue)[0]["struck"] == 3, "NEW, TRADE and the balances"
    assert not watching.done()
    assert (await script(venue, "reset", stream="account"))["sockets"] == 1
    with pytest.raises(Exception, match="1006"):
        await asyncio.wait_for(watching, 5)


async def test_a_venue_that_is_away(venue) -> None:
    """Sockets are reset, handshakes and requests refused, the strings still work; with its time it is back."""
    async with venue.http.ws_connect("/sim/clock") as clock:
        await frame(clock)
        raw = await RawSocket.open(venue.server.port, f"/ws/{TRADES}")
        await raw.handshake()
        answer = await script(venue, "down", on="venue")
        assert answer["sockets"] == 1
        with pytest.raises(ConnectionResetError):
            await raw.to_the_end()
        with pytest.raises(ConnectionResetError):
            await (await RawSocket.open(venue.server.port, "/ws")).handshake()
        with pytest.raises(aiohttp.ClientConnectionError):
            await venue.get("/api/v3/time")
        assert (await venue.get("/livez"))["status"] == "ok"
        assert "error" in await heal(venue, id="all")
        assert "no fault 99" in (await heal(venue, id=99))["error"]
        assert (await heal(venue, id=answer["id"]))["active"] == []
        await script(venue, "down", on="venue", seconds=1.5, refuse_by="http_503")
        async with venue.http.get("/api/v3/time") as refusal:
            assert (refusal.status, refusal.headers["Retry-After"]) == (503, "2")
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await venue.http.ws_connect("/ws")
        await until(lambda: not active(venue))
        assert "serverTime" in await venue.get("/api/v3/time")
        assert not clock.closed


async def test_a_stopped_venue_keeps_nobody_in_a_hole(tmp_path) -> None:
    """Whatever lasts ends with the venue."""
    async with open_venue(tmp_path / "home") as stand:
        raw = await RawSocket.open(stand.server.port, "/ws")
        await raw.handshake()
        await script(stand, "black_hole", seconds=3600)
    with pytest.raises(ConnectionResetError):
        await raw.heard()


async def test_the_process_hurts_like_the_library(tmp_path) -> None:
    """The venue as it is run, on its own event loop: a reset, a frozen stream, a hole before and after the handshake."""
    process, text = await run_venue(tmp_path, BULKHEAD_SIM_SPEED="100")
    port = int(text)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:

        async def ask(kind: str, **more: Any) -> int:
            async with http.post(
                "/sim/faults", json={"on": "socket", "kind": kind, "stream": "@trade", **more}
            ) as answer:
                assert answer.status == 200, await answer.text()
                return (await answer.json())["sockets"]

        async def connected() -> RawSocket:
            raw = await RawSocket.open(port, f"/ws/{TRADES}")
            assert b"101" in await raw.handshake()
            await asyncio.wait_for(raw.reader.readuntil(b'"e":"trade"'), 5)
            return raw

        raw = await connected()
        assert await ask("reset") == 1
        with pytest.raises(ConnectionResetError):
            await raw.to_the_end()
        raw = await connected()
        assert await ask("freeze", seconds=0.3) == 1
        raw.ping()
        await asyncio.wait_for(raw.reader.readuntil(PONG), 5)
        await asyncio.wait_for(raw.reader.readuntil(b'"e":"trade"'), 5)
        assert await ask("black_hole", seconds=2) == 1
        raw.ping()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(raw.reader.readuntil(PONG), SILENCE_S)
        assert await ask("black_hole", sticky=True, stream=None) == 0
        fresh = await RawSocket.open(port, "/ws")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fresh.handshake(), SILENCE_S)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(raw.reader.readuntil(PONG), 5)
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 10) == 0
    with pytest.raises(ConnectionResetError):
        await fresh.heard()
