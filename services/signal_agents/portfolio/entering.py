"""From opinions to an entry, and what a model may do on the way.

    rules join ──▶ no one LONG: nothing to decide
        │      └─▶ quorum, conflict, score: HOLD
        ▼
    free, funded, large enough?  no ──▶ nothing (an obstacle is no decision)
        │
        ├─ mode off, shadow, or the model has long been silent ──▶ ENTER at full size (shadow: proposed as well)
        └─ confirm, tilt ──▶ proposed; then the judgement, or the end of the wait ──▶ all of it is looked at once more ──▶ ENTER or HOLD

Everything that is decided is said in `DecisionsMade`, with every vote that was counted and what would have been decided without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import Ballot, Decision, DecisionsMade, EntriesProposed, EntryJudged, Proposal, Stance
from libs.common.money import ZERO, floor_to_step, to_decimal
from libs.runtime.machine import CancelTimer, Effect, Publish, SetTimer
from services.signal_agents.portfolio.book import Book, Opinion, Pending, Plan
from services.signal_agents.portfolio.desk import JUDGE_TIMER, Desk, rest_if_flat
from services.signal_agents.portfolio.facts import Surroundings, facts_of
from services.signal_agents.portfolio.joining import Joint, Terms, Voice, freshness, joined, without_each
from services.signal_agents.portfolio.leash import Standing, size_factor
from services.signal_agents.portfolio.scorebook import Vote, bars_of
from services.signal_agents.portfolio.sizing import Entry, Funds, is_tradable, long_entry
from services.signal_agents.portfolio.wishes import Cause, buy

MODEL_ID = "llm"
SILENT_MAX = 3
"""After so many proposals in a row without any answer nobody waits for the model; the next answer ends that."""
_EXPECTS: dict[str, Stance] = {"up": "LONG", "down": "SHORT", "none": "FLAT"}


class Result(msgspec.Struct, kw_only=True):
    """What came of looking at one instrument: effects, and what is to be said of it together with the other instruments."""

    effects: list[Effect] = []
    decision: Decision | None = None
    proposal: Proposal | None = None


NOTHING = Result()
"""Shared by all that come to nothing; nobody adds to it."""


def consider(desk: Desk, instrument: str, end_ts: int, cause: Cause) -> Result:
    """Look at an instrument after a signal about the bar that closed at `end_ts`."""
    book = desk.book(instrument)
    opinions = desk.binding(book)
    rest_if_flat(desk)
    waits = book.pending is not None and book.pending.waits
    if desk.state.flatten_reason or waits or not any([opinion.stance == "LONG" for opinion in opinions.values()]):
        return NOTHING
    if not _is_enterable(desk, instrument):
        return NOTHING
    voices = desk.voices(book)
    joint = joined(voices, desk.terms)
    grip = desk.settings.grip
    if not joint.enters:
        return Result(decision=_decision(desk, instrument, end_ts, voices, joint, _Verdict(fallback="rules")))
    entry = _sized(desk, instrument, 1.0)
    if entry is None:
        return NOTHING
    if grip.mode == "off":
        return _enter(desk, instrument, end_ts, voices, joint, _Verdict(size=1.0, fallback="off"), cause)
    lead = next(iter(opinions.values()))
    proposal = _proposal(desk, instrument, opinions, cause)
    is_awaited = grip.mode in ("confirm", "tilt") and desk.state.coverage.silent < SILENT_MAX
    due = proposal.valid_until
    book.pending = Pending(
        proposal_id=proposal.proposal_id,
        timeframe=lead.timeframe,
        end_ts=end_ts,
        due=due,
        story=lead.story,
        waits=is_awaited,
    )
    if is_awaited:
        return Result(proposal=proposal, effects=[SetTimer(JUDGE_TIMER + instrument, due)])
    fallback = "shadow" if grip.mode == "shadow" else "silent"
    desk.state.coverage.silent += grip.mode != "shadow"
    result = _enter(desk, instrument, end_ts, voices, joint, _Verdict(size=1.0, fallback=fallback), cause)
    result.proposal = proposal
    return result


def heard(desk: Desk, judged: EntryJudged, cause: Cause) -> list[Effect]:
    """A judgement has come: count the vote, and decide if the entry still waits for it."""
    book = desk.state.books.get(judged.instrument)
    pending = book.pending if book is not None else None
    if book is None or pending is None or pending.proposal_id != judged.proposal_id:
        return []
    if judged.outcome == "JUDGED" and judged.expects != "none":
        side = 1 if judged.expects == "up" else -1
        vote = Vote(agent_id=MODEL_ID, is_model=True, side=side, p=judged.p)
        desk.state.scores.vote(bars_of(judged.instrument, pending.timeframe), pending.end_ts, vote, desk.now)
    desk.state.coverage.silent = 0
    book.pending = None
    if not pending.waits:
        return []
    said = _settled(desk, judged.instrument, pending, judged, judged.failure, cause)
    return [CancelTimer(JUDGE_TIMER + judged.instrument), *said]


def waited(desk: Desk, instrument: str, cause: Cause) -> list[Effect]:
    """The wait is over, and nobody has judged: what the rules want stands. A judgement that comes later is still counted as a vote."""
    book = desk.state.books.get(instrument)
    pending = book.pending if book is not None else None
    if book is None or pending is None or not pending.waits:
        return []
    desk.state.coverage.silent += 1
    book.pending = msgspec.structs.replace(pending, waits=False)
    return _settled(desk, instrument, pending, None, "timeout", cause)


def give_up(desk: Desk, instrument: str, cause: Cause) -> list[Effect]:
    """An entry that waits for a model is not made any more, whatever it says; that is a decision, and said."""
    book = desk.book(instrument)
    pending = book.pending
    if pending is None or not pending.waits:
        return []
    book.pending = msgspec.structs.replace(pending, waits=False)
    said = _settled(desk, instrument, pending, None, "flatten", cause)
    return [CancelTimer(JUDGE_TIMER + instrument), *said]


def told(desk: Desk, results: Sequence[Result], end_ts: int, story: str) -> list[Effect]:
    """What several results of one batch say together, and then their effects."""
    results = [each for each in results if each is not NOTHING]
    if not results:
        return []
    decisions = tuple(each.decision for each in results if each.decision is not None)
    proposals = tuple(each.proposal for each in results if each.proposal is not None)
    said: list[Effect] = []
    if decisions:
        said.append(Publish(_made(desk, end_ts, decisions, story)))
    if proposals:
        said.append(Publish(EntriesProposed(end_ts=end_ts, proposals=proposals, correlation_id=story)))
    return [*said, *(effect for each in results for effect in each.effects)]


# --- deciding -------------------------------------------------------------------------------------------------------


class _Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The size factor, the judgement it follows from (None: the rules'), and why no model drove it."""

    size: float = 0.0
    judged: EntryJudged | None = None
    fallback: str = ""


