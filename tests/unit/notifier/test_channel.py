"""Conversations with the notifier while its channel is down: who waits, who probes, and what is told once it works again."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages import (
    AlertRaised,
    MessageSent,
    PersonNotified,
    RequestExpired,
    RequestInterrupted,
    ServiceStarted,
    TradingStateChanged,
)
from libs.common.timeframe import HOUR, SECOND
from libs.runtime.machine import Perform, SetTimer
from services.notifier.machine import NotifierMachine
from services.notifier.mail import UNDER_WAY_MAX
from services.notifier.manner import Manner
from services.notifier.requests import SendMessage
from tests.playbook import START, Playbook, like

TIMER = "breaker.console"


def book(**manner: Any) -> Playbook:
    fields = {"breaker_failures_max": 1, **manner}
    return Playbook(NotifierMachine(Manner(**fields)), writer="notify")


def alert(code: str, severity: str = "note", text: str = "look") -> AlertRaised:
    return AlertRaised(code=code, severity=severity, text=text, producer="exec")  # type: ignore[arg-type]


def sends(told: Playbook) -> dict[str, str]:
    """The texts that left with the last answer, by request id."""
    found = [effect for effect in told.effects if isinstance(effect, Perform)]
    return {each.request_id: each.request.text for each in found if isinstance(each.request, SendMessage)}


def only_send(told: Playbook) -> tuple[str, str]:
    ((request_id, text),) = sends(told).items()
    return request_id, text


def answer(told: Playbook, request_id: str, ok: bool = True) -> Playbook:
    detail = "" if ok else "BrokenPipeError"
    return told.tell(MessageSent(request_id=request_id, channel="console", ok=ok, detail=detail))


def down(**manner: Any) -> Playbook:
    """A notifier whose channel has just refused its first message, a note called FIRST."""
    told = book(**manner).tell(alert("FIRST"))
    return answer(told, only_send(told)[0], ok=False)


def waiting_codes(told: Playbook) -> list[str]:
    return [each.text.split()[0] for each in told.machine.state.mail.channels["console"].waiting.letters]


# --- down ------------------------------------------------------------------------------------------------------------


def test_a_channel_that_keeps_failing_is_left_alone_and_that_is_raised() -> None:
    """After the third failure in a row a ticket for the record, a timer for the probe, and no further attempt."""
    told = book(breaker_failures_max=3)
    ids = [only_send(told.tell(alert(code)))[0] for code in ("A", "B", "C")]
    answer(told, ids[0], ok=False)
    assert told.published(AlertRaised) == []
    answer(told, ids[1], ok=False)
    answer(told, ids[2], ok=False).expect(
        like(
            AlertRaised,
            code="CHANNEL_DOWN",
            severity="ticket",
            text="console: 3 failures in a row (limit 3), last with 'BrokenPipeError'; messages wait",
        ),
        SetTimer(TIMER, START + 30 * SECOND),
    )
    assert sends(told.tell(alert("D", "page"))) == {}
    retries = [name for name in told.timers if name.startswith("retry.")]
    assert len(retries) == 2
    for name in retries:
        assert sends(told.fire(name)) == {}
    assert sorted(waiting_codes(told)) == ["A", "B", "C", "D"]
    assert told.machine.state.mail.letters == {}


def test_nobody_is_told_that_the_channel_is_down_through_it() -> None:
    """The notifier's own CHANNEL_DOWN comes back to it from the log and is passed over."""
    told = down()
    raised = told.only(AlertRaised)
    told.tell(AlertRaised(code=raised.code, severity=raised.severity, text=raised.text, producer="notify")).expect()


def test_the_gravest_that_waits_is_the_probe() -> None:
    """One message leaves after the pause: the oldest page, said to be late, at its own level and valid from now on."""
    told = down().tell(alert("GRAVE", "page")).tell(alert("GRAVER", "page"))
    told.fire(TIMER).expect(
        like(PersonNotified, level="page", text="(late by 30 s) GRAVE (exec): look"),
        like(SendMessage, level="page", text="(late by 30 s) GRAVE (exec): look", valid_until=told.now + HOUR),
        SetTimer(TIMER, told.now + 30 * SECOND),
    )
    assert sends(told.tell(alert("OTHER", "page"))) == {}


