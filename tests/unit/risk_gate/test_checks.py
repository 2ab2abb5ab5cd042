"""Every check at its limit and just over it."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from libs.common.codec import decode, encode
from libs.common.messages import InstrumentQuarantined, OrderDenied, OrderIntent, Trust
from libs.common.timeframe import HOUR, MILLISECOND, MINUTE, SECOND
from services.risk_gate.checks import CHECKS
from services.risk_gate.view import Account, View
from tests.unit.risk_gate.book import (
    BTC,
    ETH,
    NOW,
    D,
    breaker,
    entry,
    exit_,
    failed,
    judged,
    limit_entry,
    mark,
    marks,
    opened,
    position,
    reconciled,
    report,
    spec,
    status,
    tightened,
    view,
)

CODES = [code for code, _, _ in CHECKS]
SANITY = [code for code, for_exits, _ in CHECKS if for_exits]


def account(seen: View, **changed: Decimal) -> View:
    assert seen.account is not None
    seen.account = msgspec.structs.replace(seen.account, **changed)
    return seen


def priced(px: float, **at: int) -> View:
    seen = view()
    seen.on_marks(marks(mark(px=px, **at)))
    return seen


def test_an_entry_within_every_limit_passes_every_check() -> None:
    """A sound wish in a sound house is approved, and every check says with which numbers."""
    checks = judged(entry())
    assert failed(entry()) == []
    assert list(checks) == CODES
    assert all(check.value and check.limit for check in checks.values())


@pytest.mark.parametrize(
    ("code", "at_limit", "over"),
    [
        ("INVALID_NUMBER", entry(), entry(order_qty=D("NaN"))),
        ("INVALID_NUMBER", entry(), entry(order_qty=D(0))),
        ("INVALID_NUMBER", entry(), entry(order_qty=D(-1))),
        ("INVALID_NUMBER", entry(), entry(ref_px=D("Infinity"))),
        ("INVALID_NUMBER", entry(), entry(ref_px=D("sNaN"))),
        ("INVALID_NUMBER", entry(), entry(stop_px=D("9E+999999"))),
        ("INVALID_NUMBER", entry(), entry(target_px=D("1E-999999"))),
        ("INVALID_NUMBER", entry(), entry(order_qty=D("0." + "1" * 29))),
        ("INVALID_NUMBER", limit_entry(), entry(ord_type="LIMIT")),
        ("INVALID_NUMBER", entry(), entry(limit_px=D(60_000))),
        ("INSTRUMENT_NOT_ALLOWED", entry(), entry(instrument="DMG-USDT")),
        ("LOT_STEP", entry(order_qty=D("0.020")), entry(order_qty=D("0.0205"))),
        ("LOT_STEP", entry(order_qty=D("0.001")), entry(order_qty=D("0.0009"))),
        ("TICK", entry(stop_px=D("58800.01")), entry(stop_px=D("58800.001"))),
        ("TICK", entry(target_px=D("62000.01")), entry(target_px=D("62000.015"))),
        ("TICK", limit_entry(px="59999.99"), limit_entry(px="59999.999")),
        ("PRICE_COLLAR", limit_entry(px="61200.0"), limit_entry(px="61200.1")),
        ("PRICE_COLLAR", limit_entry(px="48000.0"), limit_entry(px="47999.9")),
        ("PRICE_COLLAR", limit_entry(side="SELL", px="58800.0"), limit_entry(side="SELL", px="58799.9")),
        ("PRICE_COLLAR", limit_entry(side="SELL", px="72000.0"), limit_entry(side="SELL", px="72000.1")),
        ("PRICE_COLLAR", entry(ref_px=D("61200.0")), entry(ref_px=D("61200.1"))),
        ("PRICE_COLLAR", entry(ref_px=D("58800.0")), entry(ref_px=D("58799.9"))),
        ("STOP_SIDE", entry(stop_px=D("59999.99")), entry(stop_px=D(60_000))),
        ("STOP_SIDE", entry(side="SELL", stop_px=D("60000.01")), entry(side="SELL", stop_px=D(60_000))),
        ("STOP_DISTANCE", entry(stop_px=D("59970.00")), entry(stop_px=D("59970.01"))),
        ("STOP_DISTANCE", entry(stop_px=D("48000.00")), entry(stop_px=D("47999.99"))),
        ("NO_STOP", entry(), entry(stop_px=None)),
        ("DUPLICATE_ID", entry("i1"), entry("")),
    ],
)
def test_the_order_itself(code: str, at_limit: OrderIntent, over: OrderIntent) -> None:
    """What is asked must be an order at all: numbers, steps, ticks, prices near the market, a stop on the right side."""
    assert judged(at_limit)[code].passed
    assert not judged(over)[code].passed


def test_lot_step_and_tick_come_from_the_venue() -> None:
    """Without the venue's rules nothing is a valid size."""
    seen = view()
    del seen.specs[BTC]
    assert {"NO_SPEC", "LOT_STEP", "TICK", "MIN_NOTIONAL"} <= set(failed(entry(), seen))
    assert judged(entry(), seen)["NO_SPEC"].value == "missing"
    assert judged(entry())["NO_SPEC"].value == "known"


