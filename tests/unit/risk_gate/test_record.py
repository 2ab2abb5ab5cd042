"""What the book has done of late stops entries: the day, the drawdown's first stage, round trips that lost."""

from __future__ import annotations

import msgspec
import pytest

from libs.common.messages import EquityChanged, PositionChanged
from libs.common.timeframe import DAY, HOUR, MILLISECOND
from services.risk_gate.machine import RiskMachine
from tests.playbook import Playbook
from tests.unit.risk_gate.book import BTC, ETH, LIMITS, NOW, D, entry, equity, exit_, failed, judged, opened, tightened

MIDNIGHT = (NOW // DAY + 1) * DAY


def told_at(ts: int, value: str, **changed: object) -> EquityChanged:
    """The equity at an instant."""
    return equity(value, ts_init=ts, ts_event=ts, **changed)


def booked(
    exec_id: str, qty: str, pnl: str, commission: str = "0", instrument: str = BTC, ts: int = NOW
) -> PositionChanged:
    """A fill in the ledger: the position, and realized profit and commissions since the beginning."""
    return PositionChanged(
        instrument=instrument,
        signed_qty=D(qty),
        avg_entry_px=D(60_000),
        realized_pnl=D(pnl),
        commission=D(commission),
        exec_id=exec_id,
        cl_ord_id="",
        ts_init=ts,
    )


def lost(book: Playbook, number: int, instrument: str = BTC, ts: int = NOW) -> Playbook:
    """The so-manieth round trip ends, each with a loss of one."""
    book.tell(booked(f"in{number}", "0.02", str(1 - number), instrument=instrument, ts=ts))
    return book.tell(booked(f"out{number}", "0", str(-number), instrument=instrument, ts=ts))


def test_the_day_begins_with_the_equity_at_midnight() -> None:
    """The last equity told before 00:00 UTC is what the day's losses are counted from, however late the first one after it comes."""
    book = opened().tell(told_at(MIDNIGHT - HOUR, "9000")).tell(told_at(MIDNIGHT + 5 * HOUR, "8900"))
    assert book.machine.state.day_start.equity == D(9000)
    book.tell(told_at(MIDNIGHT + 6 * HOUR, "8800"))
    assert book.machine.state.day_start.equity == D(9000)


@pytest.mark.parametrize(("value", "allowed"), [("9700.01", True), ("9700", False)])
def test_three_per_cent_lost_since_midnight_stop_entries(value: str, allowed: bool) -> None:
    """Reaching the limit is too much; exits go on."""
    book = opened().tell(equity(value))
    assert ("DAILY_LOSS" not in failed(entry(), book.machine.state)) is allowed
    assert "DAILY_LOSS" not in failed(exit_(), book.machine.state)


def test_a_restart_does_not_begin_a_new_day() -> None:
    """The day's beginning is part of what a snapshot keeps."""
    book = opened().tell(equity("9600"))
    again = RiskMachine(LIMITS)
    again.state = msgspec.json.decode(msgspec.json.encode(book.machine.state), type=RiskMachine.State)
    assert "DAILY_LOSS" in failed(entry(), again.state)


@pytest.mark.parametrize(("drawdown", "limit"), [("0.0499", "100"), ("0.05", "50")])
def test_from_the_first_stage_of_the_drawdown_on_a_trade_risks_half(drawdown: str, limit: str) -> None:
    """One per cent of 10,000 above five per cent of drawdown, half of it from there on."""
    book = opened().tell(equity(drawdown=D(drawdown)))
    assert judged(entry(), book.machine.state)["RISK_PER_TRADE"].limit == limit


def test_after_a_loss_the_instrument_rests_for_an_hour() -> None:
    """To the millisecond; others may be entered meanwhile, and a profit ends it."""
    book = lost(opened(), 1)
    state = book.machine.state
    assert "COOLDOWN" in failed(entry(), state, now=NOW + HOUR - MILLISECOND)
    assert "COOLDOWN" not in failed(entry(), state, now=NOW + HOUR)
    assert "COOLDOWN" not in failed(entry(instrument=ETH, ref_px=D(3_000), stop_px=D(2_950)), state)
    book.tell(booked("in2", "0.02", "-1")).tell(booked("out2", "0", "5"))
    assert "COOLDOWN" not in failed(entry(), book.machine.state)


def test_five_losses_in_a_row_stop_entries_for_a_day() -> None:
    """Whichever instruments they were; four do not, and a day later trading may go on."""
    book = opened()
    for number in range(1, 5):
        lost(book, number)
    assert "LOSSES_IN_A_ROW" not in failed(entry(), book.machine.state)
    lost(book, 1, ETH)
    state = book.machine.state
    assert "LOSSES_IN_A_ROW" in failed(entry(), state, now=NOW + 24 * HOUR - MILLISECOND)
    assert "LOSSES_IN_A_ROW" not in failed(entry(), state, now=NOW + 24 * HOUR)
    assert "LOSSES_IN_A_ROW" not in failed(entry(), state, tightened(losses_in_a_row_max=0))


def test_a_profit_ends_a_row_of_losses() -> None:
    """And commissions count: a round trip that only paid fees has lost."""
    book = opened()
    for number in range(1, 5):
        lost(book, number)
    book.tell(booked("in5", "0.02", "-4")).tell(booked("out5", "0", "-3"))
    assert book.machine.state.trips.losses == 0
    book.tell(booked("in6", "0.02", "-3", "1")).tell(booked("out6", "0", "-3", "2"))
    assert book.machine.state.trips.losses == 1


def test_a_remainder_that_cannot_be_sold_ends_a_round_trip() -> None:
    """Dust is flat, and adds nothing to the next position's story."""
    book = opened().tell(booked("in1", "0.02", "0")).tell(booked("out1", "0.0001", "-3"))
    assert book.machine.state.trips.losses == 1
    book.tell(booked("in2", "0.0201", "-3"))
    assert book.machine.state.trips.opened == {BTC: D(-3)}


def test_a_part_of_a_position_sold_at_a_loss_is_no_round_trip() -> None:
    """Only the whole counts, from flat to flat."""
    book = opened().tell(booked("in1", "0.02", "0")).tell(booked("half", "0.01", "-3")).tell(booked("rest", "0", "2"))
    assert book.machine.state.trips.losses == 0