def test_a_probe_that_fails_waits_twice_as_long_and_says_nothing_new() -> None:
    """Still the same outage: no second alert, no second notice of the same letter, the pause doubles up to its limit."""
    told = down(breaker_pause_s_max=60)
    for pause_s in (60, 60):
        request_id, text = only_send(told.fire(TIMER))
        assert text.endswith("FIRST (exec): look")
        assert told.published(PersonNotified) == []
        answer(told, request_id, ok=False).expect(SetTimer(TIMER, told.now + pause_s * SECOND))
    assert waiting_codes(told) == ["FIRST"]


def test_a_probe_that_nobody_answers_has_failed() -> None:
    """Silence keeps the channel shut; the letter whose fate is open is not told a second time by the next probe."""
    told = down().tell(alert("SECOND"))
    lost, _ = only_send(told.fire(TIMER))
    told.fire(TIMER).expect(SetTimer(TIMER, told.now + 60 * SECOND))
    assert only_send(told.fire(TIMER))[1].endswith("SECOND (exec): look")
    assert lost in told.machine.state.mail.letters


def test_without_anything_waiting_the_next_message_is_the_probe() -> None:
    """Nothing is invented to try the channel: the next thing worth telling does it, on time, and only that one."""
    told = book().tell(alert("A")).tell(alert("B"))
    a, b = told.machine.state.mail.letters
    answer(told, a, ok=False)
    answer(told, b)
    told.machine.state.mail.channels["console"].waiting.letters.clear()
    told.fire(TIMER).expect()
    assert only_send(told.tell(alert("NEXT")))[1] == "NEXT (exec): look"
    assert sends(told.tell(alert("AFTER"))) == {}


def test_the_failure_of_an_older_letter_is_no_answer_to_the_probe() -> None:
    """A letter that left before the outage and fails during the probe waits; the probe decides."""
    told = book().tell(alert("A")).tell(alert("B"))
    a, b = told.machine.state.mail.letters
    answer(told, a, ok=False)
    probe, _ = only_send(told.fire(TIMER))
    answer(told, b, ok=False).expect()
    answer(told, probe)
    assert told.only(AlertRaised).code == "CHANNEL_UP"
    assert only_send(told)[1].endswith("B (exec): look")


@pytest.mark.parametrize(("kind", "marks"), [(RequestInterrupted, "(repeat) (late"), (RequestExpired, "(late")])
def test_a_probe_that_never_left_makes_room_for_another(kind: Any, marks: str) -> None:
    """After a crash nobody knows whether the probe arrived: it is tried again, marked; one that expired is told late still."""
    told = down().tell(alert("GRAVE", "page"))
    probe, _ = only_send(told.fire(TIMER))
    told.tell(kind(request_id=probe))
    again, text = only_send(told)
    assert text.startswith(marks)
    assert text.endswith("GRAVE (exec): look")
    answer(told, again)
    assert told.only(AlertRaised).code == "CHANNEL_UP"


def test_waiting_uses_up_no_attempts() -> None:
    """A letter with one attempt left waits through failing probes, and has all its attempts again once the channel works."""
    told = book(attempts_max=2, breaker_failures_max=2)
    told.tell(alert("LAST"))
    answer(told, only_send(told)[0], ok=False)
    told.fire(next(name for name in told.timers if name.startswith("retry.")))
    answer(told, only_send(told)[0], ok=False)
    assert told.only(AlertRaised).code == "CHANNEL_DOWN"
    for _ in range(5):
        answer(told, only_send(told.fire(TIMER))[0], ok=False)
        assert told.published(AlertRaised) == []
    answer(told, only_send(told.fire(TIMER))[0])
    assert told.only(AlertRaised).code == "CHANNEL_UP"
    assert told.machine.state.mail.letters == {}
    assert waiting_codes(told) == []


# --- up again --------------------------------------------------------------------------------------------------------