def test_an_order_without_prices_has_no_tick_to_miss() -> None:
    """A market exit names no price; one with prices shows them all."""
    assert judged(exit_())["TICK"].value == "no price"
    assert judged(limit_entry())["TICK"].value == "60000 58800"


@pytest.mark.parametrize(
    "bad", [{"px_tick": D(0)}, {"qty_step": D("1E-30")}, {"notional_min": D(-1)}, {"taker_fee": D("1E+20")}]
)
def test_absurd_rules_are_no_rules(bad: dict[str, Decimal]) -> None:
    """A step of zero would divide by zero; a spec that cannot be one is missing."""
    seen = view()
    seen.on_feed_status(status("LIVE", spec(**bad)), "")
    assert not judged(entry(), seen)["NO_SPEC"].passed


def test_min_notional_is_met_at_the_lower_price() -> None:
    """An order worth exactly the venue's minimum is enough; a cent less is refused there, so it is denied here."""
    seen = view()
    seen.on_feed_status(status("LIVE", spec(notional_min=D("1200.00"))), "")
    assert judged(entry(), seen)["MIN_NOTIONAL"].passed
    seen.on_marks(marks(mark(px=59_999.5)))
    check = judged(entry(), seen)["MIN_NOTIONAL"]
    assert (check.passed, check.value, check.limit) == (False, "1199.99", "at least 1200")


def test_a_price_may_be_two_seconds_old() -> None:
    """At 2000 ms the mark still counts, at 2001 ms it is stale; a mark from the future is as stale."""
    old = 2_000 * MILLISECOND
    assert judged(entry(), now=NOW + old)["STALE_PRICE"].passed
    late = judged(entry(), now=NOW + old + MILLISECOND)["STALE_PRICE"]
    assert (late.passed, late.value, late.limit) == (False, "2001", "2000")
    assert judged(entry(), now=NOW - old)["STALE_PRICE"].passed
    assert not judged(entry(), now=NOW - old - 1)["STALE_PRICE"].passed


def test_proof_of_life_keeps_a_quiet_price_fresh() -> None:
    """Quiet is not stale: `alive` makes the known price as young as its `as_of`, and never an older one younger."""
    seen, later = view(), NOW + 10 * SECOND
    seen.on_marks(marks(as_of=later, alive=(BTC, "XRP-USDT")))
    assert judged(entry(), seen, now=later)["STALE_PRICE"].value == "0"
    seen.on_marks(marks(as_of=NOW, alive=(BTC,)))
    seen.on_marks(marks(mark(px=1.0, ts=NOW)))
    assert judged(entry(), seen, now=later)["STALE_PRICE"].value == "0"
    assert seen.mid_px(BTC) == 60_000
    assert "XRP-USDT" not in seen.marks


def test_an_intent_may_be_judged_until_its_last_nanosecond() -> None:
    """Yesterday's wish is not acted upon."""
    wish = entry(valid_until=NOW)
    assert judged(wish, now=NOW)["STALE_INTENT"].passed
    assert not judged(wish, now=NOW + 1)["STALE_INTENT"].passed


@pytest.mark.parametrize("state", ["STALE", "DOWN"])
def test_only_a_live_feed_is_believed(state: str) -> None:
    """While the feed doubts itself nobody enters."""
    seen = view()
    seen.on_feed_status(status(state), "")
    assert failed(entry(), seen) == ["FEED_DOWN"]
    assert judged(entry(), seen)["FEED_DOWN"].value == state
    assert judged(entry(), View())["FEED_DOWN"].value == "missing"


