"""Equity at 00:00 UTC: what was known then, without what was paid in or out, and honest about days nobody saw."""

from __future__ import annotations

from decimal import Decimal

import pytest

from libs.trading.daily_equity import DAY_NS, Flow, Observed, daily_equity

D = Decimal


def at(day: float, equity: str) -> Observed:
    return Observed(round(day * DAY_NS), D(equity))


def paid(day: float, amount: str) -> Flow:
    return Flow(round(day * DAY_NS), D(amount))


def test_the_value_at_midnight_is_the_last_one_known() -> None:
    """Observed at odd times: 100 at the first midnight, 110 at the second (also known at that very instant), 99 since."""
    found = daily_equity([at(0.4, "90"), at(0.9, "100"), at(1.5, "120"), at(2.0, "110"), at(2.3, "99")])
    assert found.start_ts == DAY_NS
    assert found.equities == [D(100), D(110)]
    assert found.returns == [pytest.approx(0.1)]
    assert (found.live_equity, found.live_return) == (D(99), pytest.approx(-0.1))
    assert (found.carried, found.unfunded) == (0, 0)


def test_a_deposit_is_neither_profit_nor_loss() -> None:
    """100 grows by 10 %, 890 are paid in, 1,000 fall by 10 %: -1 %, and not +800 %."""
    found = daily_equity(
        [at(0, "100"), at(0.3, "110"), at(0.6, "1000"), at(0.9, "900"), at(1.9, "900")], [paid(0.5, "890")], 2 * DAY_NS
    )
    assert found.returns == [pytest.approx(1.1 * 0.9 - 1), 0.0]
    assert found.days[0].flow == D(890)
    assert found.equities == [D(100), D(900), D(900)]


def test_a_withdrawal_is_not_a_drawdown_and_may_take_everything() -> None:
    """All is taken out after a gain: the gain stays the day's; days on nothing are counted, and money that comes again begins anew."""
    found = daily_equity(
        [at(0, "100"), at(0.2, "105"), at(0.3, "0"), at(2.6, "50"), at(2.9, "55")],
        [paid(0.25, "-105"), paid(2.5, "50")],
        3 * DAY_NS,
    )
    assert found.returns == [pytest.approx(0.05), 0.0, pytest.approx(0.1)]
    assert found.unfunded == 3


def test_days_nobody_saw_are_carried_and_counted() -> None:
    """Two days of silence: zero, zero, and the whole move on the day somebody looked again."""
    found = daily_equity([at(0, "100"), at(0.5, "101"), at(3.5, "121.2")], now=4 * DAY_NS)
    assert found.returns == [pytest.approx(0.01), 0.0, 0.0, pytest.approx(0.2)]
    assert [day.is_carried for day in found.days] == [False, True, True, False]
    assert found.carried == 2


def test_flows_before_the_first_observation_are_in_it() -> None:
    """Opening money is no return."""
    assert daily_equity([at(0, "100"), at(1, "100")], [paid(-1, "100"), paid(0, "100")]).returns == [0.0]


def test_a_book_of_some_hours_has_no_days_yet() -> None:
    """Nothing has ended: no returns, and a live value."""
    found = daily_equity([at(0.1, "100"), at(0.2, "101")])
    assert (found.returns, found.live_equity) == ([], D(101))
    assert found.live_return == pytest.approx(0.01)


@pytest.mark.parametrize(
    "observed", [[], [at(1, "1"), at(0, "1")], [at(0, "-1")], [at(0, "NaN")], [at(0, "1"), at(1, "Infinity")]]
)
def test_what_is_no_equity_is_refused(observed: list[Observed]) -> None:
    """Nothing, out of order, negative, not a number."""
    with pytest.raises(ValueError, match=r"equity"):
        daily_equity(observed)


def test_what_is_observed_at_the_instant_of_a_deposit_holds_it() -> None:
    """900 come to 100, and 1,000 is seen at that very instant, be it noon or midnight: nothing was earned, and it is that day's flow."""
    for instant in (0.5, 1.0):
        found = daily_equity([at(0, "100"), at(instant, "1000"), at(2, "1000")], [paid(instant, "900")])
        assert found.returns == [0.0, 0.0]
        assert [day.flow for day in found.days] == [D(900), D(0)]
        assert found.equities == [D(100), D(1000), D(1000)]
