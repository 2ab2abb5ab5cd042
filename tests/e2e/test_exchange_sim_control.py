"""The strings of exchange_sim: venue time moves as told, nothing is lost over a restart or a kill, raw clients are served too."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from libs.common.timeframe import MINUTE
from services.exchange_sim.account_store import StoreError
from services.exchange_sim.sockets import Socket
from tests.e2e.venue_stand import SECOND, VenueStand, open_venue, run_venue

REAL = Path(os.environ.get("BULKHEAD_DATA_DIR", "../shared/data")) / "binance_spot_raw"


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    async with open_venue(tmp_path / "home") as stand:
        yield stand


async def test_time_stands_still_until_it_is_moved(venue) -> None:
    """An advance plays everything up to and including its end, and answers where that is."""
    before = await venue.get("/sim/state")
    await asyncio.sleep(0.05)
    assert (await venue.get("/sim/state")) == before
    after = await venue.post("/sim/advance", {"to": before["now_ns"] + MINUTE})
    assert after["now_ns"] == before["now_ns"] + MINUTE
    for name, now in after["instruments"].items():
        assert now["last_trade_id"] == before["instruments"][name]["last_trade_id"] + 12
        assert now["bid"] < now["ask"]
    assert await venue.post("/sim/advance", {"to": after["now_ns"]}) == after
    assert "does not go back" in (await venue.post("/sim/advance", {"to": 1}))["error"]
    assert "wanted" in (await venue.post("/sim/advance", {"too": 1}))["error"]
    assert "wanted" in (await venue.post("/sim/faults", {"kind": "meteor"}))["error"]


async def test_the_clock_socket_says_each_step(venue) -> None:
    """On connect, after each step, and about every second."""
    async with venue.http.ws_connect("/sim/clock") as socket:
        first = await socket.receive_json()
        assert first == {"now_ns": venue.now, "speed": 0.0}
        await venue.advance(61)
        while (frame := await socket.receive_json())["now_ns"] == first["now_ns"]:
            pass
        assert frame == {"now_ns": first["now_ns"] + 61 * SECOND, "speed": 0.0}
        assert await socket.receive_json(timeout=5) == frame


async def test_an_advance_is_answered_when_its_frames_have_left(venue) -> None:
    """Lock-step needs to know that whoever listens can have heard everything."""
    async with venue.http.ws_connect("/stream?streams=btcusdt@trade/ethusdt@trade/nonsense") as socket:
        await venue.advance(60)
        frames = [await asyncio.wait_for(socket.receive_json(), 5) for _ in range(24)]
    assert {frame["stream"] for frame in frames} == {"btcusdt@trade", "ethusdt@trade"}
    times = [frame["data"]["E"] for frame in frames]
    assert times == sorted(times)


async def test_bars_close_on_the_stream_with_the_numbers_of_rest(venue) -> None:
    """`x` is true once, with the first trade of the next bar, and the bar is then final."""
    await venue.advance(1)
    async with venue.http.ws_connect("/ws/btcusdt@kline_1m") as socket:
        await venue.advance(60)
        while not (frame := await asyncio.wait_for(socket.receive_json(), 5))["k"]["x"]:
            assert frame["k"]["T"] == frame["k"]["t"] + 59_999
    bar = frame["k"]
    row = (await venue.get("/api/v3/klines", symbol="BTCUSDT", interval="1m", startTime=bar["t"], limit=1))[0]
    assert [bar[name] for name in "tohlcvT"] == row[:7]
    assert (bar["n"], bar["f"], bar["L"]) == (row[8], bar["L"] - 11, bar["f"] + 11)


async def test_subscriptions_are_answered_and_listed(venue) -> None:
    """Ack before data, errors with a reason, lists on demand."""
    async with venue.http.ws_connect("/ws") as socket:

        async def ask(method: str, *params: str) -> dict:
            await socket.send_json({"method": method, "params": list(params), "id": 7})
            return await asyncio.wait_for(socket.receive_json(), 5)

        assert await ask("SUBSCRIBE", "btcusdt@trade", "btcusdt@depth") == {"result": None, "id": 7}
        assert await ask("LIST_SUBSCRIPTIONS") == {"result": ["btcusdt@depth", "btcusdt@trade"], "id": 7}
        assert await ask("UNSUBSCRIBE", "btcusdt@trade") == {"result": None, "id": 7}
        assert "unknown stream" in (await ask("SUBSCRIBE", "xrpusdt@trade"))["error"]["msg"]
        assert "unknown method" in (await ask("DANCE"))["error"]["msg"]
        await socket.send_str("{")
        assert "Invalid JSON" in (await asyncio.wait_for(socket.receive_json(), 5))["error"]["msg"]
        book = await venue.get("/api/v3/depth", symbol="BTCUSDT", limit=3)
        await venue.advance(5)
        update = await asyncio.wait_for(socket.receive_json(), 5)
        assert (update["e"], update["U"]) == ("depthUpdate", book["lastUpdateId"] + 1)


async def test_the_websocket_api_answers_what_it_cannot_do(venue) -> None:
    """Ping, time, and errors in their own form."""
    async with venue.http.ws_connect("/ws-api/v3") as socket:

        async def ask(text: str) -> dict:
            await socket.send_str(text)
            return await asyncio.wait_for(socket.receive_json(), 5)

        assert (await ask('{"id":1,"method":"ping"}'))["result"] == {}
        assert (await ask('{"id":2,"method":"time"}'))["result"]["serverTime"] == venue.now // 1_000_000
        assert (await ask('{"id":3,"method":"order.dance"}'))["error"]["code"] == -1000
        assert (await ask("[]"))["status"] == 400
        assert (await ask('{"id":4,"method":"order.place","params":{}}'))["status"] == 401
        missing = await ask(json.dumps({"id": 5, "method": "order.place", "params": {"apiKey": venue.key, "x": True}}))
        assert missing["error"]["code"] == -1102


async def test_public_corners(venue) -> None:
    """What ccxt does not ask for by default, and how nonsense is refused."""
    await venue.advance(30)
    assert await venue.get("/api/v3/ping") == {}
    assert {row["symbol"] for row in await venue.get("/api/v3/ticker/price")} == {"BTCUSDT", "ETHUSDT", "SOLUSDT"}
    rows = await venue.get("/api/v3/ticker/bookTicker", symbols='["BTCUSDT","SOLUSDT"]')
    assert [row["symbol"] for row in rows] == ["BTCUSDT", "SOLUSDT"]
    trades = await venue.get("/api/v3/aggTrades", symbol="BTCUSDT", limit=4)
    since = await venue.get("/api/v3/aggTrades", symbol="BTCUSDT", startTime=trades[1]["T"], endTime=trades[2]["T"])
    assert since == trades[1:3]
    for path, params, code in (
        ("/api/v3/klines", {"symbol": "BTCUSDT"}, -1102),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ("/api/v3/klines", {"symbol": "NOPE", "interval": "1m"}, -1121),
        ("/api/v3/trades", {}, -1102),
        ("/api/v3/trades", {"symbol": "BTCUSDT", "limit": "-3"}, -1100),
        ("/api/v3/historicalTrades", {"symbol": "BTCUSDT"}, -2014),
        ("/api/v3/weather", {}, -1000),
    ):
        assert (await venue.get(path, **params))["code"] == code
    assert (await venue.get("/livez"))["status"] == "ok"


async def test_signed_corners(venue) -> None:
    """Parameters ccxt never leaves out or never sends."""
    buy = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "newClientOrderId": "q"}
    status, made = await venue.signed("POST", "/api/v3/order", **buy, quoteOrderQty="100")
    assert (status, made["status"]) == (200, "FILLED")
    assert 99 < float(made["cummulativeQuoteQty"]) <= 100
    for change, code in (
        ({"side": "HOLD"}, -1117),
        ({"type": "ICEBERG"}, -1116),
        ({"quantity": "lots"}, -1100),
        ({}, -1102),
        ({"symbol": ""}, -1102),
        ({"type": "LIMIT", "quantity": "1", "price": "9"}, -1102),
        ({"type": "LIMIT", "quantity": "1", "price": "9", "timeInForce": "GTX"}, -1115),
    ):
        status, answer = await venue.signed("POST", "/api/v3/order", **{**buy, **change})
        assert (status, answer["code"]) == (400, code)
    assert (await venue.signed("GET", "/api/v3/order", symbol="BTCUSDT"))[1]["code"] == -1102
    assert (await venue.signed("GET", "/api/v3/openOrders", timestamp="soon"))[1]["code"] == -1102
    held = (await venue.signed("GET", "/api/v3/account", omitZeroBalances="true"))[1]["balances"]
    assert [balance["asset"] for balance in held] == ["BTC", "USDT"]
    fills = (await venue.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT", fromId=1, limit=1))[1]
    assert [fill["orderId"] for fill in fills] == [made["orderId"]]
    assert (await venue.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT", orderId=999))[1] == []
    async with venue.http.get("/api/v3/account", headers={"X-MBX-APIKEY": venue.key}) as answer:
        assert (await answer.json())["code"] == -1102


async def test_a_restart_goes_on_where_it_was(tmp_path) -> None:
    """Orders, fills, balances, time and the market are those of before; the stop that rested fires afterwards."""
    async with open_venue(tmp_path / "home") as stand:
        await stand.advance(30)
        exchange = stand.client()
        await exchange.create_order("BTC/USDT", "market", "buy", 0.01, None, {"clientOrderId": "a" * 32})
        bid = (await stand.get("/sim/state"))["instruments"]["BTC-USDT"]["bid"]
        await exchange.create_order("BTC/USDT", "STOP_LOSS", "sell", 0.009, None, {"stopPrice": round(bid - 2, 2)})
        state, account = await stand.get("/sim/state"), await stand.get("/sim/account")
    async with open_venue(tmp_path / "home") as stand:
        assert await stand.get("/sim/state") == state
        assert await stand.get("/sim/account") == account
        for _ in range(60):
            await stand.advance(60)
        orders = (await stand.get("/sim/account"))["orders"]
        assert [(order["status"], order["ord_type"]) for order in orders] == [
            ("FILLED", "MARKET"),
            ("FILLED", "STOP_LOSS"),
        ]
        assert Decimal(orders[1]["filled"]) == Decimal("0.009")
    with pytest.raises(StoreError, match=r"another market.*seed 8"):
        async with open_venue(tmp_path / "home", sim_seed=8):
            pass


async def test_a_reader_that_never_reads_is_cut_off(venue, monkeypatch) -> None:
    """A backlog must not become the venue's memory."""
    monkeypatch.setattr("services.exchange_sim.sockets.BACKLOG_MAX", 5)
    socket = Socket()
    assert socket.is_flushed
    venue.server.hub.sockets[socket] = None
    closed: list[int] = []

    async def close(code: int) -> None:
        closed.append(code)

    monkeypatch.setattr(socket, "close", close)
    for _ in range(9):
        socket.send("x")
    await asyncio.sleep(0)
    assert closed == [1013]
    venue.server.hub.drop(socket)