@pytest.mark.parametrize("px", [0.0, -1.0, 1e300])
def test_an_unusable_quote_is_no_reference(px: float) -> None:
    """A price of zero is not a price."""
    assert "NO_REFERENCE_PRICE" in failed(entry(), priced(px))


def test_order_value_is_capped_by_equity_and_absolutely() -> None:
    """Half of 10000 may be ordered at once, whatever the cap allows; and never more than the cap, whatever the equity."""
    wish = entry(order_qty=D("0.083"))
    assert judged(wish)["MAX_ORDER_VALUE"].passed
    over = judged(entry(order_qty=D("0.084")))["MAX_ORDER_VALUE"]
    assert (over.passed, over.value, over.limit) == (False, "5040", "5000")
    assert judged(wish, limits=tightened(order_value_max=D("4980")))["MAX_ORDER_VALUE"].passed
    assert not judged(wish, limits=tightened(order_value_max=D("4979.99")))["MAX_ORDER_VALUE"].passed


def test_the_value_of_a_market_order_is_taken_at_the_worse_price() -> None:
    """Sized on 60000 while the market stands at 60300: it will cost 60300; a limit order costs its limit at most."""
    assert judged(entry(), priced(60_300.0))["MAX_ORDER_VALUE"].value == "1206"
    assert judged(limit_entry(), priced(60_300.0))["MAX_ORDER_VALUE"].value == "1200"


def test_a_position_may_be_a_fifth_of_equity_in_the_worst_case() -> None:
    """2000 of 10000 may be held in one instrument, what is held and what may still fill included."""
    seen = view()
    seen.on_position(position("0.01"))
    assert judged(entry(), seen, tightened(position_fraction_max=D("0.18")))["MAX_POSITION"].passed
    over = judged(entry(), seen, tightened(position_fraction_max=D("0.1799")))["MAX_POSITION"]
    assert (over.passed, over.value, over.limit) == (False, "1800", "1799")


def test_a_sale_is_valued_at_its_own_worst() -> None:
    """Selling 0.03 of 0.02 held would leave 0.01 short, so 0.02 held is the worst; flat, the short itself is."""
    sale = entry(side="SELL", order_qty=D("0.03"), stop_px=D(61_200))
    assert judged(sale)["MAX_POSITION"].value == "1800"
    seen = view()
    seen.on_position(position("0.02"))
    assert judged(sale, seen)["MAX_POSITION"].value == "1200"
    assert judged(sale, priced(59_900.0))["MAX_ORDER_VALUE"].value == "1797"
    assert judged(sale, priced(60_100.0))["MAX_ORDER_VALUE"].value == "1800"


def test_a_position_is_valued_at_the_worst_price_known() -> None:
    """The mark has fallen to 59000, an approved entry may still pay 60000: what it becomes is valued at that."""
    seen = opened().tell(limit_entry("i0")).machine.state
    seen.on_marks(marks(mark(px=59_000.0)))
    assert judged(limit_entry(px="58000"), seen)["MAX_POSITION"].value == "2400"


def test_a_free_venue_has_rules_too() -> None:
    """No fee and no smallest value are rules like any other."""
    seen = view()
    seen.on_feed_status(status("LIVE", spec(taker_fee=D(0), notional_min=D(0), qty_min=D(0))), "")
    assert failed(entry(), seen) == []
    assert judged(entry(), seen)["RISK_PER_TRADE"].value == "24"


def test_gross_exposure_adds_all_instruments_at_their_worst() -> None:
    """1200 of BTC wished and 1500 of ETH held are 2700."""
    seen = view()
    seen.on_position(position("0.5", instrument=ETH))
    assert judged(entry(), seen, tightened(gross_exposure_fraction_max=D("0.27")))["MAX_GROSS_EXPOSURE"].passed
    over = judged(entry(), seen, tightened(gross_exposure_fraction_max=D("0.2699")))["MAX_GROSS_EXPOSURE"]
    assert (over.passed, over.value, over.limit) == (False, "2700", "2699")


def test_an_unpriced_holding_makes_gross_exposure_unknown() -> None:
    """What is held but has no price could be worth anything: denied, and the verdict names it."""
    seen = view()
    seen.on_position(position("0.5", instrument=ETH))
    del seen.marks[ETH]
    check = judged(entry(), seen)["MAX_GROSS_EXPOSURE"]
    assert (check.passed, check.value) == (False, "no price: ETH-USDT")


