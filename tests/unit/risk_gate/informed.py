"""A gate that listens to everybody and has heard everything: its limits, its memory, and the words that made it so."""

from __future__ import annotations

from typing import Any

from libs.common.messages import (
    AgentSignals,
    Bar,
    FeedHistory,
    LevelMap,
    LevelsMapped,
    MacroRegimes,
    OrderIntent,
    PriceZone,
    Regime,
    RegimeState,
    Signal,
)
from libs.common.timeframe import HOUR, MINUTE
from services.risk_gate.blackouts import parse_blackout
from services.risk_gate.view import View
from tests.unit.risk_gate.book import BTC, NOW, entry, opened, tightened

LISTENING = tightened(
    macro=True, levels=True, bars=True, signals=True, blackouts=(parse_blackout("2025-01-01T12:00/2025-01-01T13:00"),)
)
BLACK_FROM = NOW + 12 * HOUR
STORY = "the story of the bar"


def bar(ends: int, *, high: float = 60_300.0, low: float = 59_700.0, volume: float = 0.25, **changed: Any) -> Bar:
    """A quarter of an hour that came back to where it began: its true range is 600, a hundredth of the price."""
    fields: dict[str, Any] = {
        "instrument": BTC,
        "venue": "binance",
        "timeframe": "15m",
        "ts_open": ends - 15 * MINUTE,
        "ts_close": ends,
        "open": 60_000.0,
        "close": 60_000.0,
    }
    return Bar(**{**fields, "high": high, "low": low, "volume": volume, **changed})


def day(count: int = 96, ends: int = NOW, **changed: Any) -> FeedHistory:
    """The last bars before `ends`: with all 96 of them ATR is 600, and 24 BTC were traded."""
    bars = tuple(bar(ends - (count - 1 - place) * 15 * MINUTE, **changed) for place in range(count))
    return FeedHistory(instrument=BTC, timeframe="15m", bars=bars)


def signals(end_ts: int = NOW, story: str = STORY, timeframe: str = "15m", agent: str = "trend", **changed: Any) -> Any:
    """An agent's opinion of BTC at the close of a bar."""
    signal = Signal(
        instrument=BTC,
        timeframe=timeframe,
        ready=True,
        stance="LONG",
        strength=0.5,
        close_px=60_000.0,
        atr=600.0,
        evidence={},
    )
    fields = {"correlation_id": story, "producer": f"agent.{agent}", "agent_id": agent, "end_ts": end_ts}
    return AgentSignals(**{**fields, "signals": (signal,), **changed})


def regime(state: RegimeState, end_ts: int = NOW) -> MacroRegimes:
    """What the macro agent says of BTC."""
    said = Regime(instrument=BTC, state=state, provisional=False, weeks=90, since_ts=0, evidence={})
    return MacroRegimes(agent_id="macro", end_ts=end_ts, regimes=(said,))


def zone(lo: float, hi: float) -> LevelsMapped:
    """A map of BTC with one zone of turning points."""
    turns: dict[str, Any] = {"touches": 5, "score": 4.0, "first_ts": 0, "last_ts": 1, "confirmed_ts": 2}
    zones = (PriceZone(lo=lo, hi=hi, mid=(lo + hi) / 2, role="RESISTANCE", **turns),)
    profile: dict[str, Any] = {"poc": None, "val": None, "vah": None, "hvn": (), "lvn": ()}
    level_map = LevelMap(
        instrument=BTC, timeframe="1h", ready=True, close_px=60_000.0, atr=600.0, zones=zones, **profile
    )
    return LevelsMapped(agent_id="levels", end_ts=NOW, maps=(level_map,))


def informed() -> View:
    """Its memory: whatever `wish` needs is known."""
    book = opened(LISTENING)
    for fact in (day(), signals(), regime("BULL"), zone(70_000.0, 70_100.0)):
        book.tell(fact).expect()
    state: View = book.machine.state
    return state


def wish(intent_id: str = "i1", **changed: Any) -> OrderIntent:
    """The entry that follows from `signals`, with its stop two ATR away."""
    return entry(intent_id, **{"correlation_id": STORY, **changed})
