"""What a paper book must have shown before it may trade for real."""

from __future__ import annotations

from decimal import Decimal

import pytest

from libs.common.codec import encode
from libs.common.messages import (
    AlertRaised,
    EquityChanged,
    MacroRegimes,
    Message,
    PositionChanged,
    Reconciled,
    Regime,
    TradingStateChanged,
)
from libs.common.subjects import subject_of
from libs.common.timeframe import DAY, HOUR
from libs.research.graduation import Graduation, Requirements, graduation
from libs.runtime.adapter import LogEntry
from tests.unit.research.test_paper_days import MIDNIGHT, beginning, feeding

ASKED = Requirements(days_min=2, trades_min=1, regimes_min=1)
DAYS = (*feeding(MIDNIGHT, MIDNIGHT + 2 * DAY + HOUR),)
"""Two whole days of a live feed, and the beginning of a third, which does not count."""


def position(ts: int, qty: str) -> Message:
    figures = dict.fromkeys(("realized_pnl", "commission"), Decimal(0))
    return PositionChanged(
        producer="ledger",
        ts_init=ts,
        instrument="BTC-USDT",
        signed_qty=Decimal(qty),
        avg_entry_px=Decimal(1),
        exec_id="1",
        cl_ord_id="a",
        **figures,
    )


def equity(ts: int, drawdown: str) -> Message:
    figures = dict.fromkeys(("balance", "equity", "realized_pnl", "unrealized_pnl", "high_water_mark"), Decimal(1))
    return EquityChanged(producer="ledger", ts_init=ts, drawdown=Decimal(drawdown), **figures)


def compared(ts: int, *, clean: bool = True) -> Message:
    return Reconciled(producer="exec", ts_init=ts, clean=clean, balances=(), mismatches=() if clean else ("USDT",))


def regime(ts: int) -> Message:
    told = Regime(instrument="BTC-USDT", state="BULL", provisional=False, weeks=60, since_ts=0, evidence={})
    return MacroRegimes(producer="agent.macro", ts_init=ts, agent_id="macro", end_ts=ts, regimes=(told,))


def page(ts: int, severity: str = "page") -> Message:
    return AlertRaised(producer="exec", ts_init=ts, code="UNCOVERED", severity=severity, text="")  # type: ignore[arg-type]


def halted(ts: int) -> Message:
    return TradingStateChanged(
        producer="risk", ts_init=ts, state="HALTED", previous="ACTIVE", reason="drawdown", author="risk"
    )


ENOUGH = (
    regime(MIDNIGHT + HOUR),
    compared(MIDNIGHT + HOUR),
    position(MIDNIGHT + 2 * HOUR, "1"),
    equity(MIDNIGHT + 3 * HOUR, "0.02"),
    position(MIDNIGHT + 4 * HOUR, "0"),
)


def judged(*told: Message, mode: str = "paper", asked: Requirements = ASKED) -> Graduation:
    """The log of these events on two days of paper trading."""
    messages = sorted([*beginning(mode=mode), *DAYS, *told], key=lambda each: each.ts_init)
    return graduation([LogEntry(seq, subject_of(each), encode(each)) for seq, each in enumerate(messages, 1)], asked)


def missing(found: Graduation) -> list[str]:
    return [each.name for each in found.criteria if not each.met]


def test_a_book_that_has_shown_everything_is_ready() -> None:
    """Days, round trips, regimes, comparisons that agreed, nobody woken, no halt."""
    found = judged(*ENOUGH)
    assert missing(found) == []
    assert found.is_ready


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (ENOUGH[1:], "regimes"),
        ((ENOUGH[0], *ENOUGH[2:]), "reconciliation"),
        ((*ENOUGH, compared(MIDNIGHT + 5 * HOUR, clean=False)), "reconciliation"),
        (ENOUGH[:4], "trades"),
        ((*ENOUGH, page(MIDNIGHT + 5 * HOUR)), "alerts"),
        ((*ENOUGH, halted(MIDNIGHT + 5 * HOUR)), "risk limits"),
        ((*ENOUGH, equity(MIDNIGHT + 5 * HOUR, "0.11")), "risk limits"),
    ],
)
def test_each_thing_that_is_missing_is_named_alone(told: tuple[Message, ...], name: str) -> None:
    """One criterion for each of them, and nothing else is blamed."""
    assert missing(judged(*told)) == [name]


@pytest.mark.parametrize("severity", ["ticket", "note"])
def test_what_waits_for_daytime_does_not_count_against_a_book(severity: str) -> None:
    """Only a page wakes somebody."""
    assert judged(*ENOUGH, page(MIDNIGHT + 5 * HOUR, severity)).is_ready


def test_what_happens_on_a_day_that_does_not_count_counts_for_nothing() -> None:
    """A round trip of the third day, which has only begun, is none of those that are asked for; nor is its page held against anybody."""
    third = MIDNIGHT + 2 * DAY
    found = judged(*ENOUGH[:2], position(third + 1, "1"), position(third + 2, "0"), page(third + 3))
    assert missing(found) == ["trades"]


def test_a_simulated_book_never_graduates() -> None:
    """However much it has shown: none of its days count, and the reason stands beside them."""
    found = judged(*ENOUGH, mode="sim")
    assert "days" in missing(found)
    assert "NOT_A_PAPER_BOOK" in found.criteria[0].seen


def test_a_fortnight_and_thirty_round_trips_are_asked_for_by_default() -> None:
    """Two days are not enough, whatever else was shown."""
    assert missing(judged(*ENOUGH, asked=Requirements())) == ["days", "trades", "regimes"]