def test_a_second_position_needs_room_for_two() -> None:
    """The number of instruments held is limited; adding to one already held takes no further place."""
    seen = view()
    seen.on_position(position("0.5", instrument=ETH))
    assert judged(entry(), seen, tightened(positions_max=2))["MAX_POSITIONS"].passed
    assert not judged(entry(), seen, tightened(positions_max=1))["MAX_POSITIONS"].passed
    seen.on_position(position("0", instrument=ETH))
    seen.on_position(position("0.01"))
    assert judged(entry(), seen, tightened(positions_max=1))["MAX_POSITIONS"].passed


def test_dust_takes_no_place() -> None:
    """What a commission in base currency leaves behind cannot be sold and is not a position; without rules it may be one."""
    seen = view()
    seen.on_feed_status(status("LIVE", spec(ETH, notional_min=D(9))), "")
    seen.on_position(position("0.003", instrument=ETH))
    assert not judged(entry(), seen, tightened(positions_max=1))["MAX_POSITIONS"].passed
    seen.on_position(position("0.0029", instrument=ETH))
    assert judged(entry(), seen, tightened(positions_max=1))["MAX_POSITIONS"].passed
    del seen.specs[ETH]
    assert not judged(entry(), seen, tightened(positions_max=1))["MAX_POSITIONS"].passed


def test_balance_must_cover_the_order_with_its_fee() -> None:
    """0.02 BTC at 60000 with 10 bp cost 1201.20, and not a cent less."""
    assert judged(entry(), account(view(), balance=D("1201.20")))["INSUFFICIENT_BALANCE"].passed
    short = judged(entry(), account(view(), balance=D("1201.19")))["INSUFFICIENT_BALANCE"]
    assert (short.passed, short.value, short.limit) == (False, "1201.2", "1201.19")


def test_what_is_sold_must_be_owned() -> None:
    """On a spot venue a sale beyond what is held (and not already on sale) cannot be."""
    seen = view()
    seen.on_position(position("0.02"))
    sale = entry(side="SELL", stop_px=D(61_200))
    assert judged(sale, seen)["INSUFFICIENT_BALANCE"].passed
    on_sale = opened().tell(position("0.03")).tell(exit_("x1")).machine.state
    assert judged(sale, on_sale)["INSUFFICIENT_BALANCE"].limit == "0.01"
    seen.on_position(position("0.019"))
    assert not judged(sale, seen)["INSUFFICIENT_BALANCE"].passed


def test_risk_is_what_the_stop_loses_with_both_fees() -> None:
    """0.02 x (1200 + 0.001 x 118800) = 26.376 is lost when the stop fires."""
    assert judged(entry(), account(view(), equity=D("2637.6")))["RISK_PER_TRADE"].passed
    over = judged(entry(), account(view(), equity=D("2637.5")))["RISK_PER_TRADE"]
    assert (over.passed, over.value, over.limit) == (False, "26.376", "26.375")


def test_a_stop_must_lie_beyond_the_market_too() -> None:
    """The market has already fallen through the stop: entering now would be stopped out at once."""
    assert judged(entry(), priced(58_800.02))["STOP_SIDE"].passed
    assert not judged(entry(), priced(58_800.0))["STOP_SIDE"].passed
    short = entry(side="SELL", stop_px=D(61_000))
    assert judged(short, priced(60_999.98))["STOP_SIDE"].passed
    assert not judged(short, priced(61_000.0))["STOP_SIDE"].passed


def test_the_same_order_again_needs_five_seconds() -> None:
    """The same instrument, side and reason were approved 4999 ms ago: a stutter. At 5000 ms it may be meant."""
    seen, gap = view(), 5_000 * MILLISECOND
    seen.recent_orders = opened().tell(entry("i0")).machine.state.recent_orders
    assert judged(entry(), seen, now=NOW + gap)["DUPLICATE_ORDER"].passed
    early = judged(entry(), seen, now=NOW + gap - MILLISECOND)["DUPLICATE_ORDER"]
    assert (early.passed, early.value, early.limit) == (False, "4999 ms", "at least 5000 ms apart")
    assert judged(entry(reason="other"), seen)["DUPLICATE_ORDER"].passed
    assert judged(entry(instrument=ETH), seen)["DUPLICATE_ORDER"].passed


