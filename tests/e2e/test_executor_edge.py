"""The executor's adapter: the venue's clock, what the key may do, what the user stream tells, what Prometheus is shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from libs.common.messages import BalanceMoved, UserStreamChanged, VenueChecked, VenueReported
from services.order_executor.requests import CheckVenue
from services.order_executor.state import State
from tests.e2e.executor_bench import Bench, bench
from tests.e2e.test_executor_adapter import FAR, babbling, buy, look, read, stop
from tests.e2e.venue_stand import VenueStand, open_venue
from tests.unit.order_executor.desk import BTC, ETH, Desk, approval, fill, order


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """The emulated venue, in step mode, past its first minute."""
    async with open_venue(tmp_path / "venue") as stand:
        await stand.advance(90)
        yield stand


@pytest.fixture
async def still(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """The emulated venue, whose clock has not been moved: then it knows how old a time stamp is."""
    async with open_venue(tmp_path / "still") as stand:
        yield stand


def check(*instruments: str) -> CheckVenue:
    """A check."""
    return CheckVenue(valid_until=FAR, instruments=instruments or (BTC, ETH))


# --- the venue's clock --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew_ms", [5_000, -5_000])
async def test_a_clock_that_goes_astray_costs_one_refusal(still, tmp_path, skew_ms):
    """A venue's clock that goes astray costs one refusal; the next attempt, made at once, goes through."""
    async with bench(still, tmp_path, exec_recv_window_ms=1_000) as desk:
        assert (await desk.ask(buy())).outcome == "CONFIRMED"
        await still.post("/sim/clock-skew", {"ms": skew_ms})
        first = await desk.ask(buy("c" * 32))
        assert (first.outcome, first.code) == ("REJECTED", "-1021")
        assert (await desk.ask(buy("d" * 32))).outcome == "CONFIRMED"
        assert (await desk.ask(read())).ok
        assert (await still.get("/sim/account"))["seen_cl_ord_ids"].get("c" * 32) is None


@pytest.mark.parametrize("skew_ms", [5_000, -5_000])
async def test_a_clock_that_is_astray_from_the_start_costs_nothing(still, tmp_path, skew_ms):
    """A clock that is astray from the start costs nothing: it is measured before anything is signed."""
    await still.post("/sim/clock-skew", {"ms": skew_ms})
    async with bench(still, tmp_path, exec_recv_window_ms=1_000) as desk:
        assert (await desk.ask(buy())).outcome == "CONFIRMED"
        assert (await desk.ask(check())).clock_drift_ms == skew_ms


async def test_a_look_up_and_a_reading_have_the_clock_measured_too(still, tmp_path):
    """A refused time stamp is never "not found", and whatever it was refused for, the next request is stamped right."""
    async with bench(still, tmp_path) as desk:
        await still.post("/sim/clock-skew", {"ms": 20_000})
        assert (await desk.ask(look("b" * 32))).outcome == "FAILED"
        assert (await desk.ask(look("b" * 32))).outcome == "NOT_FOUND"
        await still.post("/sim/clock-skew", {"ms": -20_000})
        assert not (await desk.ask(read())).ok
        assert (await desk.ask(read())).ok


# --- what the venue says of us ------------------------------------------------------------------------------------------


async def test_a_healthy_venue_is_checked(venue, tmp_path):
    """A healthy venue is checked: key, clock, fees and instruments."""
    async with bench(venue, tmp_path) as desk:
        said: VenueChecked = await desk.ask(check(BTC, ETH, "DOGE-USDT"))
        assert (said.ok, said.detail, said.clock_drift_ms) == (True, "", 0)
        assert (said.can_trade, said.can_withdraw, said.ip_restricted) == (True, False, True)
        assert (said.maker_bps, said.taker_bps) == (D(10), D(10))
        assert said.tradable == (BTC, ETH)


async def test_a_key_that_may_too_much_or_too_little_is_shown_as_it_is(venue, tmp_path):
    """A key that may too much or too little is shown as it is."""
    async with bench(venue, tmp_path) as desk:
        await venue.post("/sim/key", {"withdrawals": True, "ip_restricted": False, "trading": False})
        said: VenueChecked = await desk.ask(check())
        assert (said.can_withdraw, said.ip_restricted, said.can_trade) == (True, False, False)
        refused = await desk.ask(buy())
        assert (refused.outcome, refused.code) == ("REJECTED", "-2015")


async def test_a_market_that_is_closed_or_delisted_is_not_tradable(venue, tmp_path):
    """A market that is closed or delisted is not tradable."""
    async with bench(venue, tmp_path) as desk:
        venue.server.hands.delist(BTC, listed=True)
        assert (await desk.ask(check())).tradable == (ETH,)
        venue.server.hands.delist(ETH, listed=False)
        assert (await desk.ask(check())).tradable == ()


