"""Conversations with the notifier: at least once, marked when repeated, few words in a storm, and never about itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages import (
    AlertRaised,
    Check,
    ExecutionReport,
    JournalHeadDeclared,
    LiveUnlocked,
    MessageSent,
    OrderDenied,
    PersonNotified,
    RequestExpired,
    RequestInterrupted,
    ServiceStarted,
    TimerFired,
    TradingStateChanged,
)
from libs.common.timeframe import HOUR, SECOND
from libs.runtime.core import Asked, Core, Output
from libs.runtime.machine import Perform, SetTimer
from services.notifier.contract import CONTRACT
from services.notifier.machine import NotifierMachine
from services.notifier.manner import Manner
from services.notifier.requests import SendMessage
from services.notifier.wording import TEXT_CHARS_MAX
from tests.playbook import START, Playbook, like

D = Decimal
CHARACTERS = st.characters(exclude_categories=["Cs"])


def book(**manner: Any) -> Playbook:
    return Playbook(NotifierMachine(Manner(**manner)), writer="notify")


def alert(text: str = "order is late", **changed: Any) -> AlertRaised:
    fields = {"code": "LATE", "severity": "ticket", "instrument": "BTC-USDT", "producer": "exec", **changed}
    return AlertRaised(text=text, **fields)


def fill(**changed: Any) -> ExecutionReport:
    fields: dict[str, Any] = {
        "cl_ord_id": "c1",
        "intent_id": "i1",
        "venue_order_id": "v1",
        "exec_id": "e1",
        "role": "ENTRY",
        "exec_type": "TRADE",
        "ord_status": "PARTIALLY_FILLED",
        "instrument": "BTC-USDT",
        "side": "BUY",
        "order_qty": D("0.5"),
        "cum_qty": D("0.2"),
        "leaves_qty": D("0.3"),
        "avg_px": D(60_000),
        "last_qty": D("0.1"),
        "last_px": D(60_000),
        "commission": D(6),
        "commission_asset": "USDT",
        "liquidity_side": "TAKER",
        "reason": "",
    }
    return ExecutionReport(**{**fields, **changed})


def denial(*reasons: str, checks: tuple[Check, ...] = ()) -> OrderDenied:
    return OrderDenied(
        intent_id="i1", instrument="BTC-USDT", side="BUY", order_qty=D("0.1"), reasons=reasons, checks=checks
    )


def moved(state: str, reason: str = "news") -> TradingStateChanged:
    return TradingStateChanged(state=state, previous="ACTIVE", reason=reason, author="ada")  # type: ignore[arg-type]


def asked(playbook: Playbook) -> str:
    """The id of the one request of the last answer."""
    (request_id,) = [effect.request_id for effect in playbook.effects if isinstance(effect, Perform)]
    return request_id


def sent(request_id: str, ok: bool = True) -> MessageSent:
    return MessageSent(request_id=request_id, channel="console", ok=ok, detail="" if ok else "BrokenPipeError")


def test_an_alert_is_noted_and_sent() -> None:
    """What a service raises is told with its code, its instrument, who says it, and at its own level."""
    text = "LATE BTC-USDT (exec): order is late"
    told = book().tell(alert())
    told.expect(
        like(PersonNotified, level="ticket", text=text, repeat=False),
        like(SendMessage, channel="console", level="ticket", text=text, repeat=False, valid_until=START + HOUR),
        *[effect for effect in told.effects if isinstance(effect, SetTimer)],
    )
    told.tell(sent(asked(told))).expect()
    assert told.machine.state.mail.letters == {}


def test_who_is_woken_is_told_which_page_says_what_to_do() -> None:
    """A page or a ticket of the catalogue names its runbook, once, at the end of however long a text; a note and a code that nobody knows do not."""
    page = "docs/runbooks/orders.md#order-unknown"

    def text_of(severity: str = "page", code: str = "ORDER_UNKNOWN", text: str = "no answer") -> str:
        told: str = book().tell(alert(text, severity=severity, code=code)).only(PersonNotified).text
        return told

    assert text_of() == f"ORDER_UNKNOWN BTC-USDT (exec): no answer; see {page}"
    assert text_of("ticket").endswith(f"; see {page}")
    assert text_of("note") == "ORDER_UNKNOWN BTC-USDT (exec): no answer"
    assert text_of(code="MINE") == "MINE BTC-USDT (exec): no answer"
    assert text_of(text=f"look at {page}").count(page) == 1
    long = text_of(text="x" * 5_000)
    assert long.endswith(f"...; see {page}")
    assert len(long) == TEXT_CHARS_MAX


def test_a_fill_is_told_with_its_numbers() -> None:
    """What was traded, at what price and fee, and how far the order is."""
    text = "filled BUY 0.1 BTC-USDT at 60000 (ENTRY, 0.2 of 0.5, PARTIALLY_FILLED, fee 6 USDT)"
    book().tell(fill()).expect(like(PersonNotified, level="note", text=text), like(SendMessage, text=text))
    without = "filled BUY 0.1 BTC-USDT at 60000 (ENTRY, 0.2 of 0.5, PARTIALLY_FILLED)"
    book().tell(fill(commission=None)).expect(like(PersonNotified, text=without), like(SendMessage))


@pytest.mark.parametrize("exec_type", ["NEW", "CANCELED", "REJECTED", "EXPIRED", "UNKNOWN", "PENDING_CANCEL"])
def test_only_trades_are_fills(exec_type: str) -> None:
    """An order that merely moved is no news for people."""
    book().tell(fill(exec_type=exec_type)).expect()


def test_a_denial_is_told_with_the_checks_that_failed() -> None:
    """Why we refused, with value and limit; what passed is left out. Without checks the reasons stand alone."""
    checks = (
        Check(code="MAX_POSITION", passed=False, value="2400", limit="2000"),
        Check(code="NO_STOP", passed=False, value="missing", limit="a stop"),
        Check(code="TICK", passed=True, value="1", limit="1"),
    )
    text = "denied BUY 0.1 BTC-USDT: MAX_POSITION 2400 (limit 2000); NO_STOP missing (limit a stop)"
    told = book().tell(denial("MAX_POSITION", "NO_STOP", checks=checks))
    assert told.only(PersonNotified).text == text
    assert book().tell(denial("A", "B")).only(PersonNotified).text == "denied BUY 0.1 BTC-USDT: A, B"


@pytest.mark.parametrize(("state", "level"), [("HALTED", "page"), ("REDUCING", "ticket"), ("ACTIVE", "note")])
def test_a_move_of_the_trading_state_is_always_told(state: str, level: str) -> None:
    """A halt wakes somebody; every single move is told, with author and reason."""
    told = book()
    for _ in range(2):
        told.tell(moved(state)).expect(
            like(PersonNotified, level=level, text=f"trading is {state} (was ACTIVE) by ada: news"),
            like(SendMessage, level=level),
        )
    assert told.tell(moved(state, reason="")).only(PersonNotified).text == f"trading is {state} (was ACTIVE) by ada"


def test_its_own_alerts_are_not_told() -> None:
    """The notifier never tries to tell that it cannot tell."""
    book().tell(alert(code="MESSAGE_NOT_SENT", producer="notify")).expect()


# --- at least once --------------------------------------------------------------------------------------------------


def test_an_interrupted_message_is_sent_again_and_marked() -> None:
    """Nobody knows whether it arrived: it is told once more, and says so; however often, the mark stands once."""
    told = book().tell(fill())
    for _ in range(3):
        first = asked(told)
        told.tell(RequestInterrupted(request_id=first)).expect(
            like(PersonNotified, repeat=True, level="note"),
            like(SendMessage, repeat=True, valid_until=START + HOUR),
        )
        text = told.only(PersonNotified).text
        assert text.startswith("(repeat) filled BUY")
        assert text.count("(repeat)") == 1
        assert asked(told) != first


def test_an_expired_message_is_given_up() -> None:
    """Too old to matter: nothing is said and nothing is kept."""
    told = book().tell(fill())
    told.tell(RequestExpired(request_id=asked(told))).expect()
    assert told.machine.state.mail.letters == {}


def test_a_failed_message_is_tried_again_with_growing_waits_and_then_given_up() -> None:
    """5, 10, 15 (the longest allowed) seconds apart; after the fourth failure an alert for the record, and silence."""
    told = book(attempts_max=4, backoff_s_max=15).tell(fill())
    text = told.only(PersonNotified).text
    for wait_s in (5, 10, 15):
        before = told.now
        told.tell(sent(asked(told), ok=False))
        (timer,) = told.timers
        assert told.timers[timer] == before + wait_s * SECOND
        told.fire(timer).expect(like(SendMessage, text=text, repeat=False, valid_until=START + HOUR))
    told.tell(sent(asked(told), ok=False)).expect(
        like(
            AlertRaised,
            code="MESSAGE_NOT_SENT",
            severity="ticket",
            text=f"console refused 4 times, last with 'BrokenPipeError': {text}",
        )
    )
    assert told.machine.state.mail.letters == {}


def test_a_message_that_arrives_at_last_is_done() -> None:
    """One failure, then success: nothing remains."""
    told = book().tell(fill())
    told.tell(sent(asked(told), ok=False))
    told.fire(next(iter(told.timers)))
    told.tell(sent(asked(told))).expect()
    assert told.machine.state.mail.letters == {}


def test_a_repeat_that_fails_stays_a_repeat() -> None:
    """Interrupted first, refused next: the next attempt is still marked."""
    told = book().tell(fill())
    told.tell(RequestInterrupted(request_id=asked(told)))
    told.tell(sent(asked(told), ok=False))
    told.fire(next(iter(told.timers))).expect(like(SendMessage, repeat=True))


def test_an_answer_to_nothing_is_nothing() -> None:
    """Answers and timers that no message waits for are passed over."""
    told = book()
    told.tell(sent("unknown")).expect()
    told.tell(TimerFired(name="retry.unknown", due=1)).expect()
    told.tell(TimerFired(name="window.unknown", due=1)).expect()
    told.tell(ServiceStarted(instance="a", code_version="b", settings={}, state_digest="c")).expect()


def test_the_story_stays_the_same_through_retries() -> None:
    """Whatever the notifier says about a message belongs to the story of the event that caused it."""
    told = book(attempts_max=2).tell(fill(correlation_id="story"))
    told.tell(sent(asked(told), ok=False))
    told.fire(next(iter(told.timers)))
    told.tell(RequestInterrupted(request_id=asked(told)))
    assert told.only(PersonNotified).correlation_id == "story"
    told.tell(sent(asked(told), ok=False))
    assert told.only(AlertRaised).correlation_id == "story"


# --- storms ---------------------------------------------------------------------------------------------------------


def test_a_storm_is_one_message_and_a_count() -> None:
    """The first is told at once, twelve more are counted and told when the window ends, with the latest text."""
    told = book().tell(alert("first"))
    for place in range(12):
        told.tell(alert(f"again {place}", correlation_id=f"story {place}")).expect()
    (window,) = told.timers
    assert told.timers[window] == START + 300 * SECOND
    told.fire(window)
    notice = told.only(PersonNotified)
    assert notice.text == "LATE BTC-USDT (exec): again 11 (12 more)"
    assert notice.correlation_id == "story 11"


def test_a_storm_that_goes_on_is_told_once_a_window_and_then_ends() -> None:
    """Counting begins anew after each summary; a window in which nothing came ends the matter."""
    told = book().tell(alert()).tell(alert())
    (window,) = told.timers
    told.fire(window)
    assert told.timers[window] == START + 600 * SECOND
    told.tell(alert()).expect()
    told.fire(window)
    assert told.only(PersonNotified).text.endswith("(1 more)")
    told.fire(window).expect()
    assert told.machine.state.windows == {}
    assert told.tell(alert()).only(PersonNotified).text == "LATE BTC-USDT (exec): order is late"


@pytest.mark.parametrize("changed", [{"code": "LOST"}, {"instrument": "ETH-USDT"}, {"severity": "page"}])
def test_another_matter_is_told_at_once(changed: dict[str, str]) -> None:
    """Another code, another instrument or a graver level is news, whatever was said before."""
    told = book().tell(alert())
    assert len(told.tell(alert(**changed)).published(PersonNotified)) == 1


def test_denials_for_the_same_reasons_are_counted_too() -> None:
    """A strategy that keeps knocking is one message a window; a new reason is news."""
    told = book().tell(denial("MAX_POSITION"))
    told.tell(denial("MAX_POSITION")).expect()
    assert len(told.tell(denial("MAX_POSITION", "NO_STOP")).published(PersonNotified)) == 1


# --- wording --------------------------------------------------------------------------------------------------------


@given(st.text(CHARACTERS, max_size=3_000), st.text(CHARACTERS, max_size=50))
def test_every_message_is_one_printable_line(text: str, code: str) -> None:
    """Whatever stands in an alert, people get one line of bounded length that cannot command a terminal."""
    line = book().tell(alert(f"because {text}", code=f"CODE {code}")).only(PersonNotified).text
    assert line.isprintable()
    assert len(line) <= 1_000


def test_a_long_text_is_cut_visibly() -> None:
    """A reader sees that there was more."""
    line = book().tell(alert("x" * 5_000)).only(PersonNotified).text
    assert len(line) == 1_000
    assert line.endswith("...")


# --- in its core ----------------------------------------------------------------------------------------------------


def test_no_request_stays_unanswered_twice_under_one_id() -> None:
    """Driven by the shells' own core through a storm, failures and an interruption, ids never collide."""
    core = Core("notify", NotifierMachine, Manner())
    seq = 0

    def step(event: Any) -> list[Output | Asked]:
        nonlocal seq
        seq += 1
        event = msgspec.structs.replace(event, id=f"e{seq}", correlation_id="story", ts_init=START + seq)
        return core.step(seq, msgspec.structs.replace(event, producer=event.producer or "notify"))

    requests = [each for _ in range(3) for each in step(fill(producer="exec")) if isinstance(each, Asked)]
    assert len({each.request_id for each in requests}) == 3
    again = step(RequestInterrupted(request_id=requests[0].request_id))
    assert [type(each) for each in again] == [Output, Asked]
    step(sent(requests[1].request_id, ok=False))
    (name,) = core.memory.timers
    (retried,) = step(TimerFired(name=name, due=core.memory.timers[name]))
    assert isinstance(retried, Asked)
    step(sent(retried.request_id))
    assert set(core.memory.pending) == set(core.machine.state.mail.letters)


