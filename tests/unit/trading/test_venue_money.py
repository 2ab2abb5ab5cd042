"""Whatever is sent to the venue model and whatever the market does: money is conserved, and a restart is invisible."""

from __future__ import annotations

from decimal import Decimal as D

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.trading.venue import NewOrder, SpotVenue, VenueRejected
from tests.unit.trading.test_venue import BTC

prices = st.integers(9000, 11000).map(lambda cents: D(cents) / 100)
quantities = st.integers(1, 300000).map(lambda steps: D(steps) / 100000)
new_orders = st.builds(
    lambda side, ord_type, tif, qty, limit_px, stop_px, name: NewOrder(
        cl_ord_id=name,
        instrument="BTC-USDT",
        side=side,
        ord_type=ord_type,
        time_in_force=tif,
        order_qty=qty,
        limit_px=limit_px if "LIMIT" in ord_type else None,
        stop_px=stop_px if "STOP" in ord_type else None,
    ),
    st.sampled_from(["BUY", "SELL"]),
    st.sampled_from(["MARKET", "LIMIT", "STOP_LOSS", "STOP_LOSS_LIMIT"]),
    st.sampled_from(["GTC", "IOC", "FOK"]),
    quantities,
    prices,
    prices,
    st.sampled_from("abcdef"),
)
steps = st.one_of(
    new_orders,
    st.tuples(st.just("quote"), prices, quantities, quantities),
    st.tuples(st.just("trade"), prices, quantities),
    st.tuples(st.just("cancel"), st.sampled_from("abcdef")),
)


def play(made: SpotVenue, step: object, now: int) -> None:
    try:
        if isinstance(step, NewOrder):
            made.submit(step, now)
        elif step[0] == "quote":
            made.on_quote("BTC-USDT", float(step[1]), float(step[2]), float(step[1]) + 0.05, float(step[3]), now)
        elif step[0] == "trade":
            made.on_trade("BTC-USDT", float(step[1]), float(step[2]), now)
        else:
            made.cancel("BTC-USDT", step[1], now)
    except VenueRejected:
        pass


def expected_holdings(made: SpotVenue, start: dict[str, D]) -> dict[str, D]:
    """What the fills alone say we must own."""
    owned_now = dict(start)
    for fill in made.fills():
        sign = 1 if fill.side == "BUY" else -1
        owned_now["BTC"] += sign * fill.qty
        owned_now["USDT"] -= sign * fill.qty * fill.px
        owned_now[fill.commission_asset] -= fill.commission
    return owned_now


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, min_size=5, max_size=60))
def test_money_is_conserved_to_the_last_digit(script) -> None:
    """Whatever is sent and whatever the market does: fills explain balances, locks explain open orders, nothing is owed."""
    start = {"BTC": D("1.5"), "USDT": D("300")}
    made = SpotVenue({"BTC-USDT": BTC}, start)
    made.on_quote("BTC-USDT", 100.0, 1.0, 100.05, 1.0, 0)
    for now, step in enumerate(script, start=1):
        play(made, step, now)
        held = {balance.asset: balance for balance in made.balances()}
        assert {asset: one.free + one.locked for asset, one in held.items()} == expected_holdings(made, start)
        assert all(one.free >= 0 and one.locked >= 0 for one in held.values())
        locked = {"BTC": D(0), "USDT": D(0)}
        for booked in made.all_orders():
            if booked.is_open:
                locked["USDT" if booked.side == "BUY" else "BTC"] += booked.reserve_px * booked.leaves_qty
        assert {asset: one.locked for asset, one in held.items()} == locked
    filled: dict[str, D] = {}
    for fill in made.fills():
        assert fill.qty % BTC.qty_step == 0
        filled[fill.venue_order_id] = filled.get(fill.venue_order_id, D(0)) + fill.qty
    for booked in made.all_orders():
        assert booked.cum_qty == filled.get(booked.venue_order_id, D(0)) <= booked.order_qty


@settings(max_examples=50, deadline=None)
@given(st.lists(steps, min_size=5, max_size=40), st.integers(0, 39))
def test_a_restart_anywhere_changes_nothing(script, cut) -> None:
    """Snapshot and restore commute with everything that can happen."""
    made = SpotVenue({"BTC-USDT": BTC}, {"BTC": D("1.5"), "USDT": D("300")})
    restarted = SpotVenue({"BTC-USDT": BTC}, {"BTC": D("1.5"), "USDT": D("300")})
    for now, step in enumerate(script):
        if now == cut:
            snapshot, restarted = restarted.snapshot(), SpotVenue({"BTC-USDT": BTC}, {})
            restarted.restore(snapshot)
        play(made, step, now)
        play(restarted, step, now)
    assert made.snapshot() == restarted.snapshot()