async def test_a_revoked_key_leaves_what_needs_none_and_is_restored(venue, tmp_path):
    """A revoked key leaves what needs none: clock and instruments; every signed part is unknown, with the reason."""
    async with bench(venue, tmp_path) as desk:
        await desk.ask(buy())
        await venue.post("/sim/key", {"revoked": True})
        said: VenueChecked = await desk.ask(check())
        assert (said.ok, said.clock_drift_ms, said.tradable) == (True, 0, (BTC, ETH))
        assert (said.can_trade, said.can_withdraw, said.maker_bps) == (None, None, None)
        assert "apiRestrictions: -2015" in said.detail
        assert "account: -2015" in said.detail
        refused = await desk.ask(stop())
        assert (refused.outcome, refused.code) == ("REJECTED", "-2015")
        assert (await desk.ask(look("b" * 32))).outcome == "FAILED"
        await venue.post("/sim/key", {"revoked": False})
        assert (await desk.ask(stop())).outcome == "CONFIRMED"


@pytest.mark.parametrize(("status", "body"), [(200, "{}"), (200, "<html>"), (503, ""), (403, "<html>")])
async def test_a_venue_that_says_nothing_leaves_everything_unknown(tmp_path, status, body):
    """A venue that says nothing leaves everything unknown."""
    async with babbling(status, body) as (url, _):
        desk = Bench(tmp_path, url, "k" * 64, "s" * 64, lambda: 1)
        await desk.adapter.open(desk.context)
        try:
            said: VenueChecked = await desk.ask(check())
            assert not said.ok
            assert said.detail
            assert [said.clock_drift_ms, said.can_trade, said.can_withdraw, said.tradable] == [None] * 4
        finally:
            await desk.adapter.close()


# --- what the user stream tells -----------------------------------------------------------------------------------------


def burst(venue: VenueStand, *events: dict[str, Any]) -> None:
    """Frames of the user stream in one go, as if the venue had sent them."""
    for connection in list(venue.server.hub.sockets):
        for event in events:
            connection.send(json.dumps({"subscriptionId": 0, "event": event}))


def balance_update(asset: str, delta: str, at: int) -> dict[str, Any]:
    """A `balanceUpdate`."""
    return {"e": "balanceUpdate", "E": at + 1, "a": asset, "d": delta, "T": at}


def report(symbol: str, name: str, **changes: Any) -> dict[str, Any]:
    """An `executionReport`."""
    values = {
        "e": "executionReport",
        "E": 2,
        "s": symbol,
        "c": name,
        "S": "SELL",
        "o": "LIMIT",
        "q": "1",
        "p": "9",
        "P": "0",
    }
    more = {
        "x": "NEW",
        "X": "NEW",
        "i": 7,
        "l": "0",
        "z": "0",
        "L": "0",
        "n": "0",
        "N": None,
        "T": 2,
        "t": -1,
        "m": False,
        "C": "",
    }
    return {**values, **more, **changes}


async def test_deposits_and_withdrawals_are_told_in_order_and_recognised_when_told_twice(venue, tmp_path):
    """Deposits and withdrawals are told, each of a burst of them, and one that is told twice has one id."""
    async with bench(venue, tmp_path) as desk:
        await venue.post("/sim/account/deposit", {"asset": "USDT", "amount": "500"})
        await venue.post("/sim/account/withdraw", {"asset": "USDT", "amount": "20"})
        told = await desk.until(BalanceMoved, 2)
        assert [(each.asset, each.amount) for each in told] == [("USDT", D(500)), ("USDT", D(-20))]
        burst(venue, *[balance_update("BTC", f"0.0{number}", 1_000 + number) for number in range(1, 10)])
        burst(venue, balance_update("BTC", "0.09", 1_009))
        told = (await desk.until(BalanceMoved, 12))[2:]
        assert [each.amount for each in told[:9]] == [D(f"0.0{number}") for number in range(1, 10)]
        assert (told[8].id, told[8].ts_event) == (told[9].id, 1_009 * 1_000_000)
        assert len({each.id for each in told}) == 9


async def test_words_nobody_knows_do_not_blind_us_to_our_own_orders(venue, tmp_path):
    """Words nobody knows, in frames and orders of somebody else's, do not blind us to our own."""
    async with bench(venue, tmp_path) as desk:
        burst(
            venue,
            {"e": "listStatus", "s": "BTCUSDT", "g": 1, "c": "OCO", "l": "EXEC_STARTED", "L": "EXECUTING", "O": []},
            {"e": "externalLockUpdate", "E": 1, "a": "NEO", "d": "10", "T": 1},
            {"e": "somethingOfNextYear"},
            balance_update("BTC", "much", 5),
            {"e": "balanceUpdate"},
            report("BTCUSDT", "stranger", X="TELEPORTED"),
            report("BTCUSDT", "stranger", S="LEND"),
            report("NEOUSDT", "stranger", X="TELEPORTED"),
            report("BTCUSDT", "pegged", o="PEGGED_TRAILING", P="8"),
            report("BTCUSDT", "paid", x="TRADE", X="TELEPORTED", l="1", L="9", t=5),
        )
        await desk.ask(buy())
        told = await desk.until(VenueReported, 3)
        assert (told[0].order.cl_ord_id, told[0].order.ord_type) == ("pegged", "STOP_LOSS_LIMIT")
        assert (told[1].order, told[1].fill.cl_ord_id, told[1].fill.qty) == (None, "paid", D(1))
        assert told[2].order.cl_ord_id == "b" * 32
        assert len([each for each in desk.heard if isinstance(each, UserStreamChanged)]) == 1