def _settled(
    desk: Desk, instrument: str, pending: Pending, judged: EntryJudged | None, failure: str, cause: Cause
) -> list[Effect]:
    """Decide on a proposal whose wait is over; what the rules said is looked at again, for it may have changed."""
    book = desk.book(instrument)
    voices = desk.voices(book)
    joint = joined(voices, desk.terms)
    if desk.state.flatten_reason or not _is_enterable(desk, instrument):
        joint = Joint(False, joint.score, "obstacle")  # paused, held, or to be flattened by now
    counted = judged if judged is not None and judged.outcome == "JUDGED" else None
    if counted is not None and desk.state.scores.is_disproved(MODEL_ID):
        counted, failure = None, "disproved"
    if counted is not None and not joint.enters:  # there was nothing left for a model to decide
        counted, failure = None, "rules"
    desk.state.coverage.asked += joint.enters
    desk.state.coverage.driven += counted is not None
    factor = size_factor(counted, desk.settings.grip, _standing(desk), voices, desk.terms.ttl) if joint.enters else 0.0
    fallback = "" if counted is not None else failure or "failed"
    result = _enter(
        desk, instrument, pending.end_ts, voices, joint, _Verdict(size=factor, judged=counted, fallback=fallback), cause
    )
    return told(desk, [result], pending.end_ts, pending.story)


def _enter(
    desk: Desk, instrument: str, end_ts: int, voices: list[Voice], joint: Joint, verdict: _Verdict, cause: Cause
) -> Result:
    """The decision of this size, and the wish if there is one."""
    decision = _decision(desk, instrument, end_ts, voices, joint, verdict)
    if verdict.fallback in ("shadow", "silent"):
        desk.state.coverage.asked += 1
    entry = _sized(desk, instrument, verdict.size) if decision.action == "ENTER" else None
    if entry is None:
        too_small = decision.action == "ENTER"  # shrunk below what the venue takes, or the money has gone meanwhile
        if too_small:
            _score(desk, instrument, end_ts, 0.0, ())
        held = msgspec.structs.replace(decision, action="HOLD", reason="size", size_factor=0.0)
        return Result(decision=held if too_small else decision)
    book = desk.book(instrument)
    opinions = desk.binding(book)
    story = next(iter(opinions.values())).story
    book.plan = Plan(target_px=entry.target_px, story=story)
    intent = buy(instrument, entry, story, cause)
    decision = msgspec.structs.replace(decision, intent_id=intent.intent_id)
    return Result(decision=decision, effects=desk.wish(intent, entry.cash))


def _decision(
    desk: Desk, instrument: str, end_ts: int, voices: list[Voice], joint: Joint, verdict: _Verdict
) -> Decision:
    """The decision as it is said, and held in the scorebook until its outcome is known."""
    is_vetoed = joint.enters and verdict.size == 0.0
    enters = joint.enters and not is_vetoed
    ballots = _ballots(desk, voices, verdict)
    size = verdict.size if enters else 0.0
    _score(desk, instrument, end_ts, size, ballots)
    return Decision(
        instrument=instrument,
        action="ENTER" if enters else "HOLD",
        reason="vetoed" if is_vetoed else joint.reason,
        size_factor=size,
        regime_share=float(desk.regime_share(instrument)),
        score=joint.score,
        ballots=ballots,
        driver="RULES" if verdict.judged is None else "MODEL",
        fallback=verdict.fallback,
        intent_id="",
    )


