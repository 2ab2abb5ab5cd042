"""Whatever is sent and whatever the market does, with costs: money is conserved, shares and prices keep to the model."""

from __future__ import annotations

import itertools
from decimal import Decimal as D

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.timeframe import MINUTE
from libs.trading.bar_brackets import NewBracket
from libs.trading.bar_venue import BarVenue
from libs.trading.fill_model import FillModel
from libs.trading.venue import NewOrder, NewPair, SpotVenue, VenueRejected, VenueUpdate
from tests.unit.trading.test_bar_vectors import bar
from tests.unit.trading.test_venue import BTC, order
from tests.unit.trading.test_venue_money import expected_holdings, new_orders, new_pairs, play, prices, steps

SECOND = 1_000_000_000
LEGS = ("s", "t")
"""Of a bracket: they are at the venue before its entry fills, so no latency lies between."""
START = {"BTC": D("1.5"), "USDT": D("300")}

models = st.builds(
    lambda latency, half, slip, impact, share: FillModel(
        latency_ms=latency,
        half_spread_bps=D(half),
        slip_bps=D(slip),
        impact_bps=D(impact),
        participation_max=D(share) / 10,
    ),
    st.sampled_from([0, 1, 1500]),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 100),
    st.integers(1, 10),
)
volumes = st.integers(0, 2_000_000).map(lambda units: units / 100_000)
bars = st.builds(
    lambda pxs, volume: (*_shaped(sorted(pxs[:4]), pxs[4]), volume),
    st.tuples(prices, prices, prices, prices, st.booleans()),
    volumes,
)
brackets = st.builds(
    lambda entry, qty, stop, target: NewBracket(
        stop=order("SELL", "STOP_LOSS", str(qty), "s", stop_px=str(stop)),
        target=order("SELL", "LIMIT", str(qty), "t", limit_px=str(target)),
        entry=entry,
    ),
    st.none() | new_orders,
    st.integers(1, 150_000).map(lambda units: D(units) / 100_000),
    prices,
    prices,
)
bar_steps = st.one_of(
    new_orders, brackets, new_pairs, bars, bars, st.tuples(st.just("cancel"), st.sampled_from("abcdefst"))
)


def _shaped(ordered: list[D], rises: bool) -> tuple[float, ...]:
    low, first, second, high = (float(px) for px in ordered)
    return (first, high, low, second) if rises else (second, high, low, first)