async def test_every_report_of_a_burst_is_told_in_its_order(venue, tmp_path):
    """Every report of a burst is told in its order: also several of one order, which ccxt would merge into the last."""
    async with bench(venue, tmp_path) as desk:
        burst(venue, *[report("BTCUSDT", "b" * 32, x="TRADE", l="0.1", z=f"0.{n}", L="9", t=n) for n in range(1, 9)])
        burst(venue, report("BTCUSDT", "b" * 32, x="CANCELED", X="CANCELED", z="0.8"))
        told = await desk.until(VenueReported, 9)
        assert [each.fill.exec_id for each in told[:8]] == [str(number) for number in range(1, 9)]
        assert told[8].order.ord_status == "CANCELED"


STRANGE = (
    '[{"symbol":"%s","orderId":1,"clientOrderId":"x","status":"%s","side":"SELL","type":"TAKE_PROFIT_LIMIT","origQty":"1",'
    '"executedQty":"%s","price":"9","stopPrice":"8","updateTime":1}]'
)


@pytest.mark.parametrize(("executed", "status"), [("0", "NEW"), ("0.5", "PARTIALLY_FILLED")])
async def test_an_open_order_of_a_kind_nobody_knows_is_read_as_open(executed, status, tmp_path):
    """An open order of a kind nobody knows is read as open, by its prices."""
    from services.order_executor.adapters.frames import as_orders, open_order

    raw = json.loads(STRANGE % ("BTCUSDT", "TELEPORTED", executed))
    seen = open_order(as_orders(raw)[0], BTC)
    assert (seen.ord_type, seen.ord_status, seen.limit_px, seen.stop_px) == ("STOP_LOSS_LIMIT", status, D(9), D(8))


# --- what Prometheus is shown -------------------------------------------------------------------------------------------


def series(registry: CollectorRegistry) -> dict[str, float]:
    """Every sample."""
    lines = [line.rpartition(" ") for line in generate_latest(registry).decode().splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


@pytest.fixture
def shown(venue: VenueStand, tmp_path: Path) -> Callable[[Callable[[], State | None]], Any]:
    """A bench whose machine has a given memory, and the registry it fills."""

    def make(state: Callable[[], State | None]) -> tuple[Bench, CollectorRegistry]:
        desk = Bench(tmp_path, venue.url, venue.key, venue.secret, lambda: venue.now)
        desk.context.registry, desk.context.state = CollectorRegistry(), state
        return desk, desk.context.registry

    return make


async def test_what_no_stop_covers_is_shown_at_its_worth(shown):
    """What no stop covers is shown at its worth, from the fill on until the stop rests."""
    desk = Desk().tell(approval())
    bench_of, registry = shown(lambda: desk.state)
    await bench_of.adapter.open(bench_of.context)
    try:
        name = f'bulkhead_stop_uncovered_notional{{instrument="{BTC}"}}'
        assert series(registry)[name] == 0
        desk.confirm(order("ENTRY"), fill("1", order("ENTRY"), "0.01"), status="FILLED")
        px = desk.state.marks[BTC].protective_px
        assert series(registry)[name] == pytest.approx(0.01 * px)
        desk.confirm(order("STOP"))
        assert series(registry)[name] == 0
        assert series(registry)[f'bulkhead_stop_uncovered_notional{{instrument="{ETH}"}}'] == 0
    finally:
        await bench_of.adapter.close()


async def test_orders_whose_fate_is_unknown_are_counted(shown):
    """Orders whose fate is unknown are counted."""
    desk = Desk().tell(approval())
    bench_of, registry = shown(lambda: desk.state)
    await bench_of.adapter.open(bench_of.context)
    try:
        assert series(registry)["bulkhead_exec_orders_unknown"] == 0
        desk.answer(order("ENTRY"), "UNKNOWN", code="NO_ANSWER")
        assert series(registry)["bulkhead_exec_orders_unknown"] == 1
    finally:
        await bench_of.adapter.close()


async def test_submissions_are_timed_by_how_they_ended(shown):
    """Submissions are timed by how they ended; before the machine has a memory there is nothing else to show."""
    desk, registry = shown(lambda: None)
    await desk.adapter.open(desk.context)
    try:
        await desk.ask(buy())
        desk.lease = False
        await desk.ask(buy("c" * 32))
        await asyncio.sleep(0)
        found = series(registry)
        assert found['bulkhead_exec_submit_seconds_count{outcome="CONFIRMED"}'] == 1
        assert found['bulkhead_exec_submit_seconds_count{outcome="NEVER_SENT"}'] == 1
        assert not any("uncovered" in name for name in found)
    finally:
        await desk.adapter.close()
