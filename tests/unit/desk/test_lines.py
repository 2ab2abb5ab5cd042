"""A line is the same wherever it is shown: it is made of its event in one place."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.messages import ExecutionReport, OrderSubmitting
from libs.desk.lines import fill_line, order_line
from tests.recorded_log import messages_of, recorded_log

LOG = [said for _, said in messages_of(recorded_log(2))]
TRADE = next(each for each in LOG if isinstance(each, ExecutionReport) and each.exec_type == "TRADE")
SENT = next(each for each in LOG if isinstance(each, OrderSubmitting))


def test_a_fill_is_what_this_execution_was() -> None:
    """Not what the order has had so far, also where this one was nothing."""
    line = fill_line(TRADE)
    assert (line.qty, line.px) == (TRADE.last_qty, TRADE.last_px)
    assert line.trace == f"exec:{TRADE.instrument}:{TRADE.exec_id}"
    assert fill_line(msgspec.structs.replace(TRADE, last_qty=Decimal(0))).qty == 0


def test_a_report_that_does_not_say_is_taken_for_the_whole_order() -> None:
    """What the order has had, at what it cost on average."""
    silent = msgspec.structs.replace(TRADE, last_qty=None, last_px=None, cum_qty=Decimal(3), avg_px=Decimal(7))
    assert (fill_line(silent).qty, fill_line(silent).px) == (3, 7)


def test_an_order_that_nobody_has_answered_shows_where_it_waits() -> None:
    """Its stop, else its limit, else nothing: at market."""
    at = {
        (None, None): None,
        (Decimal(5), None): 5,
        (None, Decimal(6)): 6,
        (Decimal(5), Decimal(6)): 6,
    }
    for (limit_px, stop_px), shown in at.items():
        line = order_line(msgspec.structs.replace(SENT, limit_px=limit_px, stop_px=stop_px))
        assert (line.px, line.status, line.cum_qty) == (shown, "PENDING_NEW", 0)