@pytest.mark.parametrize(
    ("times", "passed", "value"),
    [
        ([NOW] * 4, True, "5/s 5/min"),
        ([NOW] * 5, False, "6/s 6/min"),
        ([NOW - SECOND] * 5, True, "1/s 6/min"),
        ([NOW - 2 * SECOND] * 59, True, "1/s 60/min"),
        ([NOW - 2 * SECOND] * 60, False, "1/s 61/min"),
        ([NOW - MINUTE] * 60, True, "1/s 1/min"),
    ],
)
def test_at_most_five_entries_a_second_and_sixty_a_minute(times: list[int], passed: bool, value: str) -> None:
    """The fifth order of a second passes, the sixth is denied; a minute has its own limit."""
    seen = view()
    seen.entry_times = times
    check = judged(entry(), seen)["RATE_LIMIT"]
    assert (check.passed, check.value, check.limit) == (passed, value, "5/s 60/min")


def test_one_unresolved_entry_an_instrument() -> None:
    """While an approved BTC entry has not been settled, BTC gets no second one; ETH does."""
    seen = opened().tell(entry("i0")).machine.state
    assert judged(entry(), seen)["OPEN_ORDER"].value == "1"
    assert not judged(entry(), seen)["OPEN_ORDER"].passed
    assert judged(entry(instrument=ETH), seen)["OPEN_ORDER"].passed


def test_an_order_of_unknown_fate_quarantines_its_instrument() -> None:
    """Nobody knows whether that order exists: no further entry there, and the verdict names it."""
    seen = view()
    seen.on_quarantined(InstrumentQuarantined(instrument=BTC, cl_ord_id="c1", reason="time-out"))
    check = judged(entry(), seen)["QUARANTINED"]
    assert (check.passed, check.value) == (False, "c1")
    assert judged(entry(instrument=ETH), seen)["QUARANTINED"].passed


def test_the_latest_reconciliation_counts() -> None:
    """Clean once is not clean now."""
    seen = view()
    seen.on_reconciled(msgspec.structs.replace(reconciled(False, "BTC: 1 at the venue, 2 in the log"), ts_init=NOW))
    assert judged(entry(), seen)["NOT_RECONCILED"].value == "1 mismatches"
    assert failed(entry(), seen) == ["NOT_RECONCILED"]
    seen.on_reconciled(msgspec.structs.replace(reconciled(), ts_init=NOW))
    assert failed(entry(), seen) == []


def test_a_comparison_that_is_too_old_stops_entries() -> None:
    """An executor that has stopped comparing may be dead: after three minutes nothing is opened, and everything may be closed."""
    seen, age_ns = view(), 180 * SECOND
    fresh = msgspec.structs.replace(mark(), ts=NOW + age_ns + 1)
    seen.on_marks(marks(fresh))
    long_valid = NOW + HOUR
    assert failed(entry(valid_until=long_valid), seen, now=NOW + age_ns) == []
    late = judged(entry(valid_until=long_valid), seen, now=NOW + age_ns + MILLISECOND)["RECONCILED_AGE"]
    assert (late.passed, late.value, late.limit) == (False, "180001", "180000")
    seen.positions = {BTC: D("0.02")}
    assert failed(exit_(valid_until=long_valid), seen, now=NOW + age_ns + MILLISECOND) == []
    seen.positions = {}
    seen.on_reconciled(msgspec.structs.replace(reconciled(), ts_init=NOW + age_ns))
    assert failed(entry(valid_until=long_valid), seen, now=NOW + age_ns + MILLISECOND) == []


def test_a_comparison_from_the_future_never_passes_for_a_fresh_one() -> None:
    """It would not age before its time has come."""
    seen = view()
    seen.reconciled_at = NOW + HOUR
    assert failed(entry(), seen) == ["RECONCILED_AGE"]


@pytest.mark.parametrize("after", ["CLOSED", "HALF_OPEN"])
def test_an_open_breaker_stops_entries_and_is_named(after: str) -> None:
    """Whichever of the executor's it is; exits never wait for one. A HALF_OPEN one wants a probe, and gets its entry."""
    seen = view()
    seen.on_breaker(breaker("OPEN", "submit"))
    seen.on_breaker(breaker("OPEN", "losses"))
    check = judged(entry(), seen)["BREAKER_OPEN"]
    assert (check.passed, check.value) == (False, "open: losses submit")
    assert failed(entry(), seen) == ["BREAKER_OPEN"]
    seen.positions = {BTC: D("0.02")}
    assert failed(exit_(), seen) == []
    seen.positions = {}
    seen.on_breaker(breaker("CLOSED", "losses"))
    assert failed(entry(), seen) == ["BREAKER_OPEN"]
    seen.on_breaker(breaker(after, "submit"))
    assert failed(entry(), seen) == []
    assert seen.breakers == {}


