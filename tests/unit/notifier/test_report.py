"""What a day and a week came to, as people read it: folded from the log, told once, at the end that the ledger declares."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages import (
    AlertRaised,
    CapitalMoved,
    DecisionsMade,
    EquityChanged,
    ExecutionReport,
    FeedStatus,
    InstrumentSpec,
    JournalHeadDeclared,
    Message,
    MessageSent,
    OrderDenied,
    PersonNotified,
    PositionChanged,
    TradingStateChanged,
)
from libs.common.timeframe import DAY, HOUR, MINUTE
from libs.runtime.machine import Perform
from services.notifier.machine import NotifierMachine
from services.notifier.manner import Manner
from services.notifier.report import DAYS_MAX, KINDS_MAX, Diary, Tally
from tests.playbook import START, Playbook

D = Decimal
THURSDAY = START + DAY
"""2025-01-02, of which the tests tell; it is a Thursday."""


class Log:
    """A notifier that reads what happens, at a time of the tests' own."""

    def __init__(self) -> None:
        self.told = Playbook(NotifierMachine(Manner(repeat_window_s=86_400)), writer="notify", now=THURSDAY)
        self.notices: list[PersonNotified] = []

    def at(self, ts: int, *events: Message) -> Log:
        for event in events:
            self.told.tell(event, now=ts)
            self.notices = self.told.published(PersonNotified)
            for effect in self.told.effects:
                if isinstance(effect, Perform):
                    self.told.tell(MessageSent(request_id=effect.request_id, channel="console", ok=True, detail=""))
        return self

    def ends(self, day_end: int, equity: str | None) -> list[str]:
        """The ledger says that a day is over; what is told then, without the line to keep."""
        day = datetime.fromtimestamp((day_end - DAY) // 1_000_000_000, UTC).strftime("%Y-%m-%d")
        head = JournalHeadDeclared(
            day=day,
            day_end=day_end,
            number=7,
            digest="5f" * 32,
            quote="USDT",
            equity_ts=day_end,
            equity=None if equity is None else D(equity),
        )
        self.at(max(day_end, self.told.now), head)
        assert all(each.level == "note" for each in self.notices)
        return [each.text for each in self.notices if "keep this line" not in each.text]

    def of(self, *events: Message) -> str:
        """The report of Thursday, on which this happened."""
        (text,) = self.at(THURSDAY + HOUR, *events).ends(THURSDAY + DAY, "10000")
        return text


def equity(value: str, realized: str = "0", drawdown: str = "0") -> EquityChanged:
    worth, zero = D(value), D(0)
    return EquityChanged(
        balance=worth,
        equity=worth,
        realized_pnl=D(realized),
        unrealized_pnl=zero,
        high_water_mark=worth,
        drawdown=D(drawdown),
    )


def report(cl_ord_id: str = "c1", **changed: Any) -> ExecutionReport:
    fields: dict[str, Any] = {
        "intent_id": "i1",
        "venue_order_id": "v1",
        "exec_id": "e1",
        "role": "ENTRY",
        "exec_type": "TRADE",
        "ord_status": "FILLED",
        "instrument": "BTC-USDT",
        "side": "BUY",
        "order_qty": D("0.5"),
        "cum_qty": D("0.5"),
        "leaves_qty": D(0),
        "avg_px": D(60_000),
        "last_qty": D("0.5"),
        "last_px": D(60_000),
        "commission": None,
        "commission_asset": "",
        "liquidity_side": "TAKER",
        "reason": "",
    }
    return ExecutionReport(cl_ord_id=cl_ord_id, **{**fields, **changed})


def stop(qty: str, status: str = "NEW", instrument: str = "BTC-USDT", cl_ord_id: str = "s1") -> ExecutionReport:
    exec_type = "NEW" if status == "NEW" else status
    changed = {"exec_type": exec_type, "ord_status": status, "leaves_qty": D(qty), "instrument": instrument}
    return report(cl_ord_id, role="STOP", exec_id="", last_qty=None, last_px=None, **changed)


def position(qty: str, instrument: str = "BTC-USDT", px: int = 60_000) -> PositionChanged:
    return PositionChanged(
        instrument=instrument,
        signed_qty=D(qty),
        avg_entry_px=D(px),
        realized_pnl=D(0),
        commission=D(0),
        exec_id="e1",
        cl_ord_id="c1",
    )


def rules(instrument: str = "BTC-USDT") -> FeedStatus:
    spec = InstrumentSpec(
        instrument=instrument,
        base="BTC",
        quote="USDT",
        px_tick=D("0.01"),
        qty_step=D("0.001"),
        qty_min=D("0.001"),
        notional_min=D(10),
        taker_fee=D("0.001"),
        maker_fee=D("0.001"),
    )
    return FeedStatus(venue="binance", state="LIVE", via="SOCKETS", reason="", health={}, specs=(spec,))


def denial(*reasons: str) -> OrderDenied:
    return OrderDenied(
        intent_id="i1", instrument="BTC-USDT", side="BUY", order_qty=D("0.1"), reasons=reasons, checks=()
    )


def decided(driven: int, asked: int) -> DecisionsMade:
    return DecisionsMade(end_ts=START, mode="confirm", decisions=(), model_driven=driven, model_asked=asked)


def alert(severity: str) -> AlertRaised:
    return AlertRaised(code=f"C{severity}", severity=severity, text="look", producer="exec")  # type: ignore[arg-type]


def test_a_day_is_one_line_with_everything_that_matters() -> None:
    """What it brought, what was done and refused, how bad it was, what is held behind a stop, who decided, and what was raised."""
    log = Log().at(THURSDAY + MINUTE, equity("10000"), rules(), decided(2, 4), report(), position("0.5"), stop("0.5"))
    log.at(THURSDAY + HOUR, equity("9900", "-20", "0.0123"), denial("MACRO_UNKNOWN"), denial("MACRO_UNKNOWN", "DUST"))
    log.at(THURSDAY + 2 * HOUR, alert("ticket"), alert("page"), equity("10050", "35.5"), decided(3, 6))
    assert log.ends(THURSDAY + DAY, "10050.25") == [
        "day 2025-01-02: equity 10,000.00 to 10,050.25 USDT (+0.50 %); realized +35.50; 1 fill, 2 denials (most often MACRO_UNKNOWN: 2);"
        " worst drawdown 1.23 %; 1 open position: BTC-USDT 0.5 with a stop; 3 of 6 decisions model-driven; alerts: 1 page, 1 ticket"
    ]


def test_a_quiet_day_says_so() -> None:
    """Nothing happened, and nobody has to wonder whether something was left out."""
    log = Log().at(THURSDAY, equity("10000"))
    assert log.ends(THURSDAY + DAY, "10000") == [
        "day 2025-01-02: equity 10,000.00 to 10,000.00 USDT (+0.00 %); realized +0.00; 0 fills, 0 denials; worst drawdown 0.00 %;"
        " no open position; no model was asked; alerts: none"
    ]


def test_each_day_begins_where_the_one_before_ended() -> None:
    """Equity, realized profit and the model's counts are of that day alone."""
    log = Log().at(THURSDAY, equity("10000"), equity("10100", "100"), decided(5, 5))
    log.ends(THURSDAY + DAY, "10100")
    log.at(THURSDAY + DAY + HOUR, equity("10090", "90"), decided(5, 8))
    (text,) = log.ends(THURSDAY + 2 * DAY, "10087.9")
    assert "equity 10,100.00 to 10,087.90 USDT (-0.12 %); realized -10.00; 0 fills" in text
    assert "0 of 3 decisions model-driven" in text


def test_what_happens_after_midnight_belongs_to_the_new_day() -> None:
    """The ledger's word comes after the first fills of the new day: they wait for that day's own end."""
    log = Log().at(THURSDAY, equity("10000"), report())
    log.at(THURSDAY + DAY + 1, report("c2"), equity("500", "7", "0.9"), denial("LATE"))
    (thursday,) = log.ends(THURSDAY + DAY, "10000")
    assert "realized +0.00; 1 fill, 0 denials; worst drawdown 0.00 %" in thursday
    (friday,) = log.ends(THURSDAY + 2 * DAY, "500")
    assert "equity 10,000.00 to 500.00 USDT (-95.00 %); realized +7.00; 1 fill, 1 denial (most often LATE: 1)" in friday


def test_a_day_is_told_once() -> None:
    """A ledger that says it again after a restart brings no second report."""
    log = Log().at(THURSDAY, equity("10000"))
    assert len(log.ends(THURSDAY + DAY, "10000")) == 1
    assert log.ends(THURSDAY + DAY, "10000") == []


def test_days_that_nobody_spoke_of_are_in_the_next_report() -> None:
    """The ledger makes up no days in which nothing was heard of; what others did then is told with the next that ends."""
    log = Log().at(THURSDAY, equity("10000")).at(THURSDAY + DAY, report("c2")).at(THURSDAY + 2 * DAY, report("c3"))
    (text,) = log.ends(THURSDAY + 3 * DAY, "10000")
    assert "; 2 fills," in text


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ((position("0.5"),), "1 open position: BTC-USDT 0.5 NO STOP;"),
        ((position("0.5"), stop("0.2")), "BTC-USDT 0.5 A STOP FOR A PART ONLY;"),
        ((position("0.5"), stop("0.2"), stop("0.3", cl_ord_id="s2")), "BTC-USDT 0.5 with a stop;"),
        ((position("0.5"), stop("0.5"), stop("0.5", "CANCELED")), "BTC-USDT 0.5 NO STOP;"),
        ((position("0.5"), stop("0.5"), stop("0.5", "UNKNOWN")), "BTC-USDT 0.5 NO STOP;"),
        ((position("0.5"), stop("0.5", instrument="ETH-USDT")), "BTC-USDT 0.5 NO STOP;"),
        ((rules(), position("0.5"), stop("0.4995")), "BTC-USDT 0.5 with a stop;"),
        ((rules(), position("0.0009")), "BTC-USDT 0.0009 (too little for a stop);"),
        ((rules(), position("0.002", px=4_000)), "BTC-USDT 0.002 (too little for a stop);"),
        ((position("-0.5"), stop("0.5")), "BTC-USDT -0.5 with a stop;"),
        ((position("0.5"), position("0")), "; no open position;"),
        (
            (position("1", "ADA-USDT"), stop("1", instrument="ADA-USDT"), position("2")),
            "2 open positions: BTC-USDT 2 NO STOP, ADA-USDT 1 with a stop;",
        ),
    ],
)
def test_each_position_says_whether_it_has_its_stop(events: tuple[Message, ...], words: str) -> None:
    """What is bare comes first and in capitals; a stop that is canceled, too small, elsewhere or of unknown fate protects nothing."""
    assert words in Log().of(*events)


