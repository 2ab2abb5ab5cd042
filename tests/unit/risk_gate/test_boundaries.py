"""Every code of the gate at its limit and one step over it: the table of quant.md section 5, as far as it is built."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pytest

from libs.common.messages import InstrumentQuarantined, OrderIntent
from libs.common.timeframe import DAY, HOUR, MILLISECOND
from libs.desk.verdicts import headroom_of
from services.risk_gate.case import Case
from services.risk_gate.checks import ALL_CHECKS, checks_under, evaluate
from services.risk_gate.limits import Limits
from services.risk_gate.record import DayStart
from services.risk_gate.view import View, order_key
from tests.unit.risk_gate.book import BTC, ETH, NOW, D, breaker, entry, equity, exit_, mark, position, spec, status
from tests.unit.risk_gate.informed import BLACK_FROM, LISTENING, informed, regime, wish, zone

CODES = [code for code, _, _ in ALL_CHECKS]
MS = MILLISECOND


class Scene(NamedTuple):
    """A wish, and what is different from a gate that has heard everything and finds nothing wrong."""

    wish: OrderIntent = wish()
    told: Callable[[View], Any] = lambda seen: None
    limits: Limits = LISTENING
    now: int = NOW

    def check(self, code: str) -> Any:
        """The check of that code."""
        seen = informed()
        self.told(seen)
        checks = evaluate(self.wish, seen, self.limits, self.now)
        return next(check for check in checks if check.code == code)


def limited(**changed: Any) -> Limits:
    return msgspec.structs.replace(LISTENING, **changed)


def under(**changed: Any) -> Scene:
    """The usual wish under other limits."""
    return Scene(limits=limited(**changed))


def of(**changed: Any) -> Scene:
    """Another wish."""
    return Scene(wish(**changed))


def at(now: int) -> Scene:
    return Scene(now=now)


def told(tell: Callable[[View], Any]) -> Scene:
    return Scene(told=tell)


def quoted(half_spread: float) -> Scene:
    """A spread around 60000; what was usual before it was none at all."""
    quote = msgspec.structs.replace(mark(), bid_px=60_000 - half_spread, ask_px=60_000 + half_spread)
    return told(lambda seen: seen.marks.update({BTC: quote}))


def worth(**changed: Decimal) -> Scene:
    """Another state of the account."""

    def tell(seen: View) -> None:
        assert seen.account is not None
        seen.account = msgspec.structs.replace(seen.account, **changed)

    return told(tell)


def fact(name: str, value: Any) -> Scene:
    return told(lambda seen: setattr(seen, name, value))


def held(then: Callable[[View], Any], **changed: Any) -> Scene:
    """0.02 BTC are held."""

    def tell(seen: View) -> None:
        seen.on_position(position("0.02"))
        then(seen)

    return Scene(wish(**changed), tell)


def selling(qty: str) -> Scene:
    return Scene(exit_(order_qty=D(qty)), lambda seen: seen.on_position(position("0.02")))


PAIRS: dict[str, tuple[Scene, Scene]] = {
    "INVALID_NUMBER": (of(order_qty=D("1E-12")), of(order_qty=D("9E-13"))),
    "INSTRUMENT_NOT_ALLOWED": (under(instruments=(BTC,)), under(instruments=(ETH,))),
    "NO_SPEC": (Scene(), told(lambda seen: seen.specs.pop(BTC))),
    "LOT_STEP": (of(order_qty=D("0.020")), of(order_qty=D("0.0205"))),
    "TICK": (of(stop_px=D("58800.01")), of(stop_px=D("58800.001"))),
    "MIN_NOTIONAL": (
        told(lambda seen: seen.on_feed_status(status("LIVE", spec(notional_min=D(1_200))), "")),
        told(lambda seen: seen.on_feed_status(status("LIVE", spec(notional_min=D("1200.01"))), "")),
    ),
    "DUPLICATE_ID": (Scene(), told(lambda seen: seen.intent_ids.update(i1=NOW + HOUR))),
    "REDUCE_ONLY": (selling("0.020"), selling("0.021")),
    "STALE_INTENT": (of(valid_until=NOW), of(valid_until=NOW - 1)),
    "NO_REFERENCE_PRICE": (
        told(lambda seen: seen.marks.update({BTC: mark(px=1e15)})),
        told(lambda seen: seen.marks.update({BTC: mark(px=1.01e15)})),
    ),
    "STALE_PRICE": (at(NOW + 2_000 * MS), at(NOW + 2_001 * MS)),
    "PRICE_IN_DOUBT": (
        Scene(),
        told(lambda seen: seen.marks.update({BTC: msgspec.structs.replace(mark(), trust="QUARANTINED")})),
    ),
    "FEED_DOWN": (fact("feed_state", "LIVE"), fact("feed_state", "STALE")),
    "FOREIGN_PRICES": (fact("feed_venue", "binance"), fact("feed_venue", "kraken")),
    "SPREAD": (quoted(30.0), quoted(30.3)),
    "PRICE_COLLAR": (
        of(ord_type="LIMIT", limit_px=D("61200.0")),
        of(ord_type="LIMIT", limit_px=D("61200.1")),
    ),
    "MAX_ORDER_VALUE": (under(order_value_max=D(1_200)), under(order_value_max=D("1199.99"))),
    "MAX_POSITION": (under(position_fraction_max=D("0.12")), under(position_fraction_max=D("0.1199"))),
    "MAX_GROSS_EXPOSURE": (
        under(gross_exposure_fraction_max=D("0.12")),
        under(gross_exposure_fraction_max=D("0.1199")),
    ),
    "MAX_POSITIONS": (
        under(positions_max=1),
        Scene(told=lambda seen: seen.on_position(position("0.1", instrument=ETH)), limits=limited(positions_max=1)),
    ),
    "INSUFFICIENT_BALANCE": (worth(balance=D("1201.20")), worth(balance=D("1201.19"))),
    "NO_STOP": (Scene(), of(stop_px=None)),
    "STOP_SIDE": (of(stop_px=D("59999.99")), of(stop_px=D(60_000))),
    "STOP_DISTANCE": (of(stop_px=D("48000.00")), of(stop_px=D("47999.99"))),
    "RISK_PER_TRADE": (worth(equity=D("2637.6")), worth(equity=D("2637.5"))),
    "TOTAL_RISK": (
        under(total_risk_fraction_max=D("0.0026376")),
        under(total_risk_fraction_max=D("0.0026375")),
    ),
    "CLUSTER_EXPOSURE": (under(cluster_fraction_max=D("0.12")), under(cluster_fraction_max=D("0.1199"))),
    "CORRELATED_EXPOSURE": (under(correlated_fraction_max=D("0.12")), under(correlated_fraction_max=D("0.1199"))),
    "SELF_TRADE": (
        held(lambda seen: seen.targets.update({BTC: D("60000.1")})),
        held(lambda seen: seen.targets.update({BTC: D("60000.0")})),
    ),
    "DUPLICATE_ORDER": (
        told(lambda seen: seen.recent_orders.update({order_key(entry()): NOW - 5_000 * MS})),
        told(lambda seen: seen.recent_orders.update({order_key(entry()): NOW - 4_999 * MS})),
    ),
    "RATE_LIMIT": (fact("entry_times", [NOW] * 4), fact("entry_times", [NOW] * 5)),
    "OPEN_ORDER": (
        Scene(),
        told(lambda seen: seen.remember_approval(entry("i0"), order_of(entry("i0")), NOW)),
    ),
    "QUARANTINED": (
        Scene(),
        told(lambda seen: seen.on_quarantined(InstrumentQuarantined(instrument=BTC, cl_ord_id="c1", reason="?"))),
    ),
    "NOT_RECONCILED": (fact("reconciled", True), fact("reconciled", False)),
    "RECONCILED_AGE": (
        fact("reconciled_at", NOW - 180_000 * MS),
        fact("reconciled_at", NOW - 180_001 * MS),
    ),
    "BREAKER_OPEN": (
        told(lambda seen: seen.on_breaker(breaker("HALF_OPEN"))),
        told(lambda seen: seen.on_breaker(breaker("OPEN"))),
    ),
    "NO_RISK_STATE": (worth(equity=D("0.01")), worth(equity=D(0))),
    "TRADING_STATE": (fact("trading_state", "ACTIVE"), fact("trading_state", "REDUCING")),
    "BLACKOUT": (at(BLACK_FROM - 1), at(BLACK_FROM)),
    "DRAWDOWN": (worth(drawdown=D("0.0999")), worth(drawdown=D("0.1"))),
    "DAILY_LOSS": (
        told(lambda seen: begun(seen, "9700.01")),
        told(lambda seen: begun(seen, "9700")),
    ),
    "COOLDOWN": (
        told(lambda seen: seen.trips.lost_at.update({BTC: NOW - 3_600_000 * MS})),
        told(lambda seen: seen.trips.lost_at.update({BTC: NOW - 3_599_999 * MS})),
    ),
    "LOSSES_IN_A_ROW": (
        told(lambda seen: lost(seen, 4)),
        told(lambda seen: lost(seen, 5)),
    ),
    "MACRO_UNKNOWN": (
        told(lambda seen: seen.on_regimes(regime("BULL", NOW - 8 * DAY))),
        told(lambda seen: seen.on_regimes(regime("BULL", NOW - 8 * DAY - 1))),
    ),
    "MACRO_COUNTER_TREND": (
        told(lambda seen: seen.on_regimes(regime("NEUTRAL"))),
        told(lambda seen: seen.on_regimes(regime("BEAR"))),
    ),
    "INSIDE_ZONE": (
        told(lambda seen: seen.on_levels(zone(59_900.0, 59_999.99))),
        told(lambda seen: seen.on_levels(zone(59_900.0, 60_000.0))),
    ),
    "NEAR_LEVEL": (
        told(lambda seen: seen.on_levels(zone(61_800.0, 62_000.0))),
        told(lambda seen: seen.on_levels(zone(61_799.99, 62_000.0))),
    ),
    "STOP_TOO_TIGHT": (of(stop_px=D("59700.00")), of(stop_px=D("59700.01"))),
    "STOP_TOO_WIDE": (of(stop_px=D("57000.00")), of(stop_px=D("56999.99"))),
    "MAX_ORDER_VOLUME": (of(order_qty=D("0.024")), of(order_qty=D("0.025"))),
    "SLIPPAGE": (of(order_qty=D("0.0625")), of(order_qty=D("0.0626"))),
    "STALE_SIGNAL": (at(NOW + 225_000 * MS), at(NOW + 225_001 * MS)),
}

BINARY: dict[str, str] = {
    "INVALID_NUMBER": "many numbers at once: each is one, or is not",
    "INSTRUMENT_NOT_ALLOWED": "on the list or not",
    "NO_SPEC": "known or not",
    "LOT_STEP": "on the grid or not",
    "TICK": "on the grid or not",
    "DUPLICATE_ID": "seen or not",
    "NO_REFERENCE_PRICE": "known or not",
    "PRICE_IN_DOUBT": "a state of the price",
    "FEED_DOWN": "a state of the feed",
    "FOREIGN_PRICES": "one venue or another",
    "PRICE_COLLAR": "two prices, each with a band of its own",
    "NO_STOP": "there or not",
    "STOP_DISTANCE": "a band",
    "RATE_LIMIT": "two rates at once",
    "QUARANTINED": "an order of unknown fate or none",
    "NOT_RECONCILED": "agreed or not",
    "BREAKER_OPEN": "open or not",
    "NO_RISK_STATE": "an equity or none",
    "TRADING_STATE": "a state of the gate",
    "BLACKOUT": "within a window or not",
    "MACRO_UNKNOWN": "known or not",
    "MACRO_COUNTER_TREND": "a state of the market",
    "INSIDE_ZONE": "within a zone or not",
}
"""Codes whose value and limit are words or several numbers, with the reason: no one number says how much room is left."""

REACHED = ("DRAWDOWN", "DAILY_LOSS", "LOSSES_IN_A_ROW", "SELF_TRADE", "STOP_SIDE")
"""Lines not to be reached: of all others the limit itself is allowed."""


def order_of(intent: OrderIntent) -> Any:
    return Case(intent, informed(), LISTENING, NOW).order_in_flight(NOW)


def begun(seen: View, now_worth: str) -> None:
    """The day began with 10000."""
    seen.day_start = DayStart(day=NOW // DAY, equity=D(10_000))
    seen.on_equity(equity(now_worth))


def lost(seen: View, times: int) -> None:
    seen.trips.losses, seen.trips.last_loss_at = times, NOW


def test_every_code_has_a_pair() -> None:
    """A check that nobody holds at its limit could be off by one for years."""
    assert set(PAIRS) == set(CODES)
    assert len(CODES) == len(set(CODES))
    assert set(BINARY) < set(CODES)


def test_a_gate_that_has_heard_everything_approves_the_usual_wish() -> None:
    """So that in each pair one thing only makes the difference."""
    checks = evaluate(wish(), informed(), LISTENING, NOW)
    assert [check.code for check in checks if not check.passed] == []
    assert {check.code for check in checks} == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_at_the_limit_it_passes_and_just_over_it_fails(code: str) -> None:
    """With value and limit in the verdict, whatever comes of it."""
    within, over = (scene.check(code) for scene in PAIRS[code])
    assert (within.passed, over.passed) == (True, False), (within, over)
    assert all(each.value and each.limit for each in (within, over))


@pytest.mark.parametrize("code", [code for code in CODES if code not in BINARY])
def test_the_room_to_the_limit_can_be_told(code: str) -> None:
    """None is left at a limit that may be reached, a little before one that may not; beyond it the room is negative."""
    within, over = (headroom_of(scene.check(code)) for scene in PAIRS[code])
    assert within is not None
    assert over is not None
    if code in REACHED:
        assert over == 0 < within
    else:
        assert over < 0 == within


@pytest.mark.parametrize(("code", "for_exits"), [(code, for_exits) for code, for_exits, _ in ALL_CHECKS])
def test_exits_are_held_to_sanity_alone(code: str, for_exits: bool) -> None:
    """Just over every limit at once a position may still be sold; what must hold for any order holds for exits."""
    over = PAIRS[code][1]
    seen = informed()
    over.told(seen)
    seen.on_position(position("0.02"))
    sale = exit_("x1", valid_until=over.now)
    check = next(each for each in evaluate(sale, seen, over.limits, over.now) if each.code == code)
    assert (check.limit == "exempt") is not for_exits
    assert check.passed or for_exits


def test_a_gate_says_what_it_is_told_to_listen_to() -> None:
    """Groups of checks come and go with their settings; the common ones are always there."""
    common = [code for code, _, _ in checks_under(Limits(instruments=(BTC,)))]
    assert [code for code, _, _ in checks_under(LISTENING)] == CODES
    assert set(CODES) - set(common) == {
        "MACRO_UNKNOWN",
        "MACRO_COUNTER_TREND",
        "INSIDE_ZONE",
        "NEAR_LEVEL",
        "STOP_TOO_TIGHT",
        "STOP_TOO_WIDE",
        "MAX_ORDER_VOLUME",
        "SLIPPAGE",
        "STALE_SIGNAL",
    }
