"""Stories: what an id names, what led to it, what came of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import (
    AccountRead,
    ExecutionReport,
    FeedBars,
    JournalPosted,
    Message,
    OrderApproved,
    OrderIntent,
    OrderSubmitting,
    PersonNotified,
    PositionChanged,
    VenueReported,
)
from libs.desk.story import Event, Story, role_of, tell, timed
from libs.desk.story_target import LATEST, PREFIX_CHARS_MIN, Target, decoded, newest, resolve
from libs.runtime.adapter import LogEntry
from services.cli.exit_codes import Failure
from services.cli.trace import story_of
from tests.recorded_log import messages_of, recorded_log
from tests.simulation.plans import HARSH

LOG = recorded_log(2)
MESSAGES = messages_of(LOG)
STORMY = recorded_log(1, HARSH)


def all_of(kind: type[Message]) -> list[Message]:
    return [message for _, message in MESSAGES if isinstance(message, kind)]


def entry_fill() -> ExecutionReport:
    fills = [each for each in all_of(ExecutionReport) if each.exec_type == "TRADE" and each.role == "ENTRY"]
    return fills[0]


def the_story(wanted: str, log: tuple[LogEntry, ...] = LOG) -> Story:
    (target,) = resolve(log, wanted)
    return tell(log, target)


def ids(story: Story) -> set[str]:
    return {event.message.id for event in story.events}


# --- targets ------------------------------------------------------------------------------------------------------


def test_every_kind_of_id_is_found() -> None:
    """Correlation, intent, order and message, each by its whole id and by its beginning."""
    fill = entry_fill()
    names = {
        "correlation": fill.correlation_id,
        "intent": fill.intent_id,
        "order": fill.cl_ord_id,
        "message": fill.id,
    }
    for kind, wanted in names.items():
        for asked in (wanted, wanted[:PREFIX_CHARS_MIN], f"{kind}:{wanted}"):
            assert resolve(LOG, asked) == [Target(kind, wanted)], (kind, asked)  # type: ignore[arg-type]


def test_a_short_beginning_is_no_id() -> None:
    """Seven characters might be anything; and nothing is nothing."""
    fill = entry_fill()
    assert resolve(LOG, fill.cl_ord_id[: PREFIX_CHARS_MIN - 1]) == []
    assert resolve(LOG, "") == []
    assert resolve(LOG, "order:") == []


def test_a_venues_numbers_need_their_instrument() -> None:
    """Order 1 of one instrument and trade 1 of another are different things."""
    fill = entry_fill()
    found = resolve(LOG, fill.exec_id)
    assert Target("exec", fill.exec_id, fill.instrument) in found
    assert len(found) > 1
    for target in found:
        assert resolve(LOG, target.key) == [target]


def test_an_ambiguous_beginning_lists_what_it_may_mean() -> None:
    """Two messages whose ids begin alike are both offered."""
    first = msgspec.structs.replace(MESSAGES[0][1], id="abcdef00" + "1" * 24)
    second = msgspec.structs.replace(MESSAGES[0][1], id="abcdef00" + "2" * 24)
    log = [_entry(1, first), _entry(2, second)]
    assert [target.id for target in resolve(log, "abcdef00")] == [first.id, second.id]
    assert [target.id for target in resolve(log, first.id)] == [first.id]


def _entry(seq: int, message: Message) -> LogEntry:
    return LogEntry(seq, LOG[0].subject, msgspec.json.encode(message))


def test_latest_is_the_newest_fill() -> None:
    """Whoever knows no id yet can begin with the last thing that happened."""
    fills = [each for each in all_of(ExecutionReport) if each.exec_type == "TRADE"]
    assert newest(LOG) == [Target("intent", fills[-1].intent_id)]
    before_any_fill = LOG[: next(seq for seq, each in MESSAGES if isinstance(each, OrderIntent))]
    assert [target.kind for target in newest(before_any_fill)] == ["intent"]
    assert newest(LOG[:5]) == []
    assert story_of(LOG, LATEST).target == newest(LOG)[0]  # type: ignore[arg-type]


def test_a_request_is_named_after_its_order() -> None:
    """`submit:<order>` stands in the log; whoever copies it from there gets the order's story."""
    fill = entry_fill()
    for request in ("submit", "cancel", "lookup"):
        assert resolve(LOG, f"{request}:{fill.cl_ord_id}") == [Target("order", fill.cl_ord_id)]
    assert resolve(LOG, f"dance:{fill.cl_ord_id}") == []


def test_the_latest_of_nothing_is_no_fill_yet() -> None:
    """A young log is told apart from a mistyped id."""
    with pytest.raises(Failure, match="no fill yet"):
        story_of(LOG[:5], LATEST)  # type: ignore[arg-type]
    with pytest.raises(Failure, match="is called 'lates'"):
        story_of(LOG[:5], "lates")  # type: ignore[arg-type]


# --- stories ------------------------------------------------------------------------------------------------------


def test_a_correlation_is_a_whole_story() -> None:
    """Every event of the story is told, beginning with its bars, and nothing of other stories but what moved it."""
    fill = entry_fill()
    story = the_story(fill.correlation_id)
    mine = {message.id for _, message in MESSAGES if message.correlation_id == fill.correlation_id}
    assert mine <= ids(story)
    assert isinstance(story.events[0].message, FeedBars)
    moved = {event.message.causation_id for event in story.events}
    orders = {event.message.cl_ord_id for event in story.events if isinstance(event.message, OrderSubmitting)}
    for event in story.events:
        message = event.message
        is_reported = isinstance(message, VenueReported) and message.order is not None
        assert (
            message.id in mine or message.id in moved or (is_reported and message.order.cl_ord_id in orders)  # type: ignore[union-attr]
        )


