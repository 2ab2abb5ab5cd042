"""What the desk shows agrees with what every other way of asking the log says."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.messages import ExecutionReport, OrderDenied, PositionChanged
from libs.desk.book_record import book_in
from libs.desk.standing import StatusView
from libs.desk.status import take_entry
from libs.desk.story_target import decoded, resolve
from libs.desk.view import DeskView
from libs.runtime.adapter import LogEntry
from tests.recorded_log import messages_of, recorded_log
from tests.simulation.plans import HARSH

LOG = recorded_log(2)
STORMY = recorded_log(1, HARSH)


def view_of(log: tuple[LogEntry, ...]) -> DeskView:
    view = DeskView()
    for entry in log:
        if (said := decoded(entry)) is not None:
            view.take(entry, said)
    return view


def test_the_screen_says_what_status_says() -> None:
    """The same fold stands behind both: facts, orders, and positions without a stop."""
    view, status = view_of(STORMY), StatusView()
    for entry in STORMY:
        take_entry(status, entry)
    head = view.sections()["head"]
    assert view.standing.orders == status.orders
    assert head["trading_state"] == status.facts.trading_state
    assert [each.instrument for each in head["uncovered"]] == [each.instrument for each in status.uncovered]


def test_positions_are_the_ledgers_and_their_stops_the_executors() -> None:
    """Quantity and entry price are what the ledger said last; the stop is the open order's, and lies below the entry."""
    view, last, seen = DeskView(), dict[str, PositionChanged](), 0
    for entry in LOG:
        said = decoded(entry)
        if said is None:
            continue
        view.take(entry, said)
        if isinstance(said, PositionChanged):
            last[said.instrument] = said
        for line in view.position_lines if entry.seq % 20 == 0 else ():
            assert line.signed_qty == last[line.instrument].signed_qty
            assert line.avg_entry_px == last[line.instrument].avg_entry_px
            if line.is_covered and line.instrument not in view.standing.dust:
                assert line.stop_px is not None
                assert line.stop_px < line.avg_entry_px
                assert line.stopped_qty >= line.signed_qty - Decimal("0.00001")
                seen += 1
    assert seen, "nothing was ever held and covered: take another seed"


def test_every_fill_and_denial_leads_to_a_story() -> None:
    """What is shown can be asked for: its trace names exactly one thing in the log."""
    view = view_of(STORMY)
    assert view.fills
    for line in [*view.fills, *view.denials, *view.alerts, *view.decisions, *view.position_lines]:
        assert len(resolve(STORMY, line.trace)) == 1, line


def test_recent_things_are_the_last_ones_newest_first() -> None:
    """Fills and denials, counted by hand from the log's end."""
    view = view_of(STORMY)
    said = [each for _, each in messages_of(STORMY)]
    fills = [each for each in said if isinstance(each, ExecutionReport) and each.exec_type == "TRADE"]
    denials = [each for each in said if isinstance(each, OrderDenied)]
    assert [(line.qty, line.px) for line in view.fills] == [(each.last_qty, each.last_px) for each in fills[:-51:-1]]
    assert [line.reasons for line in view.denials] == [each.reasons for each in denials[:-51:-1]]


def test_trades_won_are_those_of_the_performance_command() -> None:
    """Won and closed trades are counted from the same round trips."""
    book = book_in(STORMY)
    assert book is not None
    head = view_of(STORMY).sections()["head"]
    assert head["trades_closed"] == len(book.trips.closed)
    assert head["trades_won"] == sum(trip.pnl > 0 for trip in book.trips.closed)


def test_the_curve_is_short_and_in_order_of_time() -> None:
    """However many points there are, at most some hundred are sent."""
    view = view_of(STORMY)
    curve = view.curve
    assert 2 <= len(curve) <= 400
    assert [ts for ts, _ in curve] == sorted(ts for ts, _ in curve)


def test_every_section_can_be_sent() -> None:
    """All of it encodes as JSON, before anything has happened and after a storm."""
    for view in (DeskView(), view_of(STORMY)):
        for name, section in view.sections().items():
            assert msgspec.json.decode(msgspec.json.encode(section)) is not None, name
