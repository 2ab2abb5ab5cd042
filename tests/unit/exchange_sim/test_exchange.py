"""The venue's core without its sockets: market into account, restarts at any point, the book, the settings."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path

import pytest
from pydantic import ValidationError

from libs.common.timeframe import MINUTE
from libs.trading.fill_model import AS_QUOTED, FillModel
from libs.trading.venue import NewOrder, NewPair, SpotVenue, VenueUpdate
from services.exchange_sim.account_store import AccountStore, StoreError
from services.exchange_sim.clock import VenueClock
from services.exchange_sim.depth import DepthBook, drawn_around
from services.exchange_sim.exchange import Exchange
from services.exchange_sim.generated import GeneratedMarket
from services.exchange_sim.listing import listing_of
from services.exchange_sim.market import DepthFrame, Event, Quote
from services.exchange_sim.settings import Settings

START = Settings().start_ns
LISTINGS = {name: listing_of(name) for name in ("BTC-USDT", "ETH-USDT")}


class Heard:
    """Remembers what the account was told."""

    def __init__(self) -> None:
        self.updates: list[VenueUpdate] = []
        self.transfers: list[tuple[str, D]] = []
        self.events = 0

    def on_market(self, event: Event) -> None:
        self.events += 1

    def on_account(self, updates: list[VenueUpdate], now: int) -> None:
        self.updates += updates

    def on_transfer(self, asset: str, amount: D, now: int) -> None:
        self.transfers.append((asset, amount))


def opened(folder: Path, seed: int = 7, model: FillModel = AS_QUOTED) -> Exchange:
    venue = SpotVenue({name: listing.spec for name, listing in LISTINGS.items()}, {"USDT": D(10_000)}, model)
    market = GeneratedMarket(seed, LISTINGS, START)
    return Exchange(market, venue, AccountStore(folder), lambda now: VenueClock(now, 0.0))


def go_to(exchange: Exchange, now: int) -> None:
    exchange.clock.step_to(now)
    exchange.catch_up()
    exchange.save_clock()


def sell_stop(exchange: Exchange, cl_ord_id: str, below: str) -> NewOrder:
    bid = D(str(exchange.quotes["BTC-USDT"].bid_px))
    return NewOrder(
        cl_ord_id=cl_ord_id,
        instrument="BTC-USDT",
        side="SELL",
        ord_type="STOP_LOSS",
        order_qty=D("0.01"),
        stop_px=bid - D(below),
    )


def buy(cl_ord_id: str) -> NewOrder:
    return NewOrder(cl_ord_id=cl_ord_id, instrument="BTC-USDT", side="BUY", ord_type="MARKET", order_qty=D("0.05"))


def test_the_market_reaches_the_account(tmp_path) -> None:
    """A stop that rests is executed by played events, at their time, and listeners hear of both."""
    exchange = opened(tmp_path)
    exchange.listeners.append(heard := Heard())
    exchange.submit(buy("a"))
    exchange.submit(sell_stop(exchange, "b", "5"))
    go_to(exchange, START + 300 * MINUTE)
    assert heard.events == 300 * 36 * 2
    assert [update.exec_type for update in heard.updates] == ["NEW", "TRADE", "NEW", "TRADE"]
    assert START < heard.updates[-1].order.ts_event <= START + 300 * MINUTE


@pytest.mark.parametrize("cut_s", [None, 7])
def test_an_order_with_latency_is_new_at_once_and_filled_when_its_time_has_come(tmp_path, cut_s) -> None:
    """Its moment lies between two market events, and a restart on its way changes nothing."""
    settings = Settings(sim_latency_ms=10_007, sim_slip_bps=1, sim_impact_bps=5, sim_participation_max=1)
    exchange = opened(tmp_path, model=settings.fill_model())
    _, updates = exchange.submit(buy("a"))
    assert [update.exec_type for update in updates] == ["NEW"]
    if cut_s is not None:
        go_to(exchange, START + cut_s * 1_000_000_000)
        exchange = opened(tmp_path, model=settings.fill_model())
    exchange.listeners.append(heard := Heard())
    go_to(exchange, START + 10_006_000_000)
    assert heard.updates == []
    go_to(exchange, START + 10_007_000_000)
    ask = D(str(exchange.quotes["BTC-USDT"].ask_px))
    assert [update.order.ord_status for update in heard.updates] == ["FILLED"]
    assert heard.updates[0].fill.px > ask
    assert heard.updates[0].fill.ts_event == START + 10_007_000_000


@pytest.mark.parametrize("cut_s", [None, 7])
def test_a_pair_with_latency_arrives_as_one_and_one_order_ends_the_other(tmp_path, cut_s) -> None:
    """A restart on its way changes nothing: both are there at their moment, and the stop that the market reached ends the target."""
    exchange = opened(tmp_path, model=FillModel(latency_ms=10_007))
    exchange.submit(buy("a"))
    go_to(exchange, START + 11_000_000_000)
    bid = D(str(exchange.quotes["BTC-USDT"].bid_px))
    pair = exchange.submit_pair(
        NewPair(
            list_id="p",
            instrument="BTC-USDT",
            side="SELL",
            order_qty=D("0.01"),
            stop_id="s",
            stop_px=bid - 5,
            target_id="t",
            target_px=bid + 5_000,
        )
    )
    assert exchange.venue.next_due == START + 21_007_000_000
    if cut_s is not None:
        go_to(exchange, START + (11 + cut_s) * 1_000_000_000)
        exchange = opened(tmp_path, model=FillModel(latency_ms=10_007))
        assert exchange.venue.next_due == START + 21_007_000_000
    exchange.listeners.append(heard := Heard())
    go_to(exchange, START + 21_006_000_000)
    assert heard.updates == []
    assert exchange.venue.pairs.is_open(pair)
    go_to(exchange, START + 300 * MINUTE)
    assert exchange.venue.next_due is None
    assert [(u.order.cl_ord_id, u.order.ord_status) for u in heard.updates] == [("t", "EXPIRED"), ("s", "FILLED")]
    assert heard.updates[1].order.ts_event >= START + 21_007_000_000


@pytest.mark.no_cover
@pytest.mark.parametrize("cut_s", [0, 1, 61, 1234, 7000])
def test_a_restart_anywhere_ends_in_the_same_account(tmp_path, cut_s) -> None:
    """Stopped or not, saved here or there: the same orders meet the same market."""
    accounts = []
    for name, cuts in (("whole", []), ("cut", [cut_s, cut_s + 30])):
        exchange = opened(tmp_path / name)
        exchange.submit(buy("a"))
        exchange.submit(sell_stop(exchange, "b", "20"))
        exchange.submit(sell_stop(exchange, "c", "200"))
        for cut in cuts:
            go_to(exchange, START + cut * 1_000_000_000)
            exchange = opened(tmp_path / name)
            assert exchange.clock.now_ns() == START + cut * 1_000_000_000
        go_to(exchange, START + 400 * MINUTE)
        accounts.append((exchange.venue.snapshot(), exchange.seen, exchange.quotes, exchange.last_trades))
    assert accounts[0] == accounts[1]
    assert accounts[0][1] == {"a": 1, "b": 1, "c": 1}


def test_a_kill_resumes_later_and_plays_what_was_missed(tmp_path) -> None:
    """The time on disk is ahead of the account on disk: the account catches up before anybody is served."""
    exchange = opened(tmp_path)
    exchange.submit(buy("a"))
    exchange.submit(sell_stop(exchange, "b", "5"))
    exchange.save_clock(ahead_ns=300 * MINUTE)
    again = opened(tmp_path)
    assert again.clock.now_ns() == START + 300 * MINUTE
    assert again.venue.order("BTC-USDT", "b").ord_status == "FILLED"
    assert exchange.venue.order("BTC-USDT", "b").ord_status == "NEW"


def test_what_is_on_disk_must_fit(tmp_path) -> None:
    """Another market's account, or a broken file, is refused with what to do."""
    opened(tmp_path)
    with pytest.raises(StoreError, match=r"another market .*seed 7.*asked for.*seed 8"):
        opened(tmp_path, seed=8)
    (tmp_path / "account.json").write_text("{")
    with pytest.raises(StoreError, match="move the folder away"):
        opened(tmp_path)