def test_money_paid_in_is_no_return() -> None:
    """A deposit is told by itself, and there is no percentage that day."""
    log = Log().at(THURSDAY, equity("10000"))
    log.at(THURSDAY + HOUR, CapitalMoved(asset="USDT", amount=D(5_000), reason="TRANSFER"))
    log.at(THURSDAY + HOUR, CapitalMoved(asset="BTC", amount=D("-0.1"), reason="ACCEPTED"))
    (text,) = log.ends(THURSDAY + DAY, "15000")
    assert "equity 10,000.00 to 15,000.00 USDT; paid in or out: -0.1 BTC, +5000 USDT; realized" in text


def test_equity_that_is_not_known_is_not_made_up() -> None:
    """Neither at the end of the day nor, on the next, at its beginning."""
    log = Log().at(THURSDAY, equity("10000"))
    assert "equity not known;" in log.ends(THURSDAY + DAY, None)[0]
    assert "equity 9,000.00 USDT;" in log.ends(THURSDAY + 2 * DAY, "9000")[0]


def test_a_state_that_is_not_active_is_said_last() -> None:
    """Who reads the report in the morning sees that nothing trades."""
    halted = TradingStateChanged(state="HALTED", previous="ACTIVE", reason="news", author="ada")
    assert Log().of(halted).endswith("; trading is HALTED")


