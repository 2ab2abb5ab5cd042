"""A paper venue follows a live one over the real wire: exchange_sim plays the live venue, a second one follows it, unmodified ccxt trades."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import ccxt.pro
import pytest

from services.exchange_sim import follower, run
from services.exchange_sim.faults import RestFault, SocketFault, VenueFault
from services.exchange_sim.follower import MarketUnreachable, UnknownInstrument, followed_market
from services.exchange_sim.settings import Settings
from tests.e2e.venue_stand import VenueStand, open_venue

BTC = "BTC/USDT"
INFO = "/api/v3/exchangeInfo"
BRISK = 60.0
"""The live venue's speed here: twelve trades and some quotes a second, all of which come in wall time."""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "RETRY_S", 0.05)
    monkeypatch.setattr(follower, "RETRY_S_MAX", 0.1)
    monkeypatch.setattr(run, "RETRY_S", 0.1)


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """The venue that is followed."""
    now = datetime.now(UTC).replace(microsecond=0)
    async with open_venue(tmp_path / "live", sim_mode="free", sim_speed=BRISK, sim_start=now) as stand:
        yield stand


@pytest.fixture
async def paper(live: VenueStand, tmp_path: Path) -> AsyncIterator[VenueStand]:
    """The paper venue that follows it."""
    async with open_venue(tmp_path / "paper", sim_mode="free", sim_follow_url=live.url) as stand:
        await until(lambda: not stand.server.exchange.out_of_sight and stand.server.exchange.last_trades)
        yield stand


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (what is waited for is told by nobody)
            await asyncio.sleep(0.01)


async def bought(client: ccxt.pro.binance, qty: float) -> dict[str, Any]:
    order = await client.create_order(BTC, "market", "buy", qty)
    async with asyncio.timeout(10):
        while order["status"] == "open":
            await asyncio.sleep(0.02)
            order = await client.fetch_order(order["id"], BTC)
    return order


async def test_an_order_fills_at_the_live_price_in_wall_time(live: VenueStand, paper: VenueStand) -> None:
    """By the live venue's own rules, dearer than its offer by the costs, and not before the latency is over."""
    theirs, ours = await live.client().load_markets(), await paper.client().load_markets()
    assert {name: market["precision"] for name, market in ours.items()} == {
        name: theirs[name]["precision"] for name in ("BTC/USDT", "ETH/USDT")
    }
    assert abs(paper.now - time.time_ns()) < 50_000_000
    began = time.monotonic()
    order = await bought(paper.client(), 0.01)
    assert (order["status"], order["filled"]) == ("closed", 0.01)
    assert time.monotonic() - began >= 0.15
    asks = live.server.exchange.quotes["BTC-USDT"].ask_px
    assert order["average"] == pytest.approx(
        asks, rel=0.01
    )  # a generated market does not move by more in a second of ours
    assert paper.server.exchange.quotes["BTC-USDT"].bid_px == pytest.approx(asks, rel=0.01)


async def test_what_is_lost_is_not_traded_and_comes_back_by_itself(live: VenueStand, paper: VenueStand) -> None:
    """The venue goes away: orders are refused with a reason, not filled; it comes back: they fill again."""
    client = paper.client()
    await client.load_markets()
    live.server.faults.add(VenueFault(kind="down"))
    await until(lambda: len(paper.server.exchange.out_of_sight) == 2)
    with pytest.raises(ccxt.pro.RateLimitExceeded, match="cannot be seen now"):
        await client.create_order(BTC, "market", "buy", 0.01)
    assert (await paper.get("/sim/state"))["out_of_sight"] == ["BTC-USDT", "ETH-USDT"]
    live.server.faults.end()
    await until(lambda: not paper.server.exchange.out_of_sight)
    assert (await bought(client, 0.01))["filled"] == 0.01


