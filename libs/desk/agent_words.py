"""What the agents' events say in a story: opinions, regimes, levels, and what a model was asked."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.text import Text

from libs.common.messages import (
    AgentScore,
    AgentSignals,
    AgentsScored,
    Ballot,
    Decision,
    DecisionsMade,
    EntriesProposed,
    EntryJudged,
    LevelsMapped,
    MacroRegimes,
    ModelAnswered,
    Regime,
    Signal,
    TextHeard,
)
from libs.desk.level_words import levels_said
from libs.desk.saying import SECOND_NS, Details, said

TEXT_SHOWN_MAX = 300


@said.register
def _(message: AgentSignals, instruments: tuple[str, ...]) -> tuple[str, Details]:
    signals = [signal for signal in message.signals if not instruments or signal.instrument in instruments]
    return f"{message.agent_id} thinks", [line for signal in signals for line in _opinion(signal)]


def _opinion(signal: Signal) -> list[str]:
    """One line, and one more for the numbers of each longer timeframe, whose names end in it (`ema_fast_1h`)."""
    if not signal.ready:
        return [f"{signal.instrument} {signal.timeframe} not warm yet"]
    evidence: dict[str, list[str]] = {"": []}
    for name, number in signal.evidence.items():
        last = name.rpartition("_")[2]
        evidence.setdefault(last if last[:1].isdigit() else "", []).append(f"{name}={number:.6g}")
    first, *longer = (" ".join(numbers) for numbers in evidence.values())
    opinion = f"{signal.stance} strength {signal.strength:.3f}"
    head = f"{signal.instrument} {signal.timeframe} {opinion} close {signal.close_px:g} atr {signal.atr:.6g}"
    return [f"{head}  {first}", *(f"  {each}" for each in longer)]


@said.register
def _(message: MacroRegimes, instruments: tuple[str, ...]) -> tuple[str, Details]:
    regimes = [regime for regime in message.regimes if not instruments or regime.instrument in instruments]
    return f"{message.agent_id} sees", [_regime(regime) for regime in regimes]


def _regime(regime: Regime) -> str:
    since = f" since {datetime.fromtimestamp(regime.since_ts // SECOND_NS, UTC):%Y-%m-%d}" if regime.since_ts else ""
    worth = " (provisional)" if regime.provisional else ""
    evidence = " ".join(f"{name}={number:.6g}" for name, number in regime.evidence.items())
    return f"{regime.instrument} {regime.state}{worth}{since} after {regime.weeks} weeks  {evidence}".rstrip()


@said.register
def _(message: LevelsMapped, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return levels_said(message, instruments)


@said.register
def _(message: ModelAnswered, instruments: tuple[str, ...]) -> tuple[str, Details]:
    end = f"gave no opinion ({message.failure})" if message.failure else "answered"
    return f"the model {end} after {message.latency_ms} ms, for {message.cost_usd} USD", [f"question {message.key}"]


@said.register
def _(message: TextHeard, instruments: tuple[str, ...]) -> tuple[str, Details]:
    about = message.instrument or "all instruments"
    return f"{message.author} brought a text from {message.source} about {about}", [Text(message.text[:TEXT_SHOWN_MAX])]


@said.register
def _(message: EntriesProposed, instruments: tuple[str, ...]) -> tuple[str, Details]:
    proposals = [each for each in message.proposals if not instruments or each.instrument in instruments]
    lines = []
    for each in proposals:
        facts = " ".join(f"{name}={number:.6g}" for name, number in each.facts.items())
        lines.append(f"{each.instrument} {each.stance} by {each.agent_id}, strength {each.strength:.3f}  {facts}")
    return "the rules want to enter", lines


@said.register
def _(message: EntryJudged, instruments: tuple[str, ...]) -> tuple[str, Details]:
    if message.outcome == "FAILED":
        return f"no judgement of {message.instrument}: {message.failure}", [Text(message.why)] if message.why else []
    flags = f"  flags: {' '.join(message.flags)}" if message.flags else ""
    rests = f"rests on {' '.join(message.evidence) or 'nothing'}{flags}"
    headline = f"{message.model} expects {message.instrument} {message.expects} with p {message.p:.2f}"
    return headline, [Text(message.why), rests]


@said.register
def _(message: DecisionsMade, instruments: tuple[str, ...]) -> tuple[str, Details]:
    decisions = [each for each in message.decisions if not instruments or each.instrument in instruments]
    covered = f", {message.model_driven} of {message.model_asked} model-driven" if message.mode != "off" else ""
    return f"decided (model {message.mode}{covered})", [line for each in decisions for line in _decision(each)]


def _decision(decision: Decision) -> list[str]:
    by = "driven by the model" if decision.driver == "MODEL" else f"by the rules ({decision.fallback})"
    share = "" if decision.regime_share == 1.0 else f" of {decision.regime_share:.0%} (the week's)"
    head = f"{decision.instrument} {decision.action} at {decision.size_factor:.0%}{share}: {decision.reason}, score"
    return [f"{head} {decision.score:+.2f}, {by}", *(_ballot(each) for each in decision.ballots)]


def _ballot(ballot: Ballot) -> str:
    counted = f"weight {ballot.weight:.2f} fresh {ballot.freshness:.2f}"
    return f"  {ballot.agent_id} {ballot.stance} p {ballot.p:.2f} {counted}, without it {ballot.size_without:.0%}"


@said.register
def _(message: AgentsScored, instruments: tuple[str, ...]) -> tuple[str, Details]:
    return "what votes were worth", [score_line(each) for each in message.scores]


def score_line(score: AgentScore) -> str:
    """One agent's record in one line."""
    interval = f"{score.hit_rate:.1%} [{score.hit_rate_lo:.1%}, {score.hit_rate_hi:.1%}]"
    earned = f"weight {score.weight:.2f} (sd {score.weight_sd:.2f})"
    state = "" if score.kind == "RULE" else ", promoted" if score.is_promoted else ", not promoted"
    return (
        f"{score.agent_id}: {score.votes} votes, right {interval}, brier {score.brier:.3f}, ece {score.ece:.3f},"
        f" {earned}{state}, share {score.share_bps:+.1f} bps"
    )