def test_counts_of_the_model_that_begin_anew_are_taken_as_they_are() -> None:
    """A portfolio that was rebuilt counts from zero: nothing becomes negative."""
    assert "1 of 2 decisions model-driven" in Log().of(decided(0, 0), decided(1, 2))
    log = Log().at(THURSDAY, decided(90, 100))
    log.ends(THURSDAY + DAY, "1")
    log.at(THURSDAY + DAY + HOUR, decided(1, 2))
    assert "1 of 2 decisions model-driven" in log.ends(THURSDAY + 2 * DAY, "1")[0]


# --- the week ---------------------------------------------------------------------------------------------------------


def test_sundays_end_brings_the_week() -> None:
    """From the beginning of its first day to its last, everything together; the next week begins there."""
    log = Log().at(THURSDAY, equity("10000"))
    for place in range(4):  # Thursday to Sunday
        log.at(THURSDAY + place * DAY + HOUR, report(f"c{place}"), equity("9000", f"{place * 10}", f"0.0{place}"))
        texts = log.ends(THURSDAY + (place + 1) * DAY, f"{10_000 + place * 100}")
        assert len(texts) == (2 if place == 3 else 1)
    assert texts[1].startswith("week to 2025-01-05 (4 days told): equity 10,000.00 to 10,300.00 USDT (+3.00 %);")
    assert "realized +30.00; 4 fills, 0 denials; worst drawdown 3.00 %;" in texts[1]
    for place in range(4, 11):
        log.at(THURSDAY + place * DAY + HOUR, report(f"c{place}"), equity("9000", f"{place * 10}"))
        texts = log.ends(THURSDAY + (place + 1) * DAY, f"{10_000 + place * 100}")
    assert texts[1].startswith("week to 2025-01-12 (7 days told): equity 10,300.00 to 11,000.00 USDT (+6.80 %);")
    assert "realized +70.00; 7 fills" in texts[1]


