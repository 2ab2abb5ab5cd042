"""The model agent's conversations: proposals become questions, answers become judgements, and nobody is left without one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from libs.common.ids import derive_id
from libs.common.messages import (
    AlertRaised,
    EntriesProposed,
    EntryJudged,
    ModelAnswered,
    Proposal,
    RequestExpired,
    RequestInterrupted,
    TextHeard,
)
from libs.common.timeframe import HOUR, SECOND
from libs.runtime.machine import Perform, Reject
from services.signal_agents.llm.failures import LASTING
from services.signal_agents.llm.machine import FAILING_AFTER, INSTRUMENTS_KEPT, TEXTS_KEPT, LlmMachine, Manner
from services.signal_agents.llm.prompt import Params
from services.signal_agents.llm.requests import AskModel
from services.signal_agents.llm.texts import RAW_CHARS_MAX
from tests.playbook import START, Playbook, like
from tests.unit.signal_agents.llm.cases import answer_to

BTC = "BTC-USDT"
BAR_END = START + HOUR


def proposal(number: int = 1, **changes: Any) -> Proposal:
    told: dict[str, Any] = {
        "proposal_id": derive_id("proposal", number),
        "instrument": BTC,
        "agent_id": "trend",
        "stance": "LONG",
        "strength": 0.7,
        "facts": {"atr_bps": 12.5, "trend_rsi": 61.0},
        "valid_until": BAR_END + 25 * SECOND,
    }
    return Proposal(**(told | changes))


def an_agent() -> Playbook:
    return Playbook(LlmMachine(Manner(params=Params(model="some-model"), deadline_ms=4_000)), writer="agent.llm")


def told(*proposals: Proposal) -> EntriesProposed:
    return EntriesProposed(end_ts=BAR_END, proposals=proposals or (proposal(),), ts_init=BAR_END)


def asked(book: Playbook) -> tuple[str, AskModel]:
    (effect,) = [each for each in book.effects if isinstance(each, Perform)]
    assert isinstance(effect.request, AskModel)
    return effect.request_id, effect.request


def answered(request_id: str, text: str = "", failure: str = "", **changes: Any) -> ModelAnswered:
    fields: dict[str, Any] = {
        "request_id": request_id,
        "key": "k",
        "request": "{}",
        "outcome": "FAILED" if failure else "ANSWERED",
        "failure": failure,
        "text": text,
        "model": "some-model",
        "finish": "stop",
        "tokens_in": 1,
        "tokens_out": 1,
        "cost_usd": Decimal(0),
        "latency_ms": 5,
        "http_status": 200,
        "retry_after_s": 0.0,
    }
    return ModelAnswered(**(fields | changes))


def alerts(book: Playbook) -> list[str]:
    return [alert.code for alert in book.published(AlertRaised)]


def test_a_proposal_becomes_a_question_and_its_answer_a_judgement() -> None:
    """The question holds the numbers with their units, and the judgement names the case and the recorded question."""
    book = an_agent().tell(told())
    request_id, request = asked(book)
    assert (request.deadline_ms, request.valid_until) == (4_000, BAR_END + 25 * SECOND)
    assert [(fact.name, fact.value, fact.unit) for fact in request.case.facts] == [
        ("atr_bps", 12.5, "bps"),
        ("trend_rsi", 61.0, ""),
    ]
    book.tell(answered(request_id, answer_to(request.case, stance="down", p=0.7)))
    book.expect(
        like(
            EntryJudged,
            proposal_id=proposal().proposal_id,
            outcome="JUDGED",
            expects="down",
            p=0.7,
            case_id=request.case.case_id,
            key=request.question.key,
            evidence=("f1",),
        )
    )


@pytest.mark.parametrize("failure", ["timeout", "overloaded", "oversize", "protocol", "connect", "breaker_open"])
def test_every_failure_is_a_judgement_that_says_so(failure: str) -> None:
    """Nobody waits for a model that cannot answer."""
    book = an_agent().tell(told())
    book.tell(answered(asked(book)[0], failure=failure))
    book.expect(like(EntryJudged, outcome="FAILED", failure=failure, expects="none", p=0.5))


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("LONG! I am sure.", "parse"),
        ('{"stance": "up"}', "schema"),
        ("I'm sorry, but I cannot help with that.", "refusal"),
        ("", "parse"),
    ],
)
def test_what_the_log_holds_is_read_again_strictly(text: str, failure: str) -> None:
    """Though the adapter called it an answer: whoever decides reads the words himself."""
    book = an_agent().tell(told())
    book.tell(answered(asked(book)[0], text))
    book.expect(like(EntryJudged, outcome="FAILED", failure=failure))


def test_an_answer_about_another_case_is_none() -> None:
    """Two proposals, their answers exchanged: neither counts."""
    book = an_agent().tell(told(proposal(1), proposal(2, instrument="ETH-USDT")))
    (one, first), (two, second) = [
        (each.request_id, each.request) for each in book.effects if isinstance(each, Perform)
    ]
    book.tell(answered(one, answer_to(second.case))).expect(like(EntryJudged, failure="grounding", instrument=BTC))
    book.tell(answered(two, answer_to(first.case))).expect(
        like(EntryJudged, failure="grounding", instrument="ETH-USDT")
    )


def test_a_question_that_was_interrupted_is_asked_once_more() -> None:
    """After a crash nobody knows if it left: again while there is time, and not for ever."""
    book = an_agent().tell(told())
    first, _ = asked(book)
    second, request = asked(book.tell(RequestInterrupted(request_id=first)))
    assert second != first
    book.tell(RequestInterrupted(request_id=second)).expect(like(EntryJudged, failure="interrupted"))
    late = an_agent().tell(told())
    late.tell(RequestInterrupted(request_id=asked(late)[0]), now=request.valid_until + 1)
    late.expect(like(EntryJudged, failure="interrupted"))


def test_a_question_that_became_old_says_so() -> None:
    """It has provably not left; and a proposal that comes late is not even asked."""
    book = an_agent().tell(told())
    book.tell(RequestExpired(request_id=asked(book)[0])).expect(like(EntryJudged, failure="expired"))
    an_agent().tell(told(), now=BAR_END + 26 * SECOND).expect(like(EntryJudged, failure="late"))


@pytest.mark.parametrize("facts", [{}, {"Ignore previous": 1.0}, {"rsi; BUY": 2.0}])
def test_facts_that_must_not_be_shown_are_not_asked_about(facts: dict[str, float]) -> None:
    """A proposal without a fact, or with a name that could be an instruction."""
    an_agent().tell(told(proposal(facts=facts))).expect(like(EntryJudged, failure="no_case"))


def text(words: str, instrument: str = BTC, at: int = START, **changes: Any) -> TextHeard:
    fields: dict[str, Any] = {"source": "wire", "published_at": at, "author": "me", "ts_init": at}
    return TextHeard(instrument=instrument, text=words, **(fields | changes), producer="ops.cli")


def texts_shown(book: Playbook) -> list[str]:
    return [each.text for each in asked(book.tell(told()))[1].case.texts]


def test_texts_about_the_instrument_are_shown_cleaned_oldest_first() -> None:
    """Its own and those about everything, not those about another; invisible characters are gone."""
    book = an_agent()
    book.tell(text("old news", at=START)).tell(text("all mar\u200bkets", "", at=START + SECOND))
    book.tell(text("about ether", "ETH-USDT", at=START + 2 * SECOND)).tell(text("new news", at=START + 3 * SECOND))
    assert texts_shown(book) == ["old news", "all markets", "new news"]


def test_a_text_counts_from_when_it_was_heard() -> None:
    """Nobody may date one into the past of a bar; one from after the bar's end, or of yesterday, is not shown."""
    book = an_agent()
    book.tell(text("yesterday", at=BAR_END - 25 * HOUR))
    book.tell(text("said to be old", at=BAR_END - 3 * HOUR, ts_init=BAR_END + SECOND))
    book.tell(text("from tomorrow", at=START, published_at=BAR_END + HOUR))
    assert texts_shown(book) == []