def test_what_waited_is_told_as_one_digest_with_pages_first() -> None:
    """One late message: how much waited, then each kind once with its count; the note CHANNEL_UP says it for the record."""
    told = down().tell(alert("A")).tell(alert("T", "ticket"))
    for _ in range(2):
        told.tell(TradingStateChanged(state="HALTED", previous="ACTIVE", reason="news", author="ada"))
    told.tell(alert("P", "page"))
    probe, _ = only_send(told.fire(TIMER))
    text = (
        "(late by 30 s) 1 page, 1 ticket, 2 notes waited; page: P (exec): look; ticket: T (exec): look;"
        " note: FIRST (exec): look; note: A (exec): look"
    )
    up = "console works again after 30 s; still to tell: 1 page, 1 ticket, 2 notes"
    answer(told, probe).expect(
        like(AlertRaised, code="CHANNEL_UP", severity="note", text=up),
        like(PersonNotified, level="page", text=text),
        like(SendMessage, level="page", text=text, repeat=False, valid_until=told.now + HOUR),
        *[effect for effect in told.effects if type(effect).__name__ == "CancelTimer"],
    )
    answer(told, only_send(told)[0]).expect()
    assert told.machine.state.mail.letters == {}
    assert only_send(told.tell(alert("NEWS")))[1] == "NEWS (exec): look"


def test_letters_of_a_kind_are_one_with_a_count() -> None:
    """Three halts behind a broken channel are one line with the latest reason, and two more."""
    told = down()
    for reason in ("one", "two", "three"):
        told.tell(TradingStateChanged(state="HALTED", previous="ACTIVE", reason=reason, author="ada"))
    assert only_send(told.fire(TIMER))[1] == "(late by 30 s) trading is HALTED (was ACTIVE) by ada: three (2 more)"


def test_a_count_that_waited_stays_a_count() -> None:
    """The end of a storm's window behind a broken channel: its dozen is added, not told as one."""
    told = book().tell(alert("STORM"))
    answer(told, only_send(told)[0])
    for _ in range(12):
        told.tell(alert("STORM"))
    told.tell(alert("OTHER", "page"))
    answer(told, only_send(told)[0], ok=False)
    told.fire(next(name for name in told.timers if name.startswith("window.")))
    probe, _ = only_send(told)
    answer(told, probe)
    assert only_send(told)[1] == "(late by 0 s) STORM (exec): look (12 more)"


def test_a_full_house_drops_the_oldest_notes_then_tickets_and_says_so() -> None:
    """Room for two kinds: two notes and a ticket have to go, the pages stay, and the drops are told with the digest."""
    told = down(waiting_kinds_max=2)
    for code, severity in (("T", "ticket"), ("N", "note"), ("P", "page"), ("Q", "page")):
        told.tell(alert(code, severity))
    assert waiting_codes(told) == ["P", "Q"]
    answer(told, only_send(told.fire(TIMER))[0])
    assert told.only(AlertRaised).text.endswith("dropped: 1 ticket, 2 notes")
    assert only_send(told)[1] == "(late by 30 s) 1 page waited, 1 ticket, 2 notes dropped; page: Q (exec): look"


def test_drops_alone_are_told_too() -> None:
    """Where the probe was all that had room, people still hear what is missing."""
    told = down(waiting_kinds_max=1).tell(alert("P", "page"))
    answer(told, only_send(told.fire(TIMER))[0])
    assert only_send(told)[1] == "(late by 0 s) nothing waited, 1 note dropped"


def test_pages_beyond_the_room_are_counted_not_dropped() -> None:
    """Only pages, and too many kinds of them: the oldest become one that counts each."""
    told = down(waiting_kinds_max=2)
    for code in "PQRS":
        told.tell(alert(code, "page"))
    assert sorted(each.count for each in told.machine.state.mail.channels["console"].waiting.letters) == [1, 3]
    assert told.machine.state.mail.channels["console"].waiting.dropped == {"note": 1}


