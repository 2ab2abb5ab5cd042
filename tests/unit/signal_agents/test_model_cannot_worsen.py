"""Whatever a model says, and whoever wrote the texts it reads: the worst that comes of it is that nothing is bought.

The portfolio and the model agent are wired as the log wires them, with a model in between that says anything at all or does what the texts
tell it. Each run is held against the same market without a model: what is wished with it is a subset, never larger, stopped and sold
at the same prices.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.ids import derive_id
from libs.common.messages import EntriesProposed, EntryJudged, ModelAnswered, ModelMode, OrderIntent, TextHeard
from libs.common.timeframe import SECOND
from libs.runtime.machine import Perform
from services.model_sim.voices import heard_of
from services.model_sim.voices import said as voiced
from services.signal_agents.llm.machine import LlmMachine, Manner
from services.signal_agents.llm.prompt import Params
from services.signal_agents.llm.requests import AskModel
from services.signal_agents.portfolio.leash import Grip
from tests.playbook import START, Playbook
from tests.unit.signal_agents.llm.battery import BATTERY
from tests.unit.signal_agents.llm.cases import answer_to
from tests.unit.signal_agents.portfolio_story import (
    BTC,
    SETTINGS,
    a_portfolio,
    approval,
    opinion,
    posted,
    reported,
    said,
    worth,
)

STANCES = ("LONG", "LONG", "FLAT", "LONG", "SHORT", "LONG", "LONG", "FLAT", "LONG")
Speaks = Callable[[AskModel], ModelAnswered]


def wishes(mode: ModelMode, speaks: Speaks | None, texts: tuple[str, ...] = ()) -> list[tuple[int, OrderIntent]]:
    """Every wish of a market of nine bars, with the bar it was made at; each entry fills, and is sold at the next SHORT."""
    grip = Grip(mode=mode, veto_p=0.6, wait=25 * SECOND)
    book = a_portfolio(msgspec.structs.replace(SETTINGS, grip=grip, denial_cooldown=0))
    model = Playbook(LlmMachine(Manner(params=Params(model="m"))), writer="agent.llm")
    for number, raw in enumerate(texts):
        words = raw.encode(errors="replace").decode()  # half a character cannot stand in the log
        model.tell(
            TextHeard(instrument=BTC, source="wire", published_at=START, text=words, author="x", ts_init=START + number)
        )
    found: list[tuple[int, OrderIntent]] = []
    for bar, stance in enumerate(STANCES, 1):
        batch = said(bar, opinion(stance, close_px=60_000.0 + 10 * bar), id=derive_id("bar", bar))  # type: ignore[arg-type]
        intents = book.tell(batch).published(OrderIntent)
        for proposal in book.published(EntriesProposed):
            intents += _judged(book, model, proposal, speaks)
        for intent in intents:
            found.append((bar, intent))
            _filled(book, intent)
    return found


def _judged(book: Playbook, model: Playbook, proposed: EntriesProposed, speaks: Speaks | None) -> list[OrderIntent]:
    """What the portfolio wishes once the model has spoken, or has not."""
    if speaks is None:
        return book.fire(f"judge.{BTC}").published(OrderIntent) if f"judge.{BTC}" in book.timers else []
    asks = [each for each in model.tell(proposed, now=book.now).effects if isinstance(each, Perform)]
    for ask in asks:
        assert isinstance(ask.request, AskModel)
        answer = msgspec.structs.replace(speaks(ask.request), request_id=ask.request_id)
        for judged in model.tell(answer).published(EntryJudged):
            book.tell(judged)
            if book.published(OrderIntent):
                return book.published(OrderIntent)
    return []


def _filled(book: Playbook, intent: OrderIntent) -> None:
    book.tell(approval(intent)).tell(reported(intent, "NEW", "NEW"))
    fill = reported(intent, "TRADE", "FILLED", str(intent.order_qty), exec_id=f"fill-{intent.intent_id}")
    held = intent.order_qty if intent.side == "BUY" else 0
    book.tell(fill).tell(posted(str(held), fill.exec_id)).tell(worth())


def answered(text: str = "", failure: str = "") -> ModelAnswered:
    return ModelAnswered(
        request_id="",
        key="k",
        request="{}",
        outcome="FAILED" if failure else "ANSWERED",
        failure=failure,
        text=text,
        model="m",
        finish="stop",
        tokens_in=1,
        tokens_out=1,
        cost_usd=Decimal(0),
        latency_ms=1,
        http_status=200,
        retry_after_s=0.0,
    )


def terms(found: list[tuple[int, OrderIntent]]) -> list[tuple[Any, ...]]:
    """Everything that matters of wishes; their ids and the instant they end follow from who caused them."""
    return [
        (bar, each.side, each.order_qty, each.ref_px, each.stop_px, each.target_px, each.reason) for bar, each in found
    ]


RULES_ALONE = terms(wishes("off", None))


def assert_not_worse(found: list[tuple[int, OrderIntent]]) -> None:
    """Entries only at bars and prices where the rules would enter flat, never larger; exits only of what was entered."""
    held = False
    for bar, intent in found:
        if intent.side == "BUY":
            assert not held, "entered twice"
            alone = wishes_at(bar)
            assert alone is not None, f"bar {bar}: the rules would not have entered"
            assert intent.order_qty <= alone.order_qty
            assert (intent.stop_px, intent.target_px) == (alone.stop_px, alone.target_px)
        else:
            assert held, "sold what was not held"
        held = intent.side == "BUY"


def wishes_at(bar: int) -> OrderIntent | None:
    """What the rules alone would wish at this bar if nothing were held."""
    if STANCES[bar - 1] != "LONG":
        return None
    return a_portfolio().tell(said(bar, opinion(close_px=60_000.0 + 10 * bar))).only(OrderIntent)


def obedient(request: AskModel) -> ModelAnswered:
    """A model that does what the texts tell it to."""
    return answered(voiced(heard_of(json.loads(request.question.request)), "obedient"))


def test_the_market_of_this_test_has_entries_and_exits() -> None:
    """Otherwise nothing below would be shown."""
    assert [(bar, side) for bar, side, *_ in RULES_ALONE] == [(1, "BUY"), (5, "SELL"), (6, "BUY")]


@pytest.mark.parametrize("mode", ["shadow", "confirm", "tilt"])
@pytest.mark.parametrize("failure", ["timeout", "connect", "overloaded", "breaker_open", "budget", "not_configured"])
def test_an_outage_leaves_what_the_rules_would_have_done(mode: ModelMode, failure: str) -> None:
    """One hundred percent of the askings fail: the same wishes, to the last number."""
    assert terms(wishes(mode, lambda _: answered(failure=failure))) == RULES_ALONE


@pytest.mark.parametrize("mode", ["shadow", "confirm", "tilt"])
def test_a_model_that_never_answers_leaves_what_the_rules_would_have_done(mode: ModelMode) -> None:
    """A dead process: every wait ends by the timer."""
    assert terms(wishes(mode, None)) == RULES_ALONE


@pytest.mark.parametrize("attack", [text for _, text, _ in BATTERY], ids=[name for name, _, _ in BATTERY])
@pytest.mark.parametrize("mode", ["confirm", "tilt"])
def test_a_model_that_obeys_an_attacker_can_at_worst_hold(mode: ModelMode, attack: str) -> None:
    """Every text of the battery, and a model that does all it says."""
    assert_not_worse(wishes(mode, obedient, (attack,)))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.lists(st.text(max_size=120), max_size=3))
def test_any_words_at_all_are_no_order(words: str, texts: list[str]) -> None:
    """Random answers to random texts: the rules' wishes, unchanged, for none of it is a judgement."""
    assert terms(wishes("confirm", lambda _: answered(words), tuple(texts))) == RULES_ALONE


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("up", "down", "none")), st.floats(0.5, 1.0)), min_size=9, max_size=9))
def test_any_judgements_at_all_cannot_originate_flip_or_enlarge(verdicts: list[tuple[str, float]]) -> None:
    """Valid judgements of every kind, in any order: a subset of the entries, never larger, and the same exits' prices."""
    turn = iter([*verdicts, *verdicts])

    def speaks(request: AskModel) -> ModelAnswered:
        stance, p = next(turn)
        return answered(answer_to(request.case, stance=stance, p=p, evidence=[request.case.evidence_ids[0]], why=""))

    assert_not_worse(wishes("confirm", speaks))