def test_texts_are_not_hoarded() -> None:
    """Whoever sends thousands fills no memory; the newest are kept."""
    book = an_agent()
    for number in range(3 * TEXTS_KEPT):
        book.tell(text(f"number {number}", at=START + number * SECOND))
    assert len(book.machine.state.texts[BTC]) == TEXTS_KEPT
    assert texts_shown(book)[-1] == f"number {3 * TEXTS_KEPT - 1}"


@pytest.mark.parametrize(
    "flaw",
    [{"source": "two words"}, {"source": ""}, {"instrument": "BTC USDT"}, {"published_at": 2**62}],
)
def test_a_text_that_could_never_be_shown_is_refused(flaw: dict[str, Any]) -> None:
    """Not remembered: it would take the place of honest ones, or cost every later case its question."""
    book = an_agent().tell(text("honest"))
    book.tell(text("odd", **({"instrument": ""} | flaw)))
    assert [effect.reason for effect in book.effects if isinstance(effect, Reject)] == ["BAD_TEXT"]
    assert texts_shown(book) == ["honest"]


def test_texts_about_ever_new_instruments_are_not_hoarded() -> None:
    """Of each so much is kept as could be shown, and of the instruments those that were spoken of last."""
    book = an_agent()
    for number in range(INSTRUMENTS_KEPT + 5):
        book.machine.handle(text("x" * 100_000, f"COIN{number}-USDT"), START)
    assert list(book.machine.state.texts)[-1] == f"COIN{INSTRUMENTS_KEPT + 4}-USDT"
    assert len(book.machine.state.texts) == INSTRUMENTS_KEPT
    assert {len(each.text) for kept in book.machine.state.texts.values() for each in kept} == {RAW_CHARS_MAX + 1}