def test_a_digest_is_of_bounded_length_and_counts_what_it_cannot_show() -> None:
    """Forty long messages: a line that a phone can show, cut texts, and how many kinds more there were."""
    told = down()
    for place in range(40):
        told.tell(alert(f"CODE{place}", text="x" * 5_000))
    answer(told, only_send(told.fire(TIMER))[0])
    _, text = only_send(told)
    assert len(text) <= 1_000
    assert text.startswith("(late by 30 s) 40 notes waited; note: CODE0 (exec): xxx")
    assert re.search(r"; and 3\d kinds more$", text)


def test_a_digest_that_fails_waits_again_in_its_parts() -> None:
    """The channel works for one message only: nothing of the digest is lost, and it is no digest in a digest."""
    told = down().tell(alert("A")).tell(alert("B"))
    answer(told, only_send(told.fire(TIMER))[0])
    answer(told, only_send(told)[0], ok=False)
    assert waiting_codes(told) == ["A", "B"]
    assert told.only(AlertRaised).code == "CHANNEL_DOWN"


def test_the_parts_of_an_interrupted_digest_stay_marked() -> None:
    """Nobody knows whether the digest arrived: it and, after a failure, each of its parts says that it may be a repeat."""
    told = down().tell(alert("A")).tell(alert("B"))
    answer(told, only_send(told.fire(TIMER))[0])
    told.tell(RequestInterrupted(request_id=only_send(told)[0]))
    request_id, text = only_send(told)
    assert text.startswith("(repeat) (late by")
    answer(told, request_id, ok=False)
    assert only_send(told.fire(TIMER))[1].startswith("(repeat) (late by 60 s) A")


def test_a_page_is_never_given_up() -> None:
    """While notes get through it is refused: one alert for the record, and it is tried at the longest back-off until it arrives."""
    told = book(breaker_failures_max=1_000, attempts_max=2).tell(alert("GRAVE", "page"))
    raised = []
    for _ in range(12):
        answer(told, only_send(told)[0], ok=False)
        raised += [each.code for each in told.published(AlertRaised)]
        told.tell(alert(f"N{len(told.story)}"))
        answer(told, only_send(told)[0])
        told.fire(next(name for name in told.timers if name.startswith("retry.")))
    assert raised == ["MESSAGE_NOT_SENT"]
    assert only_send(told)[1] == "GRAVE (exec): look"


def test_a_page_that_expired_is_told_late() -> None:
    """We were away for longer than a message is worth: a page is worth it."""
    told = book().tell(alert("GRAVE", "page"), now=START)
    told.tell(RequestExpired(request_id=only_send(told)[0]), now=START + 3 * HOUR)
    assert only_send(told)[1] == "(late by 3 h) GRAVE (exec): look"


def test_too_many_letters_under_way_wait_without_an_outage() -> None:
    """A channel that answers nothing does not fill our memory: what is beyond the limit is told as soon as there is room."""
    told = book()
    first = only_send(told.tell(alert("A")))[0]
    for place in range(UNDER_WAY_MAX + 10):
        told.tell(alert(f"B{place}"))
    assert len(told.machine.state.mail.letters) == UNDER_WAY_MAX
    assert only_send(answer(told, first))[1].startswith("(late by 0 s) 11 notes waited; note: B19 ")


def test_there_is_one_digest_at_a_time() -> None:
    """While a digest is under way what has to wait goes on waiting; its answer lets the next one leave."""
    told = down().tell(alert("A")).tell(alert("B"))
    answer(told, only_send(told.fire(TIMER))[0])
    digest, _ = only_send(told)
    page, _ = only_send(told.tell(alert("GRAVE", "page")))
    assert sends(told.tell(RequestExpired(request_id=page))) == {}
    assert only_send(answer(told, digest))[1] == "(late by 0 s) GRAVE (exec): look"


def test_another_channel_after_a_restart_tells_what_waited() -> None:
    """Who sets another channel because this one is broken gets what waited at once."""
    told = down()
    told.machine.settings = Manner(channels=("other",))
    told.tell(ServiceStarted(instance="a", code_version="b", settings={}, state_digest="c"))
    assert only_send(told)[1] == "(late by 0 s) FIRST (exec): look"
    assert TIMER not in told.timers
    assert list(told.machine.state.mail.channels) == ["other"]