def quoted(number: int, bid: float, ask: float) -> Quote:
    return Quote(
        ts=1, rank=1, instrument="BTC-USDT", update_id=number, bid_px=bid, bid_qty=1.0, ask_px=ask, ask_qty=2.0
    )


def applied(book: dict[str, str], changes: list[list[str]]) -> dict[str, str]:
    made = dict(book)
    for px, qty in changes:
        made[px] = qty
        if float(qty) == 0:
            del made[px]
    return made


def test_the_drawn_book_changes_by_differences_that_add_up() -> None:
    """A client that applies every difference holds the book that REST shows."""
    book = DepthBook("BTC-USDT", LISTINGS["BTC-USDT"])
    book.follow(quoted(5, 100.0, 100.02), 1)
    mine, first = dict(book.bids), book.last_update_id
    frame = book.follow(quoted(6, 100.01, 100.03), 2)
    assert (frame["U"], frame["u"]) == (first + 1, 6)
    assert applied(mine, frame["b"]) == book.bids
    assert book.follow(quoted(6, 100.01, 100.03), 3) is None
    assert book.shown(1)["bids"] == [["100.01000000", "1.00000000"]]
    assert book.shown(1)["asks"] == [["100.03000000", "2.00000000"]]
    low = drawn_around(quoted(1, 0.02, 0.03), LISTINGS["BTC-USDT"])
    assert len(low[0]) == 2


