"""The trading cycle, from a bar to the books and out again, through every real machine and the log between them."""

from __future__ import annotations

from functools import cache
from typing import TypeVar

from libs.common.messages import (
    AgentSignals,
    EntriesProposed,
    EntryJudged,
    EquityChanged,
    ExecutionReport,
    FeedBars,
    Message,
    ModelAnswered,
    OrderApproved,
    OrderIntent,
    OrderSubmitting,
    PositionChanged,
)
from tests.recorded_log import messages_of, recorded_log

M = TypeVar("M", bound=Message)


@cache
def log() -> list[tuple[int, Message]]:
    """A calm market in which something is bought and sold again, as the machines lived through it."""
    return messages_of(recorded_log(5))


@cache
def by_id() -> dict[str, Message]:
    return {message.id: message for _, message in log()}


def first_entry() -> OrderApproved:
    """The first approved entry that was filled."""
    filled = {said.intent_id for said in all_of(ExecutionReport) if said.exec_type == "TRADE" and said.role == "ENTRY"}
    return next(said for said in all_of(OrderApproved) if said.intent_id in filled)


def all_of(kind: type[M]) -> list[M]:
    return [message for _, message in log() if isinstance(message, kind)]


def causes_of(message: Message) -> list[type[Message]]:
    """The kinds of its direct ancestors, nearest first."""
    found = []
    while (parent := by_id().get(message.causation_id)) is not None:
        found.append(type(parent))
        message = parent
    return found


def test_an_entry_follows_from_a_bar_link_by_link() -> None:
    """Bar, opinion, (proposal, answer, judgement,) wish, verdict: each names the one before it as its cause, and all tell the same story."""
    approved = first_entry()
    asked = (EntriesProposed, ModelAnswered, EntryJudged)
    assert [kind for kind in causes_of(approved) if kind not in asked][:3] == [OrderIntent, AgentSignals, FeedBars]
    intent = by_id()[approved.causation_id]
    assert isinstance(intent, OrderIntent)
    assert (intent.intent_id, intent.order_qty) == (approved.intent_id, approved.order_qty)
    assert approved.correlation_id == intent.correlation_id


def test_an_approved_entry_becomes_one_order_and_one_position() -> None:
    """Submitted once, reported by the venue, booked fill by fill; the position is what was filled, less a fee in coins."""
    approved = first_entry()
    submitted = [
        said for said in all_of(OrderSubmitting) if said.intent_id == approved.intent_id and said.role == "ENTRY"
    ]
    assert len(submitted) == 1
    fills = [
        said
        for said in all_of(ExecutionReport)
        if said.intent_id == approved.intent_id and said.role == "ENTRY" and said.exec_type == "TRADE"
    ]
    assert {said.cl_ord_id for said in fills} == {submitted[0].cl_ord_id}
    assert sum(said.last_qty for said in fills) <= approved.order_qty
    booked = {said.exec_id: said for said in all_of(PositionChanged)}
    assert all(fill.exec_id in booked for fill in fills)


def test_what_is_held_lies_under_a_stop_and_is_sold_in_the_end() -> None:
    """The entry's stop is submitted after its fill, and the way out ends flat or in dust, with an equity after it."""
    approved = first_entry()
    order = {said.role: said for said in reversed(all_of(OrderSubmitting)) if said.instrument == approved.instrument}
    assert "STOP" in order
    assert order["STOP"].stop_px == approved.stop_px
    places = {id(message): seq for seq, message in log()}
    exits = [
        said
        for said in all_of(ExecutionReport)
        if said.instrument == approved.instrument and said.side == "SELL" and said.exec_type == "TRADE"
    ]
    assert exits, "nothing was sold"
    last = max(places[id(said)] for said in exits)
    after = [said for seq, said in log() if seq > last and isinstance(said, EquityChanged)]
    assert after, "the books say nothing after the last sale"