async def test_free_time_runs_at_its_speed(tmp_path) -> None:
    """A second of ours is many of the venue's, and cannot be moved by hand."""
    async with open_venue(tmp_path / "home", sim_mode="free", sim_speed=600.0, sim_instruments="SOL-USDT") as stand:
        first = await stand.get("/sim/state")
        async with stand.http.ws_connect("/ws/solusdt@trade") as socket:
            frames = [await asyncio.wait_for(socket.receive_json(), 5) for _ in range(20)]
        assert frames[-1]["t"] == frames[0]["t"] + 19
        later = await stand.get("/sim/state")
        assert later["now_ns"] > first["now_ns"] + 90 * SECOND
        assert first["speed"] == 600.0
        assert "time runs by itself" in (await stand.post("/sim/advance", {"to": later["now_ns"]}))["error"]
        made = await stand.client().create_order("SOL/USDT", "market", "buy", 1)
        assert made["status"] == "closed"


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no recorded frames at {REAL} (set BULKHEAD_DATA_DIR)")
async def test_real_frames_are_streamed_as_recorded(tmp_path) -> None:
    """Bytes of 2024 leave the socket unchanged, the book follows them, and history ends where they begin."""
    async with open_venue(tmp_path / "home", sim_data=REAL) as stand:
        async with stand.http.ws_connect("/ws/btcusdt@bookTicker") as socket:
            await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade", "btcusdt@depth@100ms"], "id": 1})
            await socket.receive_json()
            await stand.advance(3)
            first = await asyncio.wait_for(socket.receive_str(), 5)
            while '"e":"trade"' not in first:
                first = await asyncio.wait_for(socket.receive_str(), 5)
        assert first.startswith('{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259')
        rows = await stand.get("/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=3)
        assert rows[-2][4] == rows[-1][1] == "61837.63000000"
        book, quote = await stand.get("/api/v3/depth", symbol="BTCUSDT"), await stand.get("/sim/state")
        assert float(book["bids"][0][0]) == quote["instruments"]["BTC-USDT"]["bid"]
    async with open_venue(tmp_path / "home", sim_data=REAL) as stand:
        assert await stand.get("/api/v3/depth", symbol="BTCUSDT") == book


async def test_a_killed_process_never_goes_back_and_a_stopped_one_ends_well(tmp_path) -> None:
    """After kill -9 time is later than anybody saw it; SIGTERM ends it with status 0."""
    process, port = await run_venue(tmp_path)
    async with aiohttp.ClientSession() as http:

        async def state(port: str) -> dict:
            async with http.get(f"http://127.0.0.1:{port}/sim/state") as answer:
                return await answer.json()

        seen = await state(port)
        process.kill()
        await process.wait()
        process, port = await run_venue(tmp_path)
        again = await state(port)
        assert again["now_ns"] >= seen["now_ns"]
        assert again["instruments"]["BTC-USDT"]["last_trade_id"] >= seen["instruments"]["BTC-USDT"]["last_trade_id"]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_bad_setting_or_recording_is_said_and_ends_the_process(tmp_path) -> None:
    """Exit code 78, with the variable or the folder named."""
    process, port = await run_venue(tmp_path, BULKHEAD_SIM_START="yesterday")
    assert (await process.wait(), port) == (78, "")
    process, port = await run_venue(tmp_path, BULKHEAD_SIM_DATA=str(tmp_path))
    assert (await process.wait(), port) == (78, "")
