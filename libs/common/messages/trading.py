"""From opinion to verdict: what agents, the portfolio and the risk gate say."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal

import msgspec

from libs.common.messages.base import Message

Side = Literal["BUY", "SELL"]
OrdType = Literal["MARKET", "LIMIT", "STOP_LOSS", "STOP_LOSS_LIMIT"]
TimeInForce = Literal["GTC", "IOC", "FOK"]
TradingState = Literal["ACTIVE", "REDUCING", "HALTED"]
RegimeState = Literal["BULL", "BEAR", "NEUTRAL", "UNKNOWN"]
"""UNKNOWN is not NEUTRAL: nobody has seen enough of this market to say anything about it."""


class Signal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agent's opinion of one instrument; it binds nobody.

    `ready` is False while the agent's indicators are not warm: then `stance` is FLAT and means nothing. `strength` is in
    [0, 1]. `evidence` holds the numbers the opinion rests on, by name.
    """

    instrument: str
    timeframe: str
    ready: bool
    stance: Literal["LONG", "SHORT", "FLAT"]
    strength: float
    close_px: float
    atr: float
    evidence: dict[str, float]


class AgentSignals(Message, frozen=True, kw_only=True, tag="agent_signals.v1"):
    """One agent's answer to one batch of bars that closed at `end_ts`."""

    said_by: ClassVar[str] = "agent.*"
    suffix: ClassVar[str] = "signals"

    agent_id: str
    end_ts: int
    signals: tuple[Signal, ...]


class Regime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The weekly regime of one instrument, from closed weeks (Monday to Sunday UTC) only.

    `weeks` are the closed weeks seen without a break, `provisional` says that they are few. `since_ts` (ns) is the close of the week
    in which this state began; 0 where no week was seen. `evidence` holds the numbers it rests on, by name: none of the weeks
    while the state is UNKNOWN. Those that begin with `daily_` inform and decide nothing.
    """

    instrument: str
    state: RegimeState
    provisional: bool
    weeks: int
    since_ts: int
    evidence: dict[str, float]


class MacroRegimes(Message, frozen=True, kw_only=True, tag="macro_regimes.v1"):
    """What became known of the regimes by the bars that closed at `end_ts`; an instrument not named is as it was said last."""

    said_by: ClassVar[str] = "agent.macro"
    suffix: ClassVar[str] = "regimes"

    agent_id: str
    end_ts: int
    regimes: tuple[Regime, ...]


class PriceZone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A band of prices at which the market has turned more often than chance explains.

    `lo` and `hi` are its outermost turns, `mid` their median. RESISTANCE lies above the market, SUPPORT below. `touches` counts
    the turns, `score` counts them with the old ones faded. `first_ts` and `last_ts` are when it was touched, and `confirmed_ts` is
    since when this is known: never before the bar that confirmed the last touch.
    """

    lo: float
    hi: float
    mid: float
    role: Literal["SUPPORT", "RESISTANCE"]
    touches: int
    score: float
    first_ts: int
    last_ts: int
    confirmed_ts: int


class LevelMap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The prices of one instrument that matter, as of its bar of `timeframe` that closed at the message's `end_ts`.

    While `ready` is False nothing below `close_px` is known, and nothing is said. `zones` are the strongest by score, lowest
    first. `poc`, `val` and `vah` are the volume profile's point of control and value area (None: nothing was traded); `hvn` and
    `lvn` its high and low volume nodes. All are prices; `atr` is a distance.
    """

    instrument: str
    timeframe: str
    ready: bool
    close_px: float
    atr: float | None
    zones: tuple[PriceZone, ...]
    poc: float | None
    val: float | None
    vah: float | None
    hvn: tuple[float, ...]
    lvn: tuple[float, ...]


class LevelsMapped(Message, frozen=True, kw_only=True, tag="levels_mapped.v1"):
    """Where support and resistance stood after the bars that closed at `end_ts`; never said otherwise afterwards."""

    said_by: ClassVar[str] = "agent.levels"
    suffix: ClassVar[str] = "levels"

    agent_id: str
    end_ts: int
    maps: tuple[LevelMap, ...]


class OrderIntent(Message, frozen=True, kw_only=True, tag="order_intent.v1"):
    """A wish to trade, before risk. `ref_px` is the price it was sized on; `stop_px` and `target_px` its exits.

    `reduce_only` intents leave a position; they carry no stop or target. `limit_px` is None for market orders.
    """

    said_by: ClassVar[str] = "portfolio"
    suffix: ClassVar[str] = "intent.{instrument}"

    intent_id: str
    instrument: str
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    order_qty: Decimal
    limit_px: Decimal | None
    ref_px: Decimal
    stop_px: Decimal | None
    target_px: Decimal | None
    reduce_only: bool
    valid_until: int
    reason: str


class Check(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pre-trade check with its numbers, so that a verdict can be explained: value against limit."""

    code: str
    passed: bool
    value: str
    limit: str


class OrderApproved(Message, frozen=True, kw_only=True, tag="order_approved.v1"):
    """The gate lets this intent become exactly one order. `signature` is Ed25519 over `approval_bytes` (hex)."""

    said_by: ClassVar[str] = "risk"
    suffix: ClassVar[str] = "approved.{instrument}"

    intent_id: str
    instrument: str
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    order_qty: Decimal
    limit_px: Decimal | None
    ref_px: Decimal
    stop_px: Decimal | None
    target_px: Decimal | None
    reduce_only: bool
    valid_until: int
    checks: tuple[Check, ...]
    key_id: str = ""
    signature: str = ""


class OrderDenied(Message, frozen=True, kw_only=True, tag="order_denied.v1"):
    """The gate refuses this intent (denied by us, as against rejected by the venue); every reason is given."""

    said_by: ClassVar[str] = "risk"
    suffix: ClassVar[str] = "denied.{instrument}"

    intent_id: str
    instrument: str
    side: Side
    order_qty: Decimal
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]


class FlattenOrdered(Message, frozen=True, kw_only=True, tag="flatten_ordered.v1"):
    """Everything is to be sold: the portfolio wishes it, position by position, until nothing is left that can be sold."""

    said_by: ClassVar[str] = "risk"
    suffix: ClassVar[str] = "flatten"

    reason: str
    author: str


class TradingStateChanged(Message, frozen=True, kw_only=True, tag="trading_state_changed.v1"):
    """The gate moved between ACTIVE (all), REDUCING (exits only) and HALTED (exits only, a human must resume)."""

    said_by: ClassVar[str] = "risk"
    suffix: ClassVar[str] = "state"

    state: TradingState
    previous: TradingState
    reason: str
    author: str