@pytest.mark.parametrize("state", ["REDUCING", "HALTED"])
def test_entries_need_an_active_gate(state: str) -> None:
    """Reducing and halted mean: only out."""
    seen = view()
    seen.trading_state = state  # type: ignore[assignment]
    assert failed(entry(), seen) == ["TRADING_STATE"]


def test_entries_stop_when_drawdown_reaches_its_limit() -> None:
    """At 9.999 % below the high-water mark entries go on, at 10 % they stop: this limit is a line not to be reached."""
    assert judged(entry(), account(view(), drawdown=D("0.09999")))["DRAWDOWN"].passed
    check = judged(entry(), account(view(), drawdown=D("0.10")))["DRAWDOWN"]
    assert (check.passed, check.value, check.limit) == (False, "0.1", "less than 0.1")


def test_worthless_equity_is_no_risk_state() -> None:
    """Limits are fractions of equity: of nothing there is no fraction."""
    assert judged(entry(), account(view(), equity=D("0.01")))["NO_RISK_STATE"].passed
    assert "NO_RISK_STATE" in failed(entry(), account(view(), equity=D(0)))
    assert "NO_RISK_STATE" in failed(entry(), account(view(), equity=D("NaN")))


# --- exits ----------------------------------------------------------------------------------------------------------


def test_an_exit_may_sell_exactly_what_is_held() -> None:
    """0.02 held: 0.020 may be sold, 0.021 may not, and nothing may be bought."""
    seen = view()
    seen.on_position(position("0.02"))
    assert failed(exit_(), seen) == []
    assert failed(exit_(order_qty=D("0.021")), seen) == ["REDUCE_ONLY"]
    assert failed(exit_(side="BUY"), seen) == ["REDUCE_ONLY"]
    assert failed(exit_(), view()) == ["REDUCE_ONLY"]


def test_a_short_is_left_by_buying() -> None:
    """The side of an exit is the opposite of the position's."""
    seen = view()
    seen.on_position(position("-0.02"))
    assert failed(exit_(side="BUY"), seen) == []
    assert failed(exit_(), seen) == ["REDUCE_ONLY"]


def test_no_breaker_locks_a_position_in() -> None:
    """With everything broken that can break, what is held may still be sold; the verdict shows what was waived."""
    seen = View(positions={BTC: D("0.02")}, specs={BTC: spec()}, trading_state="HALTED", entry_times=[NOW] * 60)
    seen.quarantined[BTC] = ["c1"]
    seen.feed_state = "DOWN"
    seen.account = Account(balance=D(0), equity=D(-1), high_water_mark=D(1), drawdown=D(1))
    checks = judged(exit_(), seen)
    assert failed(exit_(), seen) == []
    assert {code for code, check in checks.items() if check.limit != "exempt"} == set(SANITY)


@pytest.mark.parametrize(
    ("code", "wish"),
    [
        ("INVALID_NUMBER", exit_(order_qty=D("NaN"))),
        ("INSTRUMENT_NOT_ALLOWED", exit_(instrument="DMG-USDT")),
        ("LOT_STEP", exit_(order_qty=D("0.0005"))),
        ("TICK", exit_(ord_type="LIMIT", limit_px=D("60000.001"))),
        ("STALE_INTENT", exit_(valid_until=NOW - 1)),
        ("DUPLICATE_ID", exit_("seen")),
        ("REDUCE_ONLY", exit_(order_qty=D("0.021"))),
    ],
)
def test_an_exit_must_still_be_an_order(code: str, wish: OrderIntent) -> None:
    """Sanity is not a limit: a nonsensical exit is denied like any other nonsense."""
    seen = view()
    seen.on_position(position("0.02"))
    seen.intent_ids["seen"] = NOW + HOUR
    assert code in failed(wish, seen)


