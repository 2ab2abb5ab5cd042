"""A paper venue on a live market: it fills at what has come, at realistic cost, and never at what can no longer be seen."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from libs.common.timeframe import MINUTE, SECOND
from libs.trading.fill_model import AS_QUOTED, REALISTIC
from libs.trading.venue import NewOrder, NewPair, SpotVenue, VenueRejected
from services.exchange_sim.account_store import AccountStore, StoreError
from services.exchange_sim.clock import VenueClock
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.followed import MINUTES_KEPT, TRADES_KEPT, FollowedMarket
from services.exchange_sim.listing import listing_of
from services.exchange_sim.market import bar_between
from services.exchange_sim.settings import Settings

BTC = "BTC-USDT"
START = 1_800_000_000 * SECOND // MINUTE * MINUTE
URL = "http://venue.example"


class Stand:
    """A followed market, its exchange, and the time of both."""

    def __init__(self, folder: Path, *, now: int = START, url: str = URL):
        self.now, self._trade_id = now, 0
        listings = {BTC: listing_of(BTC)}
        self.market = FollowedMarket(url, listings, lambda: self.now)
        venue = SpotVenue({BTC: listings[BTC].spec}, {"USDT": D(10_000)}, REALISTIC)
        self.exchange = Exchange(self.market, venue, AccountStore(folder), lambda _: VenueClock(self.now, 0.0))

    def wait(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        self.exchange.clock.step_to(self.now)
        self.exchange.catch_up()

    def quote(self, bid: float, ask: float) -> None:
        self.market.quote(BTC, 1, (bid, 5.0), (ask, 5.0))
        self.exchange.catch_up()

    def trade(self, px: float, qty: float = 1.0) -> None:
        self._trade_id += 1
        self.market.trade(BTC, self._trade_id, self.now, px, qty, is_sell=False)
        self.exchange.catch_up()

    def buy(self, cl_ord_id: str = "a") -> None:
        self.exchange.submit(
            NewOrder(cl_ord_id=cl_ord_id, instrument=BTC, side="BUY", ord_type="MARKET", order_qty=D("0.04"))
        )

    def protect(self, stop: float) -> None:
        pair = NewPair(
            list_id="list", instrument=BTC, side="SELL", order_qty=D("0.03"), stop_id="stop", target_id="target",
            stop_px=D(str(stop)), target_px=D(90_000),
        )  # fmt: skip
        self.exchange.submit_pair(pair)

    def order(self, cl_ord_id: str) -> tuple[str, D, D | None]:
        found = self.exchange.venue.require(BTC, cl_ord_id).as_order()
        prices = [fill.px for fill in self.exchange.venue.fills() if fill.venue_order_id == found.venue_order_id]
        return found.ord_status, found.cum_qty, prices[-1] if prices else None


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    made = Stand(tmp_path)
    made.quote(50_000.0, 50_001.0)
    made.trade(50_001.0)
    return made


def test_an_order_fills_after_its_latency_at_the_live_price_and_its_costs(stand: Stand) -> None:
    """1 bp of slip and 10 bp x sqrt(0.04 / 1) of impact above the offer; nothing before 150 ms have passed."""
    stand.buy()
    stand.wait(0.149)
    assert stand.order("a") == ("NEW", D(0), None)
    stand.wait(0.001)
    assert stand.order("a") == ("FILLED", D("0.04"), D("50016.01"))


def test_before_the_first_quote_no_order_is_taken(tmp_path: Path) -> None:
    """A trade alone is no market to meet: it is not even told."""
    stand = Stand(tmp_path)
    stand.trade(50_000.0)
    assert stand.exchange.last_trades == {}
    with pytest.raises(VenueRejected, match="cannot be seen now") as refused:
        stand.buy()
    assert refused.value.code == -1015


def test_a_lost_market_takes_no_order_and_fills_none(stand: Stand) -> None:
    """Neither by an old quote nor by an old trade; an order under way finds nobody to trade with, and a cancel goes on working."""
    stand.buy("first")
    stand.wait(1)
    stand.buy("under-way")
    stand.exchange.submit(
        NewOrder(cl_ord_id="bid", instrument=BTC, side="BUY", ord_type="LIMIT", order_qty=D("0.01"), limit_px=D(49_000))
    )
    stand.protect(49_000)
    stand.market.lose()
    stand.wait(60)
    assert stand.order("under-way") == ("EXPIRED", D(0), None)
    assert [stand.order(each)[0] for each in ("stop", "target", "bid")] == ["NEW", "NEW", "NEW"]
    for ask in (stand.buy, lambda: stand.protect(48_000)):
        with pytest.raises(VenueRejected, match="cannot be seen now"):
            ask()
    stand.exchange.cancel(BTC, "bid", None)
    assert stand.order("bid")[0] == "CANCELED"


def test_a_stop_that_was_passed_meanwhile_fills_at_the_gap(stand: Stand) -> None:
    """The first quote after the loss is what it meets: below its price, as at a real venue after an outage of ours."""
    stand.buy()
    stand.wait(1)
    stand.protect(49_000)
    stand.market.lose()
    stand.wait(120)
    stand.quote(45_000.0, 45_001.0)
    stand.trade(45_000.5, 10.0)
    status, filled, px = stand.order("stop")
    assert (status, filled) == ("FILLED", D("0.03"))
    assert px is not None
    assert D(44_950) < px < D(45_000)
    assert stand.order("target")[0] == "EXPIRED"


def test_a_restart_keeps_the_account_and_forgets_the_prices(stand: Stand, tmp_path: Path) -> None:
    """What rested still rests; what was quoted before the restart fills nothing."""
    stand.buy()
    stand.wait(1)
    stand.protect(49_000)
    stand.wait(1)
    stand.exchange.save()
    again = Stand(tmp_path, now=stand.now + 600 * SECOND)
    again.wait(1)
    assert again.exchange.venue.balances() == stand.exchange.venue.balances()
    assert ("USDT", D(10_000)) not in {(held.asset, held.free) for held in again.exchange.venue.balances()}
    assert again.order("stop")[0] == "NEW"
    with pytest.raises(VenueRejected, match="cannot be seen now"):
        again.buy("b")
    again.quote(50_000.0, 50_001.0)
    again.buy("b")


def test_an_account_belongs_to_the_market_that_it_was_traded_on(stand: Stand, tmp_path: Path) -> None:
    """What was earned on one market is not carried to another."""
    with pytest.raises(StoreError, match="holds an account of another market"):
        Stand(tmp_path, url="http://other.example")


def test_an_asked_quote_does_not_replace_a_newer_one(stand: Stand) -> None:
    """REST tells what was; once the sockets speak, they are right. A trade told twice is one trade."""
    stand.market.quote(BTC, 0, (1.0, 1.0), (2.0, 1.0), is_asked=True)
    stand.market.trade(BTC, 1, stand.now, 50_001.0, 1.0, is_sell=False)
    stand.exchange.catch_up()
    assert stand.exchange.quotes[BTC].bid_px == 50_000.0
    assert len(stand.market.followed[BTC].recent_trades(10, stand.now)) == 1


def test_what_was_heard_makes_bars_and_does_not_grow_for_ever(stand: Stand) -> None:
    """A day of minutes, and the last trades."""
    history = stand.market.followed[BTC]
    told = 10
    for minute in range(MINUTES_KEPT + 60):
        stand.now = START + (minute + 1) * MINUTE
        for px in (100.0, 104.0, 96.0, 101.0):
            told += 1
            stand.market.trade(BTC, told, stand.now, px, 0.5, is_sell=False)
    bar = bar_between(history, START + MINUTES_KEPT * MINUTE, START + (MINUTES_KEPT + 2) * MINUTE, stand.now)
    assert bar is not None
    assert (bar.open, bar.high, bar.low, bar.close) == (100.0, 104.0, 96.0, 101.0)
    assert bar.lots == 2 * 4 * 50_000
    assert history.piece("1m", START + MINUTE) is None
    assert len(history.recent_trades(10**6, stand.now)) == TRADES_KEPT


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"sim_mode": "step"}, "lives in wall time"),
        ({"sim_speed": 20.0}, "lives in wall time"),
        ({"sim_data": Path("recording")}, "SIM_DATA and BULKHEAD_SIM_FOLLOW_URL: a market comes from one"),
        ({"sim_latency_ms": 0}, "realistically or worse"),
        ({"sim_slip_bps": D("0.9")}, "realistically or worse"),
        ({"sim_impact_bps": D(9)}, "realistically or worse"),
        ({"sim_participation_max": D(1)}, "realistically or worse"),
    ],
)
def test_a_live_market_is_not_made_easier(told: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    """Neither its time nor its costs."""
    with pytest.raises(ValidationError, match=complaint):
        Settings(home=tmp_path, sim_follow_url=URL, **told)


def test_a_live_market_is_realistic_and_may_be_made_worse(tmp_path: Path) -> None:
    """A generated one costs nothing, as before."""
    assert Settings(home=tmp_path).fill_model() == AS_QUOTED
    followed = Settings(home=tmp_path, sim_follow_url=URL)
    assert (followed.fill_model(), followed.speed) == (REALISTIC, 1.0)
    worse = Settings(home=tmp_path, sim_follow_url=URL, sim_latency_ms=400, sim_speed=1.0).fill_model()
    assert (worse.latency_ms, worse.slip_bps) == (400, REALISTIC.slip_bps)
