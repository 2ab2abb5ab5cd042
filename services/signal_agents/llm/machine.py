"""The model agent: it asks a language model about the entries that the rules want, and says what it thinks of them.

Theory of operation.

    EntriesProposed ──▶ a case each (our numbers, the last texts) ──▶ AskModel ──▶ ModelAnswered ──▶ EntryJudged
    TextHeard ──▶ remembered, cleaned when it is shown          expired, interrupted ──┘ (asked again once, while there is time)

It says one `EntryJudged` for every proposal, failures included, so that nobody waits for a model that cannot answer. What the model wrote
is read here, from the log, by the same strict reader whenever it is replayed; what touches the world (the call, its price, the
breaker) is the adapter's. It decides nothing: the portfolio knows what a judgement may change.

A failure that no later attempt mends (a refused key, a spent quota, a redirect) is told to people at once, a spent budget and a model that keeps
failing too, and so is the first answer after that; each once.
"""

from __future__ import annotations

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import (
    AlertRaised,
    Answer,
    EntriesProposed,
    EntryJudged,
    Message,
    ModelAnswered,
    Proposal,
    RequestInterrupted,
    TextHeard,
)
from libs.common.subjects import TOKEN
from libs.runtime.machine import Effect, Perform, Publish, Reject
from services.signal_agents.llm.answer import AnswerRefused, Judgement, judgement_of
from services.signal_agents.llm.case import FACTS_MAX, Case, Fact, RuleView, case_of
from services.signal_agents.llm.failures import LASTING
from services.signal_agents.llm.prompt import Params, Question, question_of
from services.signal_agents.llm.requests import AskModel
from services.signal_agents.llm.texts import RAW_CHARS_MAX, TEXTS_MAX, RawText, clean_texts

