"""What protection is missing while the log is away, and what must not be touched."""

from __future__ import annotations

from decimal import Decimal as D

import msgspec
import pytest

from libs.common.ids import cl_ord_id_of
from libs.common.messages import VenueOrder, VenueReported
from services.order_executor.adapters.journal import NAME, Journal, JournalBroken
from services.order_executor.improvise import FIRST_ATTEMPT, Improvised, missing
from services.order_executor.state import State
from tests.unit.order_executor.desk import BTC, START, Desk, approval, fill, order

ENTRY, STOP = order("ENTRY"), order("STOP")


def resting_entry() -> Desk:
    """An entry for 0.01 BTC rests at the venue; nothing is filled."""
    desk = Desk()
    desk.tell(approval(ord_type="LIMIT", limit_px=D(50_000)))
    return desk.answer(ENTRY, "CONFIRMED")


def covered() -> Desk:
    """0.01 BTC is held under a stop of its size."""
    desk = Desk()
    desk.tell(approval()).answer(ENTRY, "CONFIRMED", fill("1", ENTRY, "0.01"), status="FILLED")
    return desk.answer(STOP, "CONFIRMED")


def bought(qty: str, exec_id: str = "1", **changes: object) -> VenueReported:
    """The user stream tells an execution of the entry."""
    return VenueReported(instrument=BTC, order=None, fill=fill(exec_id, ENTRY, qty, **changes))


def shown(name: str, status: str, cum: str = "0", **changes: object) -> VenueReported:
    """The user stream tells how a sell stands."""
    values: dict[str, object] = {
        "cl_ord_id": name,
        "venue_order_id": "v-" + name[:6],
        "instrument": BTC,
        "side": "SELL",
        "ord_type": "STOP_LOSS",
        "ord_status": status,
        "order_qty": D("0.01"),
        "cum_qty": D(cum),
        "limit_px": None,
        "stop_px": D(49_000),
        "ts_event": START,
    }
    return VenueReported(instrument=BTC, order=VenueOrder(**{**values, **changes}), fill=None)  # type: ignore[arg-type]


def answered(step: Improvised, outcome: str, code: str = "") -> Improvised:
    """The step with the venue's answer."""
    return msgspec.structs.replace(step, outcome=outcome, code=code)


def test_a_fill_nobody_could_write_down_gets_a_stop_of_what_is_left_after_fees() -> None:
    """The quantity is net of a commission in base and on the venue's grid, the price is the entry's, the id follows from it."""
    state = resting_entry().state
    (step,) = missing(state, [bought("0.01", commission=D("0.000015"), commission_asset="BTC")], [])
    assert (step.role, step.ord_type, step.order_qty, step.stop_px) == ("STOP", "STOP_LOSS", D("0.00998"), D(49_000))
    assert step.cl_ord_id == cl_ord_id_of("a1", "STOP", FIRST_ATTEMPT)
    assert step.owner == ENTRY


def test_a_fill_told_twice_counts_once_and_a_second_one_gets_a_stop_of_its_own() -> None:
    """Whatever was improvised covers; what comes later is the gap, under the next id."""
    state = resting_entry().state
    heard = [bought("0.004"), bought("0.004")]
    (first,) = missing(state, heard, [])
    assert first.order_qty == D("0.004")
    steps = [answered(first, "CONFIRMED")]
    assert missing(state, heard, steps) == []
    (second,) = missing(state, [*heard, bought("0.006", "2")], steps)
    assert second.order_qty == D("0.006")
    assert second.cl_ord_id == cl_ord_id_of("a1", "STOP", FIRST_ATTEMPT + 1)


def test_what_is_covered_is_left_alone() -> None:
    """Also a fill that the machine has booked already, told again."""
    desk = covered()
    assert missing(desk.state, [], []) == []
    assert missing(desk.state, [bought("0.01")], []) == []


def test_a_stop_that_was_taken_away_is_put_back() -> None:
    """The user stream says that the resting stop is gone, by whatever hand."""
    (step,) = missing(covered().state, [shown(STOP, "CANCELED")], [])
    assert step.order_qty == D("0.01")


def test_a_stop_that_has_sold_leaves_nothing_to_protect() -> None:
    """Until the execution itself was told, nobody knows what is left; then it is nothing."""
    state = covered().state
    assert missing(state, [shown(STOP, "FILLED", "0.01")], []) == []
    sold = VenueReported(instrument=BTC, order=None, fill=fill("9", STOP, "0.01", side="SELL"))
    assert missing(state, [shown(STOP, "FILLED", "0.01"), sold], []) == []


def test_a_step_without_an_answer_forbids_every_other() -> None:
    """It may sell what we would sell; once the user stream shows it, it counts."""
    state = resting_entry().state
    (step,) = missing(state, [bought("0.004")], [])
    later = [bought("0.004"), bought("0.006", "2")]
    assert missing(state, later, [step]) == []
    assert missing(state, later, [answered(step, "UNKNOWN")]) == []
    (second,) = missing(state, [*later, shown(step.cl_ord_id, "NEW", order_qty=D("0.004"))], [step])
    assert second.order_qty == D("0.006")