@pytest.mark.parametrize(
    "fault",
    [
        SocketFault(kind="reset"),
        SocketFault(kind="inject", text="no frame"),
        SocketFault(kind="inject", text='{"stream":"btcusdt@trade","data":{"t":1,"p":"NaN","q":"1","T":1,"m":true}}'),
        SocketFault(kind="inject", text='{"stream":"btcusdt@bookTicker","data":{"u":1}}'),
    ],
)
async def test_a_connection_that_breaks_or_says_nonsense_is_renewed(
    live: VenueStand, paper: VenueStand, fault: SocketFault
) -> None:
    """And the market is out of sight in between."""
    lost: list[str] = []
    lose = paper.server.exchange.market.lose  # type: ignore[attr-defined]
    paper.server.exchange.market.lose = lambda: (lost.append("lost"), lose())  # type: ignore[attr-defined]
    live.server.faults.add(fault)
    await until(lambda: lost)
    await until(lambda: not paper.server.exchange.out_of_sight)


async def test_a_silent_connection_is_not_trusted(
    live: VenueStand, paper: VenueStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames stop while pings are answered: after a while nothing is in sight any more."""
    monkeypatch.setattr(follower, "QUIET_S_MAX", 0.3)
    await asyncio.sleep(0.3)  # the next wait is the short one
    live.server.faults.add(SocketFault(kind="freeze", sticky=True))
    live.server.faults.add(RestFault(kind="status", path="/api/v3/ticker/bookTicker", code=503, seconds=60))
    await until(lambda: len(paper.server.exchange.out_of_sight) == 2, 15)


async def test_the_paper_account_survives_a_restart(live: VenueStand, paper: VenueStand, tmp_path: Path) -> None:
    """Fourteen days are not lost by one restart."""
    await bought(paper.client(), 0.01)
    before = (await paper.get("/sim/account"))["balances"]
    await paper.server.stop()
    async with open_venue(tmp_path / "paper", sim_mode="free", sim_follow_url=live.url) as again:
        account = await again.get("/sim/account")
        assert account["balances"] == before
        assert len(account["fills"]) >= 1
        await until(lambda: not again.server.exchange.out_of_sight)


async def test_a_venue_that_lists_less_or_answers_nonsense(live: VenueStand) -> None:
    """The first is a mistake in the settings, the second passes."""
    with pytest.raises(UnknownInstrument, match="does not list DOGE-USDT; correct BULKHEAD_INSTRUMENTS"):
        await followed_market(live.url, ("BTC-USDT", "DOGE-USDT"), time.time_ns)
    faults = [RestFault(kind=kind, path=INFO) for kind in ("html", "truncated", "empty_object")]
    for fault in (*faults, RestFault(kind="status", path=INFO, code=451)):
        live.server.faults.add(fault)
        with pytest.raises(MarketUnreachable):
            await followed_market(live.url, ("BTC-USDT",), time.time_ns)


async def test_a_venue_that_wants_to_be_left_alone_is(live: VenueStand) -> None:
    """Who asks on while he is banned is banned for longer."""
    live.server.faults.add(RestFault(kind="status", path=INFO, code=418, retry_after=120))
    with pytest.raises(MarketUnreachable, match="status 418") as banned:
        await followed_market(live.url, ("BTC-USDT",), time.time_ns)
    assert banned.value.retry_after_s == 120


async def test_until_the_market_answers_everybody_is_told_why(
    live: VenueStand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the venue's own port; then the venue takes its place."""
    rooms: list[int] = []
    opened = run.WaitingRoom.open

    async def open_and_tell(room: run.WaitingRoom, host: str, port: int) -> int:
        rooms.append(await opened(room, host, port))
        return rooms[0]

    monkeypatch.setattr(run.WaitingRoom, "open", open_and_tell)
    live.server.faults.add(RestFault(kind="status", path=INFO, code=503, seconds=60))
    settings = Settings(home=tmp_path / "waiting", sim_follow_url=live.url)
    opening = asyncio.create_task(run._market_when_it_answers(settings))
    await until(rooms.__len__)
    port = rooms[0]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        async with http.get("/api/v3/account") as answer:
            said = await answer.json()
            assert (answer.status, said["code"]) == (503, -1001)
            assert "cannot be had, trying again" in said["msg"]
        async with http.get("/livez") as answer:
            assert answer.status == 200
    live.server.faults.end()
    market, found = await asyncio.wait_for(opening, 10)
    assert (sorted(market.histories), found) == (["BTC-USDT", "ETH-USDT"], port)
