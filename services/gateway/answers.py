"""What the routes answer with. Money is exact, as text; times are ns UTC of the clock that the stack follows; `trace` is what to ask /trace/ for.

Lists out of the log come in pages, newest first: `next` is for `?before=`, `previous` for `?after=`; null: there is no more there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from libs.common.messages import AgentScore, Decision, Signal
from libs.desk.commands import Outcome
from libs.desk.desk import Phase
from libs.desk.lines import AlertLine, FillLine, OrderLine, PositionLine, Price, SignalLine, Zone
from libs.desk.services import ServiceLine
from libs.desk.standing import Books, ModelLine, OrderCounts, Quarantine, Uncovered

Cursor = Annotated[str | None, msgspec.Meta(description="opaque")]


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    alive: bool


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Whose session this is now; `expires` in seconds since 1970."""

    name: str
    scopes: tuple[str, ...]
    expires: int


class FeedLine(msgspec.Struct, frozen=True, kw_only=True):
    """Where prices come from; `home` is the venue that should tell them."""

    state: str
    venue: str
    via: str
    home: str


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """Whether every position has a stop of its size at the venue; dust is too little for one."""

    is_whole: bool
    uncovered: list[Uncovered]
    dust: list[str]


class Projection(msgspec.Struct, frozen=True, kw_only=True):
    """How far the database is behind what the ledger has read: events, and the age (s) of the oldest of them."""

    follows: bool
    lag_events: int
    lag_s: float


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the system is. `degraded` is not `up`: `reasons` says what a person should look at. `database` null: the ledger does not say."""

    status: Literal["up", "degraded", "down"]
    reasons: list[str]
    book: str
    mode: str
    as_of: int
    desk: Phase
    services: list[ServiceLine]
    catching_up: list[str]
    feed: FeedLine
    doubts: dict[str, str]
    reconciled: bool | None
    mismatches: tuple[str, ...]
    stops: Coverage
    database: Projection | None
    model: ModelLine | None
    trading_state: str
    trading_reason: str


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """What the book is worth. `curve` holds (ns, equity) points; `win_rate` is null before the first closed trade."""

    book: str
    mode: str
    as_of: int
    trading_state: str
    books: Books | None
    trace: str
    curve: list[tuple[int, float]]
    positions: list[PositionLine]
    trades_closed: int
    trades_won: int
    win_rate: float | None


class Positions(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is held, with what protects it."""

    as_of: int
    items: list[PositionLine]


class OrderItem(OrderLine, kw_only=True):
    """An order as it stands, and where the log has sent it."""

    seq: int


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """Orders by when they were sent; `open` has all that rest or are on their way."""

    open: list[OrderLine]
    counts: OrderCounts
    items: list[OrderItem]
    next: Cursor
    previous: Cursor


class FillItem(FillLine, kw_only=True):
    """An execution, and where the log has it."""

    seq: int


class Fills(msgspec.Struct, frozen=True, kw_only=True):
    """A page of executions."""

    items: list[FillItem]
    next: Cursor
    previous: Cursor


class SignalsItem(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent thought of the bars that closed at `ts`."""

    seq: int
    agent_id: str
    ts: int
    signals: list[Signal]
    trace: str


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """A page of opinions."""

    items: list[SignalsItem]
    next: Cursor
    previous: Cursor


class DecisionsItem(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided about the bars that closed at `ts`, and how far a model drove it so far."""

    seq: int
    ts: int
    mode: str
    model_driven: int
    model_asked: int
    decisions: list[Decision]
    trace: str


class Decisions(msgspec.Struct, frozen=True, kw_only=True):
    """A page of decisions."""

    items: list[DecisionsItem]
    next: Cursor
    previous: Cursor


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """A page of alerts."""

    items: list[AlertLine]
    next: Cursor
    previous: Cursor


class EventItem(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the log; `message` is null where it is long and the log does not answer."""

    seq: int
    subject: str
    type: str
    role: str
    producer: str
    ts: int
    correlation_id: str
    message: Any


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the log (prices are left out)."""

    items: list[EventItem]
    next: Cursor
    previous: Cursor


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its 95 % interval; null: not known yet."""

    value: float | None
    low: float | None
    high: float | None


class DayLine(msgspec.Struct, frozen=True, kw_only=True):
    """One day of the book, until 00:00 UTC at `ts`; `flow` was paid in or out and is no return."""

    ts: int
    equity: str
    flow: str
    growth: float
    carried: bool


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that is hoped for, and the chance that the truth is above it."""

    name: str
    target: float
    observed: float | None
    chance_above: float | None
    observations: int


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """What the book has earned, net of costs and of money paid in or out; nothing but `trades` while there is no equity."""

    as_of: int
    live_return: float | None
    days: list[DayLine]
    trades: int
    trades_open: int
    metrics: dict[str, Figure | float | int | None]
    targets: list[Target]


class CheckLine(msgspec.Struct, frozen=True, kw_only=True):
    """One check of the gate: value, limit, and how much room is left."""

    code: str
    passed: bool
    value: str
    limit: str
    headroom: str | None


class VerdictLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate said last of an entry into an instrument."""

    seq: int
    verdict: str
    intent_id: str
    instrument: str
    side: str
    order_qty: str
    reasons: list[str]
    checks: list[CheckLine]


class Risk(msgspec.Struct, frozen=True, kw_only=True):
    """What trading may do now, and how near its limits are."""

    trading_state: str
    trading_reason: str
    reconciled: bool | None
    mismatches: tuple[str, ...]
    books: Books | None
    stops: Coverage
    quarantined: list[Quarantine]
    doubts: dict[str, str]
    drifts: dict[str, str]
    verdicts: list[VerdictLine]


class Feeds(msgspec.Struct, frozen=True, kw_only=True):
    """Prices as they were told last, and whether they are believed."""

    feed: FeedLine
    doubts: dict[str, str]
    prices: list[Price]
    levels: dict[str, tuple[Zone, ...]]


class Agents(msgspec.Struct, frozen=True, kw_only=True):
    """What agents think, and what their votes were worth."""

    model: ModelLine | None
    scores: list[AgentScore]
    signals: list[SignalLine]
    regimes: dict[str, str]


class StoryTarget(msgspec.Struct, frozen=True, kw_only=True):
    """What an id names; `instrument` where it is unique within it only."""

    kind: str
    id: str
    instrument: str


class StoryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a story, in words and as it is. `cause_seq` is its direct cause, `latency_ns` the time since; `stored_at` 0: not asked for."""

    seq: int
    subject: str
    type: str
    id: str
    role: str
    relation: Literal["cause", "named", "effect"]
    depth: int
    cause_seq: int | None
    latency_ns: int | None
    stored_at: int
    ts_init: int
    headline: str
    details: list[str]
    message: Any


class StoryTold(msgspec.Struct, frozen=True, kw_only=True):
    """A story: what led to something, and what came of it, in the order of the log; the same as `bulkhead trace --json`."""

    target: StoryTarget
    instruments: tuple[str, ...]
    events: list[StoryEvent]


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the alerts of a webhook: `recorded` are in the log now, `known` had been brought before."""

    recorded: int
    known: int


ALL = (
    Alive,
    Session,
    Health,
    Portfolio,
    Positions,
    Orders,
    Fills,
    Signals,
    Decisions,
    Alerts,
    Events,
    Performance,
    Risk,
    Feeds,
    Agents,
    StoryTold,
    Recorded,
    Outcome,
)
"""Every answer that is no problem."""