@pytest.mark.parametrize("code", ["-2010", "-1013"])
def test_a_stop_refused_on_its_merits_is_sold_at_market(code: str) -> None:
    """It would have triggered at once, say: the gap leaves at market, and never a second time."""
    state, heard = resting_entry().state, [bought("0.01")]
    (stop,) = missing(state, heard, [])
    steps = [answered(stop, "REJECTED", code)]
    (sale,) = missing(state, heard, steps)
    assert (sale.role, sale.ord_type, sale.order_qty, sale.stop_px) == ("EXIT", "MARKET", D("0.01"), None)
    assert missing(state, heard, [*steps, answered(sale, "CONFIRMED")]) == []


def test_a_stop_that_never_left_is_tried_again_under_another_id() -> None:
    """That the venue was not there says nothing about the stop."""
    state, heard = resting_entry().state, [bought("0.01")]
    (stop,) = missing(state, heard, [])
    (again,) = missing(state, heard, [answered(stop, "REJECTED", "NEVER_SENT")])
    assert (again.role, again.attempt) == ("STOP", 1)


def test_ids_of_told_steps_are_not_used_again() -> None:
    """An outage after an outage goes on counting."""
    (step,) = missing(resting_entry().state, [bought("0.01")], [], used=[(ENTRY, 3)])
    assert step.cl_ord_id == cl_ord_id_of("a1", "STOP", FIRST_ATTEMPT + 3)


def test_a_stop_that_was_decided_and_has_not_left_does_not_count() -> None:
    """The machine decided it, the log took no word of it; one that may have left is waited for."""
    desk = Desk()
    desk.tell(approval()).answer(ENTRY, "CONFIRMED", fill("1", ENTRY, "0.01"), status="FILLED")
    assert desk.state.orders[STOP].status == "PENDING_NEW"
    assert missing(desk.state, [], []) == []
    (step,) = missing(desk.state, [], [], unsent={STOP})
    assert step.order_qty == D("0.01")


def test_nothing_is_done_where_nothing_is_known() -> None:
    """No account reading, no entry of ours, a stranger in the instrument, or less than the venue takes."""
    state = resting_entry().state
    assert missing(State(), [bought("0.01")], []) == []
    assert missing(state, [shown("f" * 32, "NEW"), bought("0.01")], []) == []
    assert missing(state, [bought("0.00005")], []) == []
    state.specs.clear()
    assert missing(state, [bought("0.01")], []) == []


# --- the journal --------------------------------------------------------------------------------------------------------


def test_the_journal_outlives_a_crash_and_a_torn_line(tmp_path) -> None:
    """Whatever was written whole is there again; a torn end was never acted upon."""
    (step,) = missing(resting_entry().state, [bought("0.01")], [])
    journal = Journal(tmp_path)
    journal.write(step)
    assert Journal(tmp_path).steps == [step]
    journal.write(answered(step, "CONFIRMED"))
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"type":"step","order":{"cl_ord')
    again = Journal(tmp_path)
    assert again.steps == [answered(step, "CONFIRMED")]
    again.write(answered(step, "UNKNOWN"))
    assert Journal(tmp_path).steps == [answered(step, "UNKNOWN")]


def test_the_journal_forgets_what_was_told_but_not_its_ids(tmp_path) -> None:
    """The count stays while the owner is known."""
    (step,) = missing(resting_entry().state, [bought("0.01")], [])
    journal = Journal(tmp_path)
    journal.write(step)
    journal.forget([step.cl_ord_id], [ENTRY])
    assert (Journal(tmp_path).steps, Journal(tmp_path).used) == ([], [(ENTRY, 1)])
    journal.forget([], [])
    assert Journal(tmp_path).used == []


def test_a_journal_that_somebody_has_changed_is_not_guessed_at(tmp_path) -> None:
    """The line is named."""
    (tmp_path / NAME).write_text("nonsense\n")
    with pytest.raises(JournalBroken, match="line 1"):
        Journal(tmp_path)


def test_a_stop_whose_replacement_never_left_stands_and_what_is_bought_beside_it_is_protected():
    """The log went away with the replacement still unwritten: the old stop covers its part, and a further part gets its own."""
    desk = Desk(trail_bps=100).covered("0.01", "a0")
    desk.tell(approval(ord_type="LIMIT", limit_px=D(50_000))).answer(ENTRY, "CONFIRMED").price(50_001)
    (replacement,) = [each.cl_ord_id for each in desk.state.orders.values() if each.replaces]
    assert missing(desk.state, [bought("0.004")], []) == []
    (step,) = missing(desk.state, [bought("0.004")], [], unsent={replacement})
    assert (step.role, step.order_qty) == ("STOP", D("0.004"))