# --- whatever happens ------------------------------------------------------------------------------------------------

PART = re.compile(r"(\(repeat\) )?(?:\(late by \d+ \w+\) )?([PTN]\d+) \(exec\): look")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("raise"), st.sampled_from("PPTN"), st.integers(0, 3)),
        st.tuples(st.sampled_from(["sent", "sent", "failed", "failed", "interrupted", "expired"]), st.integers(0, 5)),
        st.tuples(st.just("time"), st.integers(0, 5)),
    ),
    max_size=60,
)
SEVERITIES = {"P": "page", "T": "ticket", "N": "note"}


class Life:
    """A notifier and its channel: how many pages were raised and have arrived, and how often each matter was told as if it were new."""

    def __init__(self, **manner: Any):
        self.told = book(attempts_max=2, **manner)
        self.flying: dict[str, str] = {}
        self.pages_raised = 0
        self.pages_arrived = 0
        self.told_as_new: Counter[str] = Counter()

    def step(self, what: str, *where: Any) -> None:
        if what == "raise":
            self.pages_raised += where[0] == "P"
            self.told.tell(alert(f"{where[0]}{where[1]}", SEVERITIES[where[0]]))
        elif what == "time" and self.told.timers:
            timers = sorted(self.told.timers, key=lambda name: (self.told.timers[name], name))
            self.told.fire(timers[where[0] % len(timers)])
        elif what != "time" and self.flying:
            request_id = sorted(self.flying)[where[0] % len(self.flying)]
            self._answer(request_id, self.flying.pop(request_id), what)
        self.flying |= sends(self.told)
        self.told.effects = []

    def come_to_rest(self) -> None:
        """From here on everything works."""
        while self.flying or self.told.timers:
            self.step("sent", 0) if self.flying else self.step("time", 0)

    def _answer(self, request_id: str, text: str, what: str) -> None:
        if what == "expired":
            self.told.tell(RequestExpired(request_id=request_id))
            return
        if what == "interrupted":
            self._may_have_arrived(text)
            self.told.tell(RequestInterrupted(request_id=request_id))
            return
        if what == "sent":
            self._may_have_arrived(text)
            letter = self.told.machine.state.mail.letters[request_id]
            parts = letter.waited.letters if letter.waited is not None else [letter]
            self.pages_arrived += sum(each.count for each in parts if each.level == "page")
        answer(self.told, request_id, ok=what == "sent")

    def _may_have_arrived(self, text: str) -> None:
        for repeat, code in PART.findall(text):
            self.told_as_new[code] += not (repeat or text.startswith("(repeat) "))


@given(STEPS, st.integers(1, 4))
def test_no_page_is_lost_and_memory_is_bounded(steps: list[tuple[Any, ...]], kinds_max: int) -> None:
    """Through storms, outages and crashes with little room: every page arrives once, alone or counted, and little is kept."""
    life = Life(waiting_kinds_max=kinds_max, repeat_window_s=1)
    for step in steps:
        life.step(*step)
        state = life.told.machine.state
        digests = [each.waited.letters for each in state.mail.letters.values() if each.waited is not None]
        assert all(len(each.waiting.letters) <= kinds_max for each in state.mail.channels.values())
        assert len(digests) <= 1
        assert all(len(each) <= kinds_max for each in digests)
    life.come_to_rest()
    assert life.told.machine.state.mail.letters == {}
    assert all(each.waiting.letters == [] for each in life.told.machine.state.mail.channels.values())
    assert life.pages_arrived == life.pages_raised


@given(STEPS)
def test_nothing_is_told_twice_unless_it_says_so(steps: list[tuple[Any, ...]]) -> None:
    """Each matter is raised once: what arrived, or may have, comes again only with the mark of a repeat."""
    life = Life()
    raised = set()
    for step in steps:
        if step[0] != "raise" or step not in raised:
            life.step(*step)
        raised.add(step)
    life.come_to_rest()
    assert all(count <= 1 for count in life.told_as_new.values())