def _score(desk: Desk, instrument: str, end_ts: int, size: float, ballots: tuple[Ballot, ...]) -> None:
    """Hold the decision until it is known what it earned."""
    lead = next(iter(desk.binding(desk.book(instrument)).values()), None)
    if lead is not None:
        desk.state.scores.decided(bars_of(instrument, lead.timeframe), end_ts, size, ballots)


def _ballots(desk: Desk, voices: list[Voice], verdict: _Verdict) -> tuple[Ballot, ...]:
    terms, grip, standing = desk.terms, desk.settings.grip, _standing(desk)
    fewer = msgspec.structs.replace(terms, quorum=max(1, (terms.quorum or terms.named) - 1))

    def size_of(some: Sequence[Voice]) -> float:
        enters = joined(some, fewer).enters
        return size_factor(verdict.judged, grip, standing, some, terms.ttl) if enters else 0.0

    without = without_each(voices, size_of)
    ballots = [
        Ballot(
            agent_id=voice.agent_id,
            kind="RULE",
            stance=voice.stance,
            p=voice.p,
            weight=voice.weight,
            freshness=freshness(voice.age, terms.ttl),
            size_without=without[voice.agent_id],
        )
        for voice in voices
    ]
    if verdict.judged is not None:
        judged = verdict.judged
        ballots.append(
            Ballot(
                agent_id=MODEL_ID,
                kind="MODEL",
                stance=_EXPECTS[judged.expects],
                p=judged.p,
                weight=standing.weight,
                freshness=1.0,
                size_without=_rules_alone(voices, terms),
            )
        )
    return tuple(ballots)


def _rules_alone(voices: list[Voice], terms: Terms) -> float:
    return 1.0 if joined(voices, terms).enters else 0.0


def _standing(desk: Desk) -> Standing:
    scores = desk.state.scores
    return Standing(max(0.0, scores.stack.weight(MODEL_ID)), scores.has_earned(MODEL_ID))


def _made(desk: Desk, end_ts: int, decisions: tuple[Decision, ...], story: str) -> DecisionsMade:
    coverage = desk.state.coverage
    return DecisionsMade(
        end_ts=end_ts,
        mode=desk.settings.grip.mode,
        decisions=decisions,
        model_driven=coverage.driven,
        model_asked=coverage.asked,
        correlation_id=story,
    )


# --- what an entry needs --------------------------------------------------------------------------------------------


def _is_enterable(desk: Desk, instrument: str) -> bool:
    """Whether the instrument is free, not paused, held by nothing but dust, and the money is known."""
    book, spec = desk.book(instrument), desk.state.specs.get(instrument)
    if spec is None or not book.is_free or desk.now < book.entry_after:
        return False
    if desk.state.equity is None or desk.state.balance is None or book.signed_qty < ZERO:
        return False
    px = _entry_px(desk, book)
    return px is not None and not is_tradable(floor_to_step(book.signed_qty, spec.qty_step), px, spec)


def _entry_px(desk: Desk, book: Book) -> Decimal | None:
    """What an entry would pay: the ask while it is fresh, else the close that the leading opinion is about."""
    quote = desk.fresh_quote(book)
    if quote is not None:
        return to_decimal(quote.ask_px)
    lead = next(iter(desk.binding(book).values()), None)
    return to_decimal(lead.close_px) if lead is not None else None


def _sized(desk: Desk, instrument: str, factor: float) -> Entry | None:
    """The entry at this share of the full risk; None if it would be too small, or has no room for its exits."""
    state, book = desk.state, desk.book(instrument)
    opinions = desk.binding(book)
    px = _entry_px(desk, book)
    if not opinions or px is None or state.equity is None or state.balance is None:
        return None
    promised = sum((each.cash_promised for each in state.books.values()), ZERO)
    quote = desk.fresh_quote(book)
    return long_entry(
        px,
        to_decimal(next(iter(opinions.values())).atr),
        Funds(equity=state.equity, free=state.balance - promised),
        desk.settings.limits,
        state.specs[instrument],
        zones=desk.zones(instrument),
        spread=to_decimal(quote.ask_px) - to_decimal(quote.bid_px) if quote is not None else ZERO,
        factor=to_decimal(factor) * desk.regime_share(instrument),
    )


def _proposal(desk: Desk, instrument: str, opinions: dict[str, Opinion], cause: Cause) -> Proposal:
    agent, lead = next(iter(opinions.items()))
    around = Surroundings(
        quote=desk.fresh_quote(desk.book(instrument)),
        zones=desk.zones(instrument),
        regime=desk.state.regimes.get(instrument),
    )
    return Proposal(
        proposal_id=derive_id(cause.parent_id, "proposal", instrument),
        instrument=instrument,
        agent_id=agent,
        stance="LONG",
        strength=lead.strength,
        facts=facts_of(opinions, around),
        valid_until=desk.now + desk.settings.grip.wait,
    )