@pytest.mark.parametrize("trust", ["RESYNC", "QUARANTINED", "UNIT", "DISLOCATED"])
def test_a_price_in_doubt_opens_nothing_and_closes_anything(trust: Trust) -> None:
    """Whatever the doubt is: an entry waits for it to end, an exit does not."""
    seen = view()
    seen.marks[BTC] = msgspec.structs.replace(seen.marks[BTC], trust=trust)
    assert failed(entry(), seen) == ["PRICE_IN_DOUBT"]
    assert judged(entry(), seen)["PRICE_IN_DOUBT"].value == trust
    seen.on_position(position("0.02"))
    assert failed(exit_(), seen) == []


def test_nothing_is_opened_at_the_prices_of_another_venue() -> None:
    """While Kraken stands in for Binance, positions are watched by its prices; new ones wait for the venue they would be on."""
    seen, home = view(), tightened(venue="binance")
    seen.on_feed_status(msgspec.structs.replace(status("LIVE"), venue="kraken"), "binance")
    assert failed(entry(), seen, home) == ["FOREIGN_PRICES"]
    seen.on_feed_status(status("LIVE"), "binance")
    assert failed(entry(), seen, home) == []


# --- fail closed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("removed", "codes"),
    [
        (
            "specs",
            {"NO_SPEC", "LOT_STEP", "TICK", "MIN_NOTIONAL", "INSUFFICIENT_BALANCE", "RISK_PER_TRADE", "TOTAL_RISK"},
        ),
        (
            "marks",
            {
                "NO_REFERENCE_PRICE",
                "STALE_PRICE",
                "PRICE_IN_DOUBT",
                "SPREAD",
                "PRICE_COLLAR",
                "MAX_POSITION",
                "MAX_GROSS_EXPOSURE",
                "STOP_SIDE",
                "TOTAL_RISK",
                "CLUSTER_EXPOSURE",
                "CORRELATED_EXPOSURE",
            },
        ),
        ("feed_state", {"FEED_DOWN"}),
        ("reconciled", {"NOT_RECONCILED", "RECONCILED_AGE"}),
        (
            "account",
            {
                "MAX_ORDER_VALUE",
                "MAX_POSITION",
                "MAX_GROSS_EXPOSURE",
                "INSUFFICIENT_BALANCE",
                "RISK_PER_TRADE",
                "TOTAL_RISK",
                "CLUSTER_EXPOSURE",
                "CORRELATED_EXPOSURE",
                "NO_RISK_STATE",
                "DRAWDOWN",
                "DAILY_LOSS",
            },
        ),
    ],
)
def test_a_missing_input_denies(removed: str, codes: set[str]) -> None:
    """What was never heard is never assumed: exactly the checks that need it fail, all others are still reported."""
    seen = view()
    setattr(seen, removed, getattr(View(), removed))
    assert set(failed(entry(), seen)) == codes
    assert list(judged(entry(), seen)) == CODES


def test_a_gate_that_knows_nothing_denies_and_says_everything_it_lacks() -> None:
    """The first intent of a young system is denied with every reason at once."""
    assert {"NO_SPEC", "NO_REFERENCE_PRICE", "FEED_DOWN", "NOT_RECONCILED", "NO_RISK_STATE"} <= set(
        failed(entry(), View())
    )


@pytest.mark.parametrize("field", ["order_qty", "ref_px", "stop_px", "limit_px", "target_px"])
@pytest.mark.parametrize("number", ["NaN", "sNaN", "-Infinity", "9E+999999", "1E-999999", "0", "-5", "0E+999999"])
def test_no_number_breaks_the_gate(field: str, number: str) -> None:
    """Whatever stands where a number should, there is a verdict, it is a denial, and it can be shown."""
    wish = limit_entry(**{field: D(number)})
    (denied,) = opened().machine.handle(wish, NOW)
    assert isinstance(denied.message, OrderDenied)
    assert "INVALID_NUMBER" in denied.message.reasons
    assert all(len(check.value) < 300 for check in denied.message.checks)
    decode(encode(msgspec.structs.replace(denied.message, order_qty=D(1))))


def test_an_entry_in_flight_and_its_reports_do_not_change_the_questions() -> None:
    """Asking is not telling: `evaluate` leaves the view as it was."""
    seen = opened().tell(entry("i0")).tell(report(entry("i0"))).machine.state
    before = msgspec.json.encode(seen)
    judged(entry(), seen)
    judged(exit_(), seen)
    assert msgspec.json.encode(seen) == before
