"""What the agents' events say in a story: opinions, regimes, levels, and what a model was asked."""

from __future__ import annotations

from datetime import UTC, datetime

from libs.common.messages import AgentSignals, LevelsMapped, MacroRegimes, ModelAnswered, Regime, Signal
from services.cli.level_words import levels_said
from services.cli.saying import SECOND_NS, Details, said


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
