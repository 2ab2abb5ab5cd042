"""What must hold for every intent, every state and every limit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import Mark, Message, OrderApproved, OrderDenied
from libs.common.timeframe import DAY, MILLISECOND, SECOND
from services.risk_gate.blackouts import Blackout
from services.risk_gate.checks import CHECKS
from services.risk_gate.limits import Limits
from services.risk_gate.machine import RiskMachine
from services.risk_gate.record import DayStart, RoundTrips
from services.risk_gate.view import Account, OrderInFlight, View
from tests.unit.risk_gate.book import BTC, ETH, LIMITS, NOW, D, entry, failed, mark, opened, spec, trade
from tests.unit.risk_gate.informed import LISTENING, STORY, day, regime, signals, zone
from tests.unit.risk_gate.test_overrides import override

TIGHTER_WHEN_LARGER = (
    "stop_distance_min",
    "stop_atr_min",
    "duplicate_window_ms",
    "correlation_assumed",
    "cooldown_ms",
    "losses_pause_ms",
)
NO_LIMIT = (
    "instruments",
    "venue",
    "approval_ttl_ms",
    "intent_memory_hours",
    "drawdown_halt",
    "drawdown_flatten",
    "correlation_timeframe",
    "correlation_bars_min",
    "macro",
    "levels",
    "bars",
    "bar_timeframe",
    "signals",
    "blackouts",
)
"""What is no number to be drawn tighter: `drawdown_halt` moves a state, and how a correlation is learnt is no limit. Switches and windows have a
property of their own."""
SWITCHES = ("macro", "levels", "bars", "signals")
REACHES = {
    "stop_atr_min": D(10),
    "stop_atr_max": D(10),
    "day_volume_share_max": D("0.01"),
    "slippage_max": D("0.005"),
    "signal_age_share_max": D("0.003"),
}
"""The largest value worth drawing, where 1 is far beyond anything that happens."""
NUMERIC = tuple(name for name in Limits.__struct_fields__ if name not in NO_LIMIT)
INPUTS = ("specs", "marks", "feed_state", "reconciled", "account")

ALWAYS = Blackout("always", weekly=False, start=0, end=2**62)
WORDS: dict[str, Message] = {
    "bars": day(16, volume=1.5),
    "thin bars": day(16, volume=0.0001, instrument=ETH),
    "signals": signals(NOW - SECOND),
    "bull": regime("BULL"),
    "bear": regime("BEAR"),
    "levels": zone(60_500.0, 61_000.0),
    "override": override(id="ab" * 16),
}
"""What the gate may have heard from others, or not."""

quantities = st.decimals(D("0.001"), D("0.2"), places=3)
prices = st.decimals(D(55_000), D(65_000), places=2)
fractions = st.decimals(D("0.001"), D(1), places=3)


@st.composite
def wishes(draw: st.DrawFn) -> Any:
    limit = draw(st.none() | prices)
    return entry(
        order_qty=draw(quantities),
        side=draw(st.sampled_from(["BUY", "SELL"])),
        ord_type="MARKET" if limit is None else "LIMIT",
        limit_px=limit,
        ref_px=draw(prices),
        stop_px=draw(st.one_of(prices, prices, prices, st.none())),
        correlation_id=STORY,
    )


@st.composite
def views(draw: st.DrawFn) -> View:
    def order(instrument: str) -> OrderInFlight:
        qty = draw(quantities)
        return OrderInFlight(
            instrument=instrument,
            side="BUY",
            reduce_only=False,
            order_qty=qty,
            order_px=D(60_000),
            cost_px=D(60_060),
            valid_until=NOW,
        )

    state = View(feed_state="LIVE", reconciled=True, specs={BTC: spec(), ETH: spec(ETH)})
    state.reconciled_at = NOW - draw(st.integers(0, 4_000)) * MILLISECOND
    state.breakers = {"submit": "OPEN"} if draw(st.integers(0, 9)) == 0 else {}
    state.marks = {BTC: mark(px=float(draw(prices)), ts=NOW - draw(st.integers(0, 3_000)) * MILLISECOND)}
    state.marks[ETH] = mark(ETH, 3_000.0)
    state.positions = {ETH: draw(quantities)} if draw(st.booleans()) else {}
    state.in_flight = {"other": order(draw(st.sampled_from([BTC, ETH])))} if draw(st.booleans()) else {}
    worth = draw(st.decimals(D(100), D(100_000), places=2))
    state.account = Account(
        balance=worth, equity=worth, high_water_mark=worth, drawdown=draw(st.sampled_from([D(0), D("0.12")]))
    )
    state.day_start = DayStart(day=NOW // DAY, equity=worth * draw(st.sampled_from([D(1), D("1.05")])))
    ago = st.integers(0, 6_000).map(lambda ms: NOW - ms * MILLISECOND)
    state.trips = RoundTrips(losses=draw(st.integers(0, 6)), last_loss_at=draw(ago), lost_at={BTC: draw(ago)})
    state.stops = {ETH: D(2_950)} if draw(st.booleans()) else {}
    state.targets = {BTC: draw(prices)} if draw(st.booleans()) else {}
    gate = RiskMachine(LISTENING)
    gate.state = state
    unheard = draw(st.sets(st.sampled_from(sorted(WORDS)), max_size=3))
    for word in sorted({*WORDS} - unheard):
        gate.handle(WORDS[word], NOW)
    state.entry_times = [NOW - draw(st.integers(0, 70)) * SECOND for _ in range(draw(st.integers(0, 8)))]
    return state


def loose_values(name: str) -> st.SearchStrategy[Any]:
    """Values of a limit around what the drawn wishes come to, so that it decides now and then."""
    usual = getattr(LIMITS, name)
    if name in REACHES:
        return st.decimals(D("0.0001"), REACHES[name], places=4)
    if isinstance(usual, Decimal) and name != "order_value_max":
        return fractions
    return st.integers(1, 5_000).map(D if name == "order_value_max" else int)


@st.composite
def limits_and_tighter(draw: st.DrawFn, name: str) -> tuple[Limits, Limits]:
    """Two sets of limits that differ in `name`, the second one tighter."""
    others = draw(st.sets(st.sampled_from(NUMERIC), max_size=4))
    loose = msgspec.structs.replace(LISTENING, **{each: draw(loose_values(each)) for each in sorted({*others, name})})
    value, step = getattr(loose, name), draw(loose_values(name))
    least = 1 if name == "losses_in_a_row_max" else 0  # there 0 says that there is no limit
    changed = value + step if name in TIGHTER_WHEN_LARGER else max(type(value)(least), value - step)
    return loose, msgspec.structs.replace(loose, **{name: changed})


@pytest.mark.parametrize("name", NUMERIC)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_tightening_a_limit_never_turns_a_denial_into_an_approval(name: str, data: st.DataObject) -> None:
    """Whatever fails under the loose limits fails under the tighter ones too, check by check."""
    wish, state = data.draw(wishes()), data.draw(views())
    loose, tighter = data.draw(limits_and_tighter(name))
    assert set(failed(wish, state, loose)) <= set(failed(wish, state, tighter))


@settings(max_examples=200, deadline=None)
@given(wishes(), views(), st.sets(st.sampled_from(SWITCHES)), st.sampled_from((*SWITCHES, "blackouts", "instruments")))
def test_listening_to_one_more_never_turns_a_denial_into_an_approval(
    wish: Any, state: View, on: set[str], name: str
) -> None:
    """Nor does one more window in which nothing is entered, or one instrument less."""
    tighter = {**dict.fromkeys(SWITCHES, True), "blackouts": (ALWAYS,), "instruments": (ETH,)}
    loose = msgspec.structs.replace(LIMITS, **dict.fromkeys(on, True))
    assert set(failed(wish, state, loose)) <= set(
        failed(wish, state, msgspec.structs.replace(loose, **{name: tighter[name]}))
    )


def test_every_limit_is_drawn_tighter_or_has_its_reason() -> None:
    """A new limit cannot stay out of the property by being forgotten."""
    assert {*NUMERIC, *NO_LIMIT} == set(Limits.__struct_fields__)
    assert all(isinstance(getattr(LIMITS, name), int | Decimal) for name in NUMERIC)
    assert set(TIGHTER_WHEN_LARGER) < set(NUMERIC)


@settings(max_examples=100, deadline=None)
@given(wishes(), views(), st.sampled_from(INPUTS))
def test_removing_an_input_always_denies(wish: Any, state: View, removed: str) -> None:
    """Less knowledge never opens the gate."""
    setattr(state, removed, getattr(View(), removed))
    assert failed(wish, state)


@settings(max_examples=100, deadline=None)
@given(wishes(), views())
def test_exactly_one_verdict_with_every_check(wish: Any, state: View) -> None:
    """Every intent is answered once; approved if and only if nothing failed."""
    book = opened()
    book.machine.state = state
    reasons = failed(wish, state)
    book.tell(wish)
    assert len(book.effects) == 1
    verdict = book.only(OrderDenied if reasons else OrderApproved)
    assert [check.code for check in verdict.checks] == [code for code, _, _ in CHECKS]
    if isinstance(verdict, OrderDenied):
        assert list(verdict.reasons) == reasons


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(quantities, st.sampled_from([BTC, ETH]), st.sampled_from(["open", "fill", "kill"])), max_size=12)
)
def test_approvals_together_never_pass_the_limits(steps: list[tuple[Decimal, str, str]]) -> None:
    """However wishes, fills and cancels interleave: if everything approved fills, position and gross limits still hold."""
    loose = msgspec.structs.replace(LIMITS, orders_per_second_max=1_000, duplicate_window_ms=0)
    book = opened(loose)
    at_risk: dict[str, Decimal] = {BTC: D(0), ETH: D(0)}
    px = {BTC: D(60_000), ETH: D(3_000)}
    for place, (qty, instrument, fate) in enumerate(steps):
        wish = entry(
            f"i{place}", instrument=instrument, order_qty=qty, ref_px=px[instrument], stop_px=px[instrument] * D("0.98")
        )
        book.tell(wish)
        if not book.published(OrderApproved):
            continue
        if fate == "fill":
            book.tell(trade(wish, f"e{place}", str(qty), str(qty), last_px=px[instrument]))
        if fate == "kill":
            book.tell(trade(wish, "", "0", "0", "CANCELED", exec_type="CANCELED"))
        at_risk[instrument] += qty * px[instrument] if fate != "kill" else 0
        assert at_risk[instrument] <= 10_000 * LIMITS.position_fraction_max
        assert sum(at_risk.values()) <= 10_000 * LIMITS.gross_exposure_fraction_max


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_any_quote_gives_a_verdict(bid: float, ask: float) -> None:
    """No price the feed could ever send breaks the gate."""
    state = View(
        marks={
            BTC: Mark(instrument=BTC, bid_px=bid, ask_px=ask, last_px=bid, protective_px=bid, trust="TRUSTED", ts=NOW)
        }
    )
    assert "NO_RISK_STATE" in failed(entry(), state)
