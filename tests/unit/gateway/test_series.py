"""What Prometheus sees of the book is what the log says, and of what the log does not say there is nothing."""

from __future__ import annotations

from libs.common.metrics import Declared, system
from libs.desk.story_target import decoded
from libs.desk.view import DeskView
from services.gateway.series import COMPUTED, Sample, samples_of
from tests.recorded_log import recorded_log

NEVER_SAID = (
    system.BOOK_EQUITY,
    system.BOOK_CASH,
    system.BOOK_DRAWDOWN,
    system.BOOK_RECONCILED,
    system.POSITION_QTY,
    system.VENUE_STATE,
    system.MODEL_JUDGEMENTS,
    system.BACKUP_AT,
    system.RESTORE_PROVEN_AT,
    system.ALERTS_OPEN,
)


def samples(view: DeskView) -> dict[Declared, list[Sample]]:
    found: dict[Declared, list[Sample]] = {each: [] for each in COMPUTED}
    samples_of(view, found)
    return found


def view_of(seed: int) -> DeskView:
    view = DeskView()
    for entry in recorded_log(seed):
        if (said := decoded(entry)) is not None:
            view.take(entry, said)
    return view


def test_an_empty_log_says_nothing() -> None:
    """No equity is not an equity of 0, and never compared is not equal."""
    found = samples(DeskView())
    assert {each.name: found[each] for each in NEVER_SAID if found[each]} == {}


def test_the_book_is_the_ledgers_and_positions_are_those_that_are_held() -> None:
    """One line for each instrument that is held, at its own price."""
    view = view_of(2)
    found, books = samples(view), view.standing.facts.books
    assert found[system.BOOK_EQUITY] == [((), float(books.equity))]
    assert found[system.BOOK_DRAWDOWN] == [((), float(books.drawdown))]
    held = {line.instrument: float(line.signed_qty) for line in view.position_lines}
    assert {labels[0]: value for labels, value in found[system.POSITION_QTY]} == held
    assert found[system.POSITIONS_OPEN] == [((), sum(not line.is_dust for line in view.position_lines))]
    won, lost = (value for _, value in found[system.ROUND_TRIPS])
    assert won + lost == len(view.record.trips.closed) > 0
    assert sum(value for _, value in found[system.TRADING_STATE]) == 1


def test_what_is_too_little_to_be_sold_is_no_open_position() -> None:
    """What a fee leaves of a position that was sold is still held and shown by its quantity, but nobody is in a position."""
    view = DeskView()
    for entry in recorded_log(7):
        if (said := decoded(entry)) is not None:
            view.take(entry, said)
        if view.standing.dust:
            break
    assert [line.instrument for line in view.position_lines] == view.standing.dust
    found = samples(view)
    assert [labels[0] for labels, _ in found[system.POSITION_QTY]] == view.standing.dust
    assert found[system.POSITIONS_OPEN] == [((), 0)]


def test_every_sample_has_the_labels_of_its_declaration() -> None:
    """And, where these are closed, one of their values."""
    for each, lines in samples(view_of(2)).items():
        for labels, _ in lines:
            assert len(labels) == len(each.labels), each.name
            for label, value in zip(each.labels, labels, strict=True):
                assert not label.values or value in label.values, (each.name, value)