def test_an_intent_has_ancestors_and_descendants() -> None:
    """From the bar that moved an opinion to the message that told a person, without the neighbour's order."""
    fill = entry_fill()
    story = the_story(fill.intent_id)
    first = {event.role: event for event in reversed(story.events)}
    relations = [first[role].relation for role in ("bars", "signals", "intent", "fill", "posting", "notice")]
    assert relations == ["cause", "cause", "named", "named", "effect", "effect"]
    neighbours = {each.intent_id for each in all_of(OrderIntent) if each.instrument != fill.instrument}  # type: ignore[attr-defined]
    assert neighbours
    assert not neighbours & {getattr(event.message, "intent_id", "") for event in story.events}
    assert story.instruments == (fill.instrument,)


def test_what_an_order_leads_to_is_told() -> None:
    """Of an entry: its fill, posting, position, the notice to people, and the stop and target that guard it."""
    fill = entry_fill()
    story = the_story(fill.cl_ord_id)
    kinds = {type(event.message) for event in story.events}
    assert {OrderApproved, ExecutionReport, JournalPosted, PositionChanged, PersonNotified} <= kinds
    stops = [event for event in story.events if isinstance(event.message, OrderSubmitting)]
    assert [event.message.role for event in stops] == ["ENTRY", "STOP", "TARGET"]  # type: ignore[union-attr]


def test_a_story_stands_in_log_order_below_its_causes() -> None:
    """Each event is one generation below its cause, and later by the time between them."""
    story = the_story(entry_fill().intent_id)
    by_seq = {event.seq: event for event in story.events}
    assert list(by_seq) == sorted(by_seq)
    for event in story.events:
        if event.cause_seq is None:
            assert (event.depth, event.latency_ns) == (0, None)
        else:
            cause = by_seq[event.cause_seq]
            assert event.message.causation_id == cause.message.id
            assert event.depth == cause.depth + 1
            assert event.latency_ns == event.message.ts_init - cause.message.ts_init


def test_latencies_are_the_logs_own_where_it_tells() -> None:
    """Derived events copy the time of their input; when they were stored says how long deciding took."""
    story = timed(
        the_story(entry_fill().intent_id),
        {1: 1} | {event.seq: event.seq * 1000 for event in the_story(entry_fill().intent_id).events},
    )
    for event in story.events:
        assert event.stored_at == event.seq * 1000
        if event.cause_seq is not None:
            assert event.latency_ns == (event.seq - event.cause_seq) * 1000
    untimed = timed(story, {})
    assert [event.latency_ns for event in untimed.events] == [event.latency_ns for event in story.events]


def test_a_reading_of_the_account_joins_no_stories() -> None:
    """It may explain many orders; only those asked for are told."""
    quarantined = [decoded(entry) for entry in STORMY if entry.subject.startswith("exec.quarantined.")]
    assert quarantined, "this seed must contain an order of unknown fate"
    for message in quarantined[:3]:
        story = tell(STORMY, Target("order", message.cl_ord_id))  # type: ignore[union-attr]
        readings = [event for event in story.events if isinstance(event.message, AccountRead)]
        for reading in readings:
            for event in story.events:
                if event.cause_seq == reading.seq:
                    assert getattr(event.message, "cl_ord_id", message.cl_ord_id) == message.cl_ord_id  # type: ignore[union-attr]


@settings(deadline=None)
@given(st.sampled_from(STORMY))
def test_every_message_has_a_story(entry: LogEntry) -> None:
    """Whatever stands in a log that was through crashes can be traced: it is in its own story, whose causes precede it."""
    message = decoded(entry)
    assert message is not None
    story = tell(STORMY, Target("message", message.id))
    (mine,) = [event for event in story.events if event.relation == "named"]
    assert mine.message == message
    for event in story.events:
        assert (event.relation == "cause") == (event.seq < mine.seq)
        assert event.relation != "effect" or event.cause_seq is not None


def test_what_is_no_event_is_not_told() -> None:
    """A poison message between the events of a story is passed over."""
    fill = entry_fill()
    poison = LogEntry(len(LOG) + 1, "feed.marks", b'{"correlation_id":"' + fill.correlation_id.encode() + b'"}')
    broken = LogEntry(len(LOG) + 2, "feed.marks", b"\xff not even text")
    assert ids(the_story(fill.correlation_id, (*LOG, poison, broken))) == ids(the_story(fill.correlation_id))


@pytest.mark.parametrize("entry", LOG[::25], ids=lambda entry: entry.subject)
def test_every_event_has_a_part_to_play(entry: LogEntry) -> None:
    """No kind of event in a real log is without a role, and JSON names its type and id."""
    message = decoded(entry)
    assert message is not None
    assert role_of(message) != "other"
    event = Event(
        seq=1,
        subject="",
        role="",
        relation="named",
        depth=0,
        cause_seq=None,
        latency_ns=None,
        stored_at=0,
        message=message,
    )
    assert event.as_json()["type"] == type(message).__struct_config__.tag
    assert event.as_json()["id"] == message.id