def test_it_hears_alerts_of_every_depth() -> None:
    """Alerts of `exec` and of `agent.trend` both reach it."""
    assert {"*.alert", "*.*.alert"} <= set(CONTRACT.filters)


def test_the_end_of_a_day_is_told_with_the_head_to_keep() -> None:
    """Whoever keeps the line can prove later what stood in the books, without believing the log."""
    head = JournalHeadDeclared(
        day="2026-11-25",
        day_end=START,
        number=1234,
        digest="5f" * 32,
        quote="USDT",
        equity_ts=START,
        equity=Decimal("10012.345"),
        producer="ledger",
    )
    told = book().tell(head).published(PersonNotified)[0]
    text = f"the books of 2026-11-25 end at {'5f' * 32}:1234, equity 10,012.34 USDT; keep this line"
    assert (told.level, told.text) == ("note", text)
    unknown = book().tell(msgspec.structs.replace(head, equity=None)).published(PersonNotified)[0]
    assert "equity not known" in unknown.text


def test_an_override_of_the_lock_wakes_somebody() -> None:
    """Whose, why and without what is told; a certificate of a book that has shown everything is only noted."""
    unlocked = LiveUnlocked(
        book="main",
        grounds="OVERRIDE",
        operator="Ada",
        reason="a small account",
        unmet=("days: 2 days count (asked: 14)", "security audit: there is none (asked: proof of it)"),
        paper_days=2,
        certificate="5f" * 32,
        expires_at=START,
        producer="ops.cli",
    )
    told = book().tell(unlocked).only(PersonNotified)
    text = "book main trades for real by the override of Ada: a small account; not shown: days, security audit; 2 days of paper trading count"
    assert (told.level, told.text) == ("page", text)
    met = msgspec.structs.replace(unlocked, grounds="MET", operator="", reason="", unmet=(), paper_days=15)
    told = book().tell(met).only(PersonNotified)
    text = "book main trades for real: everything asked was shown, 15 days of paper trading count"
    assert (told.level, told.text) == ("note", text)
