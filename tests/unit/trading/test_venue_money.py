"""Whatever is sent to the venue model and whatever the market does: money is conserved, and a restart is invisible."""

from __future__ import annotations

from decimal import Decimal as D

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.trading.venue import NewOrder, NewPair, SpotVenue, VenueRejected
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
    st.sampled_from(["MARKET", "LIMIT", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT"]),
    st.sampled_from(["GTC", "IOC", "FOK"]),
    quantities,
    prices,
    prices,
    st.sampled_from("abcdef"),
)
new_pairs = st.builds(
    lambda side, qty, low, high, stop_limit_px, names: NewPair(
        list_id=names[2],
        instrument="BTC-USDT",
        side=side,
        order_qty=qty,
        stop_id=names[0],
        stop_px=low if side == "SELL" else high,
        target_id=names[1],
        target_px=high if side == "SELL" else low,
        stop_limit_px=stop_limit_px,
    ),
    st.sampled_from(["SELL", "SELL", "BUY"]),
    quantities,
    st.integers(9000, 10000).map(lambda cents: D(cents) / 100),
    st.integers(10000, 11000).map(lambda cents: D(cents) / 100),
    st.none() | prices,
    st.permutations("abcdef"),
)
steps = st.one_of(
    new_orders,
    new_pairs,
    st.tuples(st.just("cancel pair"), st.sampled_from("abcdef")),
    st.tuples(st.just("quote"), prices, quantities, quantities),
    st.tuples(st.just("trade"), prices, quantities),
    st.tuples(st.just("cancel"), st.sampled_from("abcdef")),
)


pair_steps = st.one_of(
    new_pairs,
    new_orders,
    st.sampled_from([("trade", D(100), D(1)), ("quote", D(100), D(1), D(1))]),
    st.tuples(st.just("trade"), prices, quantities),
    st.tuples(st.just("quote"), prices, quantities, quantities),
    st.tuples(st.sampled_from(["cancel", "cancel pair"]), st.sampled_from("abcdef")),
)


def play(made: SpotVenue, step: object, now: int) -> None:
    try:
        if isinstance(step, NewOrder):
            made.submit(step, now)
        elif isinstance(step, NewPair):
            made.submit_pair(step, now)
        elif step[0] == "cancel pair":
            made.cancel_pair("BTC-USDT", step[1], now)
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


def what_open_orders_need(made: SpotVenue) -> dict[str, D]:
    """Pair by pair, because only one order of each may ever be executed."""
    needs: dict[tuple[str, str], D] = {}
    for booked in made.all_orders():
        if booked.is_open:
            asset, px = ("BTC", D(1)) if booked.side == "SELL" else ("USDT", booked.limit_px or booked.stop_px)
            of = (asset, f"pair {booked.venue_list_id}" if booked.venue_list_id else booked.venue_order_id)
            needs[of] = max(needs.get(of, D(0)), px * booked.leaves_qty)
    return {asset: sum((need for (of, _), need in needs.items() if of == asset), D(0)) for asset in ("BTC", "USDT")}


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.lists(steps, min_size=5, max_size=60), st.lists(pair_steps, min_size=5, max_size=60)))
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
        assert what_open_orders_need(made) == locked, "a pair locks what its dearer order needs, an order what it needs"
    filled: dict[str, D] = {}
    for fill in made.fills():
        assert fill.qty % BTC.qty_step == 0
        filled[fill.venue_order_id] = filled.get(fill.venue_order_id, D(0)) + fill.qty
    for booked in made.all_orders():
        assert booked.cum_qty == filled.get(booked.venue_order_id, D(0)) <= booked.order_qty
    for pair in made.pairs.all():
        stop, target = made.pairs.orders(pair)
        assert not (stop.cum_qty and target.cum_qty), "one order of a pair ends the other before it pays"
        assert stop.is_open == target.is_open or stop.triggered or target.cum_qty


@settings(max_examples=50, deadline=None)
@given(st.lists(steps | pair_steps, min_size=5, max_size=40), st.integers(0, 39))
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