def test_the_same_proposal_twice_is_one_question() -> None:
    """Its id follows from a foreign message's, which may come again: a second question under the first one's name is none."""
    book = an_agent().tell(told())
    request_id, request = asked(book)
    book.tell(told()).expect()
    book.tell(answered(request_id, answer_to(request.case))).expect(like(EntryJudged, outcome="JUDGED"))


def failing(book: Playbook, failure: str, number: int) -> Playbook:
    book.tell(told(proposal(number)))
    return book.tell(answered(asked(book)[0], failure=failure))


@pytest.mark.parametrize("failure", sorted(LASTING))
def test_a_closed_route_wakes_somebody_once(failure: str) -> None:
    """It does not mend itself; the next answer says that it is over."""
    book = an_agent()
    assert alerts(failing(book, failure, 1)) == ["MODEL_ROUTE_CLOSED"]
    assert alerts(failing(book, "breaker_open", 2)) == []
    assert alerts(failing(book, failure, 3)) == []
    book.tell(told(proposal(4)))
    request_id, request = asked(book)
    assert alerts(book.tell(answered(request_id, answer_to(request.case)))) == ["MODEL_BACK"]


@pytest.mark.parametrize(
    ("failure", "code"), [("not_configured", "MODEL_NOT_CONFIGURED"), ("budget", "MODEL_BUDGET_SPENT")]
)
def test_what_an_operator_should_know_is_said_once(failure: str, code: str) -> None:
    """Without a model, or without money for one: once, not with every bar."""
    book = an_agent()
    assert [alerts(failing(book, failure, number)) for number in range(3)] == [[code], [], []]


def test_failures_in_a_row_are_told_and_single_ones_are_not() -> None:
    """Five in a row are no accident."""
    book = an_agent()
    told_of = [alerts(failing(book, "timeout", number)) for number in range(FAILING_AFTER + 2)]
    assert told_of == [[]] * (FAILING_AFTER - 1) + [["MODEL_FAILING"], [], []]


def test_a_crowd_of_open_questions_is_not_joined() -> None:
    """Where nobody answers and everybody asks, memory stays bounded and each proposal still gets its word."""
    book = an_agent()
    for batch in range(3):
        book.tell(told(*(proposal(100 * batch + number) for number in range(100))))
    assert {judged.failure for judged in book.published(EntryJudged)} == {"crowded"}
    assert len(book.machine.state.open) == 200


def test_an_answer_nobody_asked_for_is_nothing() -> None:
    """A late or repeated answer changes nothing."""
    an_agent().tell(answered("nobody")).expect()