FAILING_AFTER = 5
"""So many failures in a row, and a person should look."""
ASKED_AT_MOST = 2
OPEN_MAX = 200
"""Cases that may wait for their answers; more would mean that nobody answers and everybody asks."""
TEXT_AGE_MAX = 24 * 3_600_000_000_000
TEXT_AHEAD_MAX = 3_600_000_000_000
"""Clocks differ; a text from later than that would stand before every honest one for as long."""
TEXTS_KEPT = 2 * TEXTS_MAX
INSTRUMENTS_KEPT = 256
_UNITS = {"bps": "bps", "atr": "ATR", "pct": "%"}


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can change a question or a judgement. `deadline_ms` is wall time."""

    params: Params
    deadline_ms: int = 20_000


class OpenCase(msgspec.Struct, frozen=True, kw_only=True):
    """A question that waits for its answer, and how often it was asked."""

    proposal: Proposal
    case: Case
    question: Question
    attempt: int


class Memory(msgspec.Struct, kw_only=True):
    """Open cases by request id, the last texts by instrument ("": of all), and what people were told: the trouble that stands."""

    open: dict[str, OpenCase] = {}
    texts: dict[str, list[RawText]] = {}
    failures: int = 0
    trouble: str = ""


class LlmMachine:
    """Proposals, texts and answers in; questions and judgements out."""

    Settings = Manner
    State = Memory

    def __init__(self, settings: Manner):
        self.settings = settings
        self.state = Memory()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """React to one event."""
        match event:
            case EntriesProposed():
                return [effect for proposal in event.proposals for effect in self._ask(proposal, event.end_ts, now)]
            case TextHeard():
                return self._remember(event, now)
            case Answer():
                return self._answered(event, now)
        return []

    # --- asking ---------------------------------------------------------------------------------------------------

    def _ask(self, proposal: Proposal, end_ts: int, now: int) -> list[Effect]:
        if now > proposal.valid_until:
            return [Publish(_failed(proposal, "late"))]
        if derive_id(proposal.proposal_id, "ask", 1) in self.state.open:
            return []  # the same once more: the answer to the one is the answer to both
        if len(self.state.open) >= OPEN_MAX:
            return [Publish(_failed(proposal, "crowded"))]
        try:
            case = self._case(proposal, end_ts)
        except ValueError as error:  # a number or a name that must not be shown to a model
            return [Publish(_failed(proposal, "no_case", why=str(error)))]
        question = question_of(case, self.settings.params)
        return [self._perform(OpenCase(proposal=proposal, case=case, question=question, attempt=1))]

    def _perform(self, case: OpenCase) -> Perform:
        request_id = derive_id(case.proposal.proposal_id, "ask", case.attempt)
        self.state.open[request_id] = case
        request = AskModel(
            question=case.question,
            case=case.case,
            deadline_ms=self.settings.deadline_ms,
            valid_until=case.proposal.valid_until,
        )
        return Perform(request_id, request)

    def _case(self, proposal: Proposal, end_ts: int) -> Case:
        facts = tuple(Fact(name, value, _unit_of(name)) for name, value in proposal.facts.items())[:FACTS_MAX]
        heard = [*self.state.texts.get("", ()), *self.state.texts.get(proposal.instrument, ())]
        texts = clean_texts(text for text in heard if end_ts - TEXT_AGE_MAX <= text.ts_event <= end_ts).texts
        rule = RuleView(agent_id=proposal.agent_id, stance="up", strength=proposal.strength)
        return case_of(proposal.instrument, end_ts, rule, facts, texts)

    def _remember(self, text: TextHeard, now: int) -> list[Effect]:
        """Keep a text under the time it was heard at: nobody may date one into the past of a bar.

        One that no case could show is refused here: later it would cost every case its question.
        """
        if flaw := _flaw_of(text):
            return [Reject("BAD_TEXT", flaw)]
        heard_at = max(text.published_at, text.ts_init)
        kept = self.state.texts.pop(text.instrument, [])
        kept.append(RawText(source=text.source, ts_event=heard_at, text=text.text[: RAW_CHARS_MAX + 1]))
        young = sorted((each for each in kept if now - each.ts_event <= TEXT_AGE_MAX), key=lambda each: each.ts_event)
        self.state.texts[text.instrument] = young[-TEXTS_KEPT:]
        if len(self.state.texts) > INSTRUMENTS_KEPT:
            del self.state.texts[next(iter(self.state.texts))]
        return []

    # --- answers --------------------------------------------------------------------------------------------------

    def _answered(self, answer: Answer, now: int) -> list[Effect]:
        asked = self.state.open.pop(answer.request_id, None)
        if asked is None:
            return []
        if (
            isinstance(answer, RequestInterrupted)
            and asked.attempt < ASKED_AT_MOST
            and now <= asked.proposal.valid_until
        ):
            return [self._perform(msgspec.structs.replace(asked, attempt=asked.attempt + 1))]
        if not isinstance(answer, ModelAnswered):
            ended = "interrupted" if isinstance(answer, RequestInterrupted) else "expired"
            return [Publish(_failed(asked.proposal, ended, asked))]
        failure = answer.failure
        if answer.outcome == "ANSWERED":
            try:
                judgement = judgement_of(answer.text, asked.case)
            except AnswerRefused as refused:
                failure = refused.kind
            else:
                return [Publish(_judged(asked, judgement, answer.model)), *self._tell("")]
        return [Publish(_failed(asked.proposal, failure or "failed", asked, answer.model)), *self._tell(failure)]

    def _tell(self, failure: str) -> list[Effect]:
        """What people should know after an answer ("") or a failure; each trouble once, and that it is over."""
        state = self.state
        if not failure:
            was, state.trouble, state.failures = state.trouble, "", 0
            return [_alert("MODEL_BACK", "note", f"the model answers again ({was} before)")] if was else []
        state.failures += 1
        if failure == state.trouble:
            return []
        if failure in LASTING:
            state.trouble = failure
            text = f"the model cannot be asked ({failure}), and waiting does not mend it: the rules decide alone"
            return [_alert("MODEL_ROUTE_CLOSED", "page", text)]
        if failure == "not_configured":
            state.trouble = failure
            return [_alert("MODEL_NOT_CONFIGURED", "note", "there is no model to ask: the rules decide alone")]
        if failure == "budget":
            state.trouble = failure
            return [
                _alert("MODEL_BUDGET_SPENT", "ticket", "today's budget for the model is spent: the rules decide alone")
            ]
        if state.failures < FAILING_AFTER or state.trouble:
            return []
        state.trouble = failure
        text = f"the model has failed {state.failures} times in a row, last by {failure}: the rules decide alone"
        return [_alert("MODEL_FAILING", "ticket", text)]


def _judged(asked: OpenCase, judgement: Judgement, model: str) -> EntryJudged:
    return EntryJudged(
        proposal_id=asked.proposal.proposal_id,
        instrument=asked.proposal.instrument,
        outcome="JUDGED",
        failure="",
        expects=judgement.stance,
        p=judgement.p,
        evidence=judgement.evidence,
        why=judgement.why,
        flags=judgement.flags,
        case_id=asked.case.case_id,
        key=asked.question.key,
        model=model,
    )


def _failed(
    proposal: Proposal, failure: str, asked: OpenCase | None = None, model: str = "", why: str = ""
) -> EntryJudged:
    return EntryJudged(
        proposal_id=proposal.proposal_id,
        instrument=proposal.instrument,
        outcome="FAILED",
        failure=failure,
        expects="none",
        p=0.5,
        evidence=(),
        why=why,
        flags=(),
        case_id=asked.case.case_id if asked is not None else "",
        key=asked.question.key if asked is not None else "",
        model=model,
    )


def _flaw_of(text: TextHeard) -> str:
    """Why a text can never be shown; empty if it can."""
    if not TOKEN.fullmatch(text.source) or (text.instrument and not TOKEN.fullmatch(text.instrument)):
        return "source and instrument are plain tokens"
    if text.published_at > text.ts_init + TEXT_AHEAD_MAX:
        return "it is from more than an hour after it was heard"
    return ""


def _unit_of(name: str) -> str:
    return _UNITS.get(name.rpartition("_")[2], "")


def _alert(code: str, severity: str, text: str) -> Publish:
    return Publish(AlertRaised(code=code, severity=severity, text=text))  # type: ignore[arg-type]