def test_the_recorded_book_is_what_was_recorded() -> None:
    """Differences apply; a snapshot replaces, unless the book is already beyond it; then a drawn book takes over."""
    book = DepthBook("BTC-USDT", LISTINGS["BTC-USDT"])

    def hear(raw: str, *, is_snapshot: bool = False) -> None:
        book.apply(DepthFrame(ts=1, rank=1, instrument="BTC-USDT", raw=raw, is_snapshot=is_snapshot))

    hear('{"U":1,"u":3,"b":[["99.00","1"]],"a":[["101.00","1"]]}')
    hear('{"lastUpdateId":5,"bids":[["98.00","1"]],"asks":[["102.00","1"]]}', is_snapshot=True)
    hear('{"lastUpdateId":4,"bids":[],"asks":[]}', is_snapshot=True)
    hear('{"U":6,"u":7,"b":[["98.00","0.000"],["97.00","4"],["96.00","0"]],"a":[]}')
    assert book.shown(5) == {"lastUpdateId": 7, "bids": [["97.00", "4"]], "asks": [["102.00", "1"]]}
    frame = book.follow(quoted(9, 100.0, 100.02), 1)
    assert frame["U"] == 8
    assert ["97.00", "0.00000000"] in frame["b"]


def test_settings_have_sense_without_any() -> None:
    """The speed follows the mode and the market unless it is given."""
    assert (Settings().speed, Settings(sim_data=Path(".")).speed, Settings(sim_mode="step").speed) == (20.0, 20.0, 0.0)
    assert Settings(sim_speed=3.0).speed == 3.0
    assert Settings(sim_balances="USDT=5,BTC=0.1").balances() == {"USDT": D(5), "BTC": D("0.1")}
    assert list(Settings().listings()) == ["BTC-USDT", "ETH-USDT", "SOL-USDT"]
    assert Settings().credentials() == ("", "")


@pytest.mark.parametrize(
    "wrong",
    [{"sim_start": "2026-01-05T00:00:00"}, {"sim_balances": "USDT"}, {"sim_instruments": "BTCUSDT"}, {"sim_speed": 0}],
)
def test_settings_without_sense_are_refused(wrong) -> None:
    """A start without a time zone, an amount without an asset, a symbol for an instrument, a speed of nothing."""
    with pytest.raises(ValidationError):
        Settings(**wrong)
