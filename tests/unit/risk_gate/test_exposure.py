"""What moves together and what could be lost together: at each limit and just over it."""

from __future__ import annotations

import math
from random import Random

from libs.common.messages import Bar, CapitalMoved, FeedHistory
from libs.common.timeframe import HOUR
from services.risk_gate.view import View
from tests.unit.risk_gate.book import (  # fmt: skip
    BTC,
    ETH,
    NOW,
    D,
    entry,
    exit_,
    failed,
    judged,
    mark,
    opened,
    position,
    tightened,
    view,
)

BARS = 80


def history(instrument: str, px: float, moves: list[float]) -> FeedHistory:
    """Hourly bars that end at NOW and move by these log returns."""
    bars, close = [], px
    for number, move in enumerate(moves):
        close *= math.exp(move)
        end = NOW - (len(moves) - number - 1) * HOUR
        bars.append(
            Bar(
                instrument=instrument,
                timeframe="1h",
                ts_open=end - HOUR,
                ts_close=end,
                open=close,
                high=close,
                low=close,
                close=close,
                volume=1.0,
                synthetic=False,
                venue="binance",
            )
        )
    return FeedHistory(instrument=instrument, timeframe="1h", bars=tuple(bars))


def holding_eth(qty: str, correlation: float) -> View:
    """So much ETH at 3,000 under a stop at 2,950, with this correlation between BTC and ETH."""
    book = opened().tell(position(qty, instrument=ETH))
    random = Random(7)
    common = [random.gauss(0, 0.01) for _ in range(BARS)]
    own = [random.gauss(0, 0.01) for _ in range(BARS)]
    mixed = [correlation * a + math.sqrt(1 - correlation**2) * b for a, b in zip(common, own, strict=True)]
    book.tell(history(BTC, 60_000.0, common)).tell(history(ETH, 3_000.0, mixed))
    state: View = book.machine.state
    state.stops[ETH] = D(2_950)
    return state


def test_what_moves_together_counts_as_one_position() -> None:
    """BTC 12 % and ETH 23 % of equity, highly correlated: 35 % together are allowed, a cent more is not."""
    assert "CLUSTER_EXPOSURE" not in failed(entry(), holding_eth("0.766", 0.99))
    found = judged(entry(), holding_eth("0.767", 0.99))["CLUSTER_EXPOSURE"]
    assert (found.passed, found.value, found.limit) == (False, f"0.3501 ({BTC} {ETH})", "0.35")


def test_what_moves_by_itself_is_a_cluster_of_its_own() -> None:
    """Uncorrelated, ETH says nothing about BTC."""
    found = judged(entry(), holding_eth("0.767", 0.0))["CLUSTER_EXPOSURE"]
    assert (found.passed, found.value) == (True, f"0.12 ({BTC})")


def test_what_is_not_known_well_enough_is_taken_for_high() -> None:
    """Without sixty common bars two instruments are taken to be correlated at 0.8, and so for one cluster."""
    book = opened().tell(position("0.767", instrument=ETH))
    assert "CLUSTER_EXPOSURE" in failed(entry(), book.machine.state)
    book.tell(history(BTC, 60_000.0, [0.01, -0.01] * 30)).tell(history(ETH, 3_000.0, [0.01, 0.01] * 30))
    assert "CLUSTER_EXPOSURE" in failed(entry(), book.machine.state), "59 common returns"


def test_the_limit_of_all_positions_as_one_is_a_limit() -> None:
    """At its own size it is allowed, below it is not."""
    state = holding_eth("0.6", 0.9)
    size = D(judged(entry(), state)["CORRELATED_EXPOSURE"].value)
    assert "CORRELATED_EXPOSURE" not in failed(entry(), state, tightened(correlated_fraction_max=size))
    assert "CORRELATED_EXPOSURE" in failed(entry(), state, tightened(correlated_fraction_max=size - D("0.0001")))


def test_all_stops_together_may_cost_so_much() -> None:
    """BTC at its stop 26.38 with fees, ETH 50 a coin and its fees 5.95: 0.5 ETH make 54.35 in all."""
    state = holding_eth("0.5", 0.0)
    found = judged(entry(), state)["TOTAL_RISK"]
    assert found.value == "54.351"
    exact = D("54.351") / 10_000
    assert "TOTAL_RISK" not in failed(entry(), state, tightened(total_risk_fraction_max=exact))
    assert "TOTAL_RISK" in failed(entry(), state, tightened(total_risk_fraction_max=exact - D("0.0000001")))


def test_a_position_whose_stop_is_not_known_is_at_risk_as_a_whole() -> None:
    """Nobody has told where it is stopped: all of it may be lost."""
    state = holding_eth("0.5", 0.0)
    del state.stops[ETH]
    assert judged(entry(), state)["TOTAL_RISK"].value == "1526.376"


def test_a_stop_is_forgotten_with_its_position() -> None:
    """Sold to the last bit that can be sold, the next position has a stop of its own."""
    book = opened().tell(entry("i1", target_px=D(63_000))).tell(position("0.02", "e1"))
    assert (book.machine.state.stops, book.machine.state.targets) == ({BTC: D(58_800)}, {BTC: D(63_000)})
    book.tell(position("0.0004", "e2"))
    assert (book.machine.state.stops, book.machine.state.targets) == ({}, {})


def test_an_entry_does_not_reach_our_own_target() -> None:
    """Our own sale rests at 60000.1: a purchase at 60000 is none of its business, one at 60000.1 would be with ourselves."""
    book = opened().tell(position("0.01"))
    state: View = book.machine.state
    state.targets[BTC] = D("60000.1")
    assert "SELF_TRADE" not in failed(entry(), state)
    state.targets[BTC] = D(60_000)
    assert "SELF_TRADE" in failed(entry(), state)
    assert "SELF_TRADE" not in failed(exit_(order_qty=D("0.01")), state)


def test_a_spread_is_too_wide_beyond_ten_basis_points_or_three_times_the_usual() -> None:
    """Ten basis points are always allowed; where the usual spread is larger, three times that is."""

    def quoted(bps: float) -> View:
        state = view()
        half = 60_000.0 * bps / 20_000
        state.marks[BTC] = mark(px=60_000.0).__class__(
            instrument=BTC, bid_px=60_000.0 - half, ask_px=60_000.0 + half, last_px=60_000.0, protective_px=60_000.0, trust="TRUSTED", ts=NOW,
        )  # fmt: skip
        return state

    assert "SPREAD" not in failed(entry(), quoted(9.99))
    assert "SPREAD" in failed(entry(), quoted(10.01))
    wide = quoted(17.9)
    wide.spreads[BTC].bps = [6.0] * 5
    assert "SPREAD" not in failed(entry(), wide)
    wide.spreads[BTC].bps = [5.9] * 5
    assert "SPREAD" in failed(entry(), wide)


def test_deposits_are_no_profit_of_the_day() -> None:
    """Money that comes in moves the day's beginning with it, coins at their price."""
    book = opened()
    book.tell(CapitalMoved(asset="USDT", amount=D(500), reason="TRANSFER"))
    book.tell(CapitalMoved(asset="BTC", amount=D("-0.01"), reason="TRANSFER"))
    book.tell(CapitalMoved(asset="DOGE", amount=D(9), reason="TRANSFER"))
    assert book.machine.state.day_start.equity == D(9_900)
