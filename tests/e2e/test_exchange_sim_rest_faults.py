"""Each fault that can be scripted for requests, and the counting of their weight, seen by a client that hides nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import ccxt
import pytest

from services.exchange_sim.faults import RestFault
from services.exchange_sim.weights import REFUSALS_BEFORE_BAN
from tests.e2e import fault_bench
from tests.e2e.fault_bench import active, until
from tests.e2e.venue_stand import VenueStand, open_venue

KLINES = "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=3"


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    async with open_venue(tmp_path / "home") as stand:
        yield stand


async def script(venue: VenueStand, kind: str, path: str = "/api/v3/klines", **more: Any) -> dict[str, Any]:
    return await fault_bench.script(venue, kind, "rest", path=path, **more)


async def call(venue: VenueStand, path: str = KLINES) -> tuple[int, dict[str, str], str]:
    async with venue.http.get(path) as answer:
        return answer.status, dict(answer.headers), await answer.text()


@pytest.mark.parametrize(
    ("kind", "more", "status", "begins"),
    [
        ("status", {"code": 503}, 503, "<html>"),
        ("status", {"code": 451}, 451, "<html>"),
        ("status", {"code": 429, "retry_after": 7}, 429, '{"code":-1003'),
        ("status", {"code": 400, "body": '{"code":-1000,"msg":"x"}'}, 400, '{"code":-1000'),
        ("html", {}, 200, "<html>"),
        ("empty_object", {}, 200, "{}"),
    ],
)
async def test_an_answer_is_another(venue, kind, more, status, begins) -> None:
    """Once; other paths, and the next call, are answered truthfully."""
    await script(venue, kind, **more)
    assert (await call(venue, "/api/v3/time"))[0] == 200
    got, headers, text = await call(venue)
    assert (got, text.startswith(begins)) == (status, True)
    assert headers.get("Retry-After") == (str(more["retry_after"]) if "retry_after" in more else None)
    assert ("json" in headers["Content-Type"]) is begins.startswith("{")
    assert len(json.loads((await call(venue))[2])) == 3


async def test_half_an_answer_and_none(venue) -> None:
    """The length in the header is that of what is sent: only whoever parses it can tell."""
    true = (await call(venue))[2]
    await script(venue, "truncated")
    status, headers, text = await call(venue)
    assert (status, text) == (200, true[: len(true) // 2])
    assert headers["X-MBX-USED-WEIGHT-1M"] == "4"
    await script(venue, "empty")
    assert (await call(venue))[::2] == (200, "")


async def test_a_reset_and_an_answer_that_does_not_come(venue) -> None:
    """Both end at the client with an exception; a late answer is the true one."""
    await script(venue, "reset", times=2)
    with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
        await call(venue)
    assert active(venue) == [], "an idempotent call is sent twice by the client"
    await script(venue, "hang")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(venue), 0.2)
    await script(venue, "hang", delay=0.1)
    assert (await call(venue))[2] == (await call(venue))[2]
    await script(venue, "hang", seconds=60)
    waiting = asyncio.ensure_future(call(venue))
    await until(lambda: active(venue)[0]["struck"])
    venue.server.faults.end()
    assert (await waiting)[0] == 200


async def test_patterns_methods_and_an_end_in_time(venue) -> None:
    """A fault with seconds strikes until they are over; a handshake is a GET of its path."""
    venue.server.faults.add(RestFault(kind="status", code=502, path="/api/v3/*", method="POST", times=1))
    await script(venue, "status", "/ws*", code=503, seconds=1.5, retry_after=1)
    assert (await call(venue))[0] == 200
    for _ in range(2):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await venue.http.ws_connect("/ws/btcusdt@trade")
    await until(lambda: len(active(venue)) == 1)
    async with venue.http.ws_connect("/ws/btcusdt@trade"):
        pass
    async with venue.http.post("/api/v3/order") as answer:
        assert answer.status == 502


async def test_what_follows_the_venue_of_an_order_is_spoilt_not_undone(venue) -> None:
    """An answer cut in half is an order taken."""
    await script(venue, "truncated", "/api/v3/order", method="POST")
    buy = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001", "newClientOrderId": "half"}
    with pytest.raises(json.JSONDecodeError):
        await venue.signed("POST", "/api/v3/order", **buy)
    assert (await venue.get("/sim/account"))["seen_cl_ord_ids"] == {"half": 1}


async def test_a_fault_nobody_knows_is_refused_with_what_is_known(venue) -> None:
    """What is wrong, and what would be right."""
    for asked, complaint in (
        ({"on": "moon", "kind": "down"}, '"order" | "socket" | "rest" | "venue"'),
        ({"on": "rest", "kind": "status", "path": "/x"}, "status wants the code"),
        ({"on": "rest", "kind": "html", "path": "/x", "code": 500}, "html has no code; it takes seconds, times"),
        ({"on": "socket", "kind": "melt"}, '"reset" | "close" | "freeze"'),
        ({"on": "socket", "kind": "inject"}, "inject wants text or base64"),
        ({"on": "socket", "kind": "inject", "base64": "?"}, "base64: "),
        ({"on": "socket", "kind": "mangle", "value": 1}, "mangle wants the field"),
        ({"on": "socket", "kind": "mangle", "field": "p", "value": 1, "factor": 2}, "not both"),
        ({"on": "socket", "kind": "freeze", "second": 1}, "unknown field `second`"),
        ({"on": "socket", "kind": "drop", "times": 0}, ">= 1"),
        ([], "wanted"),
    ):
        async with venue.http.post("/sim/faults", json=asked) as answer:
            assert answer.status == 400
            assert complaint in (await answer.json())["error"]


@pytest.fixture
def one_long_minute(monkeypatch) -> None:
    """The count of calls must not begin anew in the middle of a test."""
    monkeypatch.setattr("services.exchange_sim.weights.MINUTE_S", 10**10)
    monkeypatch.setattr("services.exchange_sim.weights.ORDER_WINDOW_S", 10**10)


async def test_weights_are_told_as_binance_tells_them(venue, one_long_minute) -> None:
    """Every answer says what was used; a taken order says how many there were."""
    used = 0
    for path, weight in (
        ("time", 1),
        ("exchangeInfo", 20),
        ("klines?symbol=BTCUSDT&interval=1m", 2),
        ("aggTrades?symbol=BTCUSDT", 4),
        ("depth?symbol=BTCUSDT&limit=1000", 50),
        ("ticker/bookTicker", 4),
        ("ticker/bookTicker?symbol=BTCUSDT", 2),
        ("nonsense", 1),
    ):
        _, headers, _ = await call(venue, f"/api/v3/{path}")
        used += weight
        assert headers["X-MBX-USED-WEIGHT-1M"] == headers["X-MBX-USED-WEIGHT"] == str(used)
    exchange = venue.client()
    await exchange.load_markets()
    for count in ("1", "2"):
        await exchange.create_order("BTC/USDT", "market", "buy", 0.001)
        assert exchange.last_response_headers["X-MBX-ORDER-COUNT-10S"] == count
    assert exchange.last_response_headers["X-MBX-USED-WEIGHT-1M"] == str(used + 20 + 2)
    assert "X-MBX-USED-WEIGHT-1M" not in (await call(venue, "/livez"))[1]


async def test_too_much_is_refused_and_going_on_is_banned(tmp_path, one_long_minute) -> None:
    """429 and when to come back; whoever goes on calling gets 418, and the strings still answer."""
    async with open_venue(tmp_path / "home", sim_weight_limit=24) as venue:
        limits = json.loads((await call(venue, "/api/v3/exchangeInfo"))[2])["rateLimits"]
        assert limits[0]["limit"] == 24
        answers = [await call(venue) for _ in range(2 + REFUSALS_BEFORE_BAN + 1)]
        assert [status for status, _, _ in answers] == [200] * 2 + [429] * REFUSALS_BEFORE_BAN + [418]
        first, last = json.loads(answers[2][2]), json.loads(answers[-1][2])
        assert (first["code"], last["code"]) == (-1003, -1003)
        assert "current limit is 24 request weight" in first["msg"]
        assert "IP banned until" in last["msg"]
        assert int(answers[2][1]["Retry-After"]) > 0
        assert answers[-1][1]["Retry-After"] == "120"
        with pytest.raises(ccxt.DDoSProtection, match="418"):
            await venue.client().fetch_time()
        assert (await venue.get("/sim/state"))["now_ns"] == venue.now


async def test_without_a_limit_everything_is_counted_and_nothing_refused(tmp_path) -> None:
    """Time that is compressed a thousandfold needs more calls than a wall minute allows."""
    async with open_venue(tmp_path / "home", sim_weight_limit=0) as venue:
        for _ in range(90):
            status, headers, _ = await call(venue, "/api/v3/ticker/24hr")
            assert status == 200
        assert int(headers["X-MBX-USED-WEIGHT-1M"]) > 0