def test_a_week_whose_sunday_nobody_spoke_of_ends_with_the_next_day_that_does() -> None:
    """The machine was off over the weekend: Monday's end brings the report of the week before."""
    log = Log().at(THURSDAY, equity("10000"), report())
    assert len(log.ends(THURSDAY + DAY, "10000")) == 1
    assert log.ends(THURSDAY + 5 * DAY, "10100")[1].startswith("week to 2025-01-06 (2 days told): equity 10,000.00")
    assert len(log.ends(THURSDAY + 6 * DAY, "10100")) == 1


def test_a_first_day_that_is_a_sunday_is_a_week_of_one_day() -> None:
    """A book that begins on the last day of a week."""
    log = Log().at(THURSDAY + 3 * DAY, equity("10000"))
    assert log.ends(THURSDAY + 4 * DAY, "10000")[1].startswith("week to 2025-01-05 (1 day told)")


# --- whatever happens -------------------------------------------------------------------------------------------------

AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, places=2) | st.sampled_from(
    (D("1E+99"), D("-1E+99"), D("1E-99"), D("1" * 40), D(0))
)


@given(st.lists(AMOUNTS, min_size=3, max_size=3))
def test_no_amount_is_too_odd_to_be_told(amounts: list[Decimal]) -> None:
    """A line that does not come is worse than one with a silly number in it."""
    log = Log().at(THURSDAY, equity(f"{amounts[0]:f}", f"{amounts[1]:f}"), position(f"{amounts[2]:f}"))
    assert len(log.ends(THURSDAY + DAY, f"{amounts[2]:f}")[0]) <= 1_000


def test_memory_is_bounded_whatever_comes() -> None:
    """Names without end are counted together, days without end too; nothing of them is lost."""
    diary = Diary()
    for place in range(500):
        diary.take(denial(f"R{place}"), THURSDAY)
    assert len(diary.days[THURSDAY // DAY].reasons) == KINDS_MAX + 1
    diary = Diary()
    for place in range(100):
        diary.take(report(f"c{place}"), THURSDAY + place * DAY)
        diary.take(equity("1"), THURSDAY + place * DAY)
    assert len(diary.days) == len(diary.realized) == DAYS_MAX
    assert sum(each.fills for each in diary.days.values()) == 100


def test_what_is_told_of_two_days_is_what_each_would_be() -> None:
    """Counts add up, the first values stay, the worst drawdown wins."""
    one = Tally(fills=1, reasons={"A": 1}, drawdown=D("0.1"), equity=D(5), realized=D(1))
    one.add(Tally(fills=2, reasons={"A": 2, "B": 1}, alerts={"page": 1}, drawdown=D("0.05"), equity=D(6)))
    assert one == Tally(
        fills=3, reasons={"A": 3, "B": 1}, alerts={"page": 1}, drawdown=D("0.1"), equity=D(5), realized=D(1)
    )