def _act(made: BarVenue, step: object, now: int) -> list[VenueUpdate]:
    try:
        if isinstance(step, NewBracket):
            return made.submit_bracket(step, now)
        if isinstance(step, NewPair):
            return made.submit_pair(step, now)
        if isinstance(step, NewOrder):
            return made.submit(step, now)
        if step[0] == "cancel":
            return made.cancel("BTC-USDT", step[1], now)
    except VenueRejected:
        return []
    return made.on_bar(bar(now // MINUTE, step))


def _is_bar(step: object) -> bool:
    return isinstance(step, tuple) and step[0] != "cancel"


def _timed(script: list[object]) -> list[tuple[int, object]]:
    """Orders arrive at the close of the bar before them."""
    index, out = 0, []
    for step in script:
        out.append((index * MINUTE, step))
        index += _is_bar(step)
    return out


def _check_money(made: SpotVenue) -> None:
    held = {balance.asset: balance for balance in made.balances()}
    assert {asset: one.free + one.locked for asset, one in held.items()} == expected_holdings(made, START)
    assert all(one.free >= 0 and one.locked >= 0 for one in held.values())
    locked = {"BTC": D(0), "USDT": D(0)}
    for booked in made.all_orders():
        if booked.is_open:
            locked["USDT" if booked.side == "BUY" else "BTC"] += booked.reserve_px * booked.leaves_qty
    assert {asset: one.locked for asset, one in held.items()} == locked
    for pair in made.pairs.all():
        stop, target = made.pairs.orders(pair)
        assert not (stop.cum_qty and target.cum_qty), "one order of a pair ends the other before it pays"
        assert stop.is_open == target.is_open or stop.triggered or target.cum_qty


@settings(max_examples=200, deadline=None)
@given(models, st.lists(bar_steps, min_size=5, max_size=40))
def test_bars_conserve_money_share_and_price(model: FillModel, script: list[object]) -> None:
    """No bar fills more than our share of it, none better than its prices and the costs allow, and money only changes hands."""
    made = BarVenue({"BTC-USDT": BTC}, START, model)
    for now, step in _timed(script):
        updates = _act(made, step, now)
        _check_money(made)
        fills = [update.fill for update in updates if update.fill is not None]
        if not _is_bar(step):
            assert fills == []
            continue
        first, high, low, _, volume = (D(str(each)) for each in step)
        assert sum((fill.qty for fill in fills), D(0)) <= model.participation_max * volume
        for fill in fills:
            booked = made.booked("BTC-USDT", None, fill.venue_order_id)
            sign = 1 if fill.side == "BUY" else -1
            at_open = fill.ts_event == now
            if fill.liquidity_side == "MAKER":
                reached = first if at_open else low if sign > 0 else high
                assert fill.px == booked.limit_px
                assert sign * (booked.limit_px - reached) >= BTC.px_tick
            else:
                from_px = first if at_open else booked.stop_px
                least = from_px * (1 + sign * (model.half_spread_bps + model.slip_bps) / 10_000)
                assert sign * (fill.px - least) >= 0 or fill.px == booked.limit_px
                assert sign * (fill.px - from_px) >= 0 or (not at_open and booked.cl_ord_id == "s")
            waits = (
                0 if booked.cl_ord_id in LEGS else model.latency_ns
            )  # legs are at the venue before their entry fills
            assert now + MINUTE >= booked.ts_created + waits


@settings(max_examples=100, deadline=None)
@given(models, st.lists(bar_steps, min_size=5, max_size=40), st.integers(0, 39))
def test_a_bar_venue_restored_anywhere_goes_on_the_same(model: FillModel, script: list[object], cut: int) -> None:
    """The same orders and bars give the same account, and a snapshot in the middle changes nothing."""
    made, restarted = (BarVenue({"BTC-USDT": BTC}, START, model) for _ in range(2))
    for place, (now, step) in enumerate(_timed(script)):
        if place == cut:
            snapshot, restarted = restarted.snapshot(), BarVenue({"BTC-USDT": BTC}, {}, model)
            restarted.restore(snapshot)
        assert _act(made, step, now) == _act(restarted, step, now)
    assert made.snapshot() == restarted.snapshot()


@settings(max_examples=150, deadline=None)
@given(models, st.lists(st.tuples(st.integers(0, 20), steps), min_size=5, max_size=40), st.integers(0, 39))
def test_quotes_conserve_money_and_share_and_survive_a_restart(model: FillModel, script: list, cut: int) -> None:
    """In no minute do we fill more than our share of what traded in it, and nobody can tell where the venue was restored."""
    made, restarted = (SpotVenue({"BTC-USDT": BTC}, START, model) for _ in range(2))
    times = list(itertools.accumulate(wait * SECOND for wait, _ in script))
    traded: list[tuple[int, D]] = []
    for place, (now, (_, step)) in enumerate(zip(times, script, strict=True)):
        if place == cut:
            snapshot, restarted = restarted.snapshot(), SpotVenue({"BTC-USDT": BTC}, {}, model)
            restarted.restore(snapshot)
        if isinstance(step, tuple) and step[0] == "trade":
            traded.append((now, step[2]))
        for each in (made, restarted):
            each.advance(now)
            play(each, step, now)
        _check_money(made)
    assert made.snapshot() == restarted.snapshot()
    for last in made.fills() if model.caps else []:
        since = last.ts_event // SECOND - 60
        ours = sum(f.qty for f in made.fills() if since < f.ts_event // SECOND and int(f.exec_id) <= int(last.exec_id))
        market = sum(qty for at, qty in traded if since < at // SECOND and at <= last.ts_event)
        assert ours <= model.participation_max * market
