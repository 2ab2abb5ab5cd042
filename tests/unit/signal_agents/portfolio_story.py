"""What happens around a portfolio, in short words: opinions, prices, verdicts, reports and postings to tell it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import msgspec

from libs.common.messages import (
    AgentSignals,
    AgentsScored,
    Bar,
    DecisionsMade,
    EquityChanged,
    ExecutionReport,
    FeedBars,
    FeedMarks,
    FeedStatus,
    InstrumentSpec,
    Mark,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    PositionChanged,
    Signal,
)
from libs.common.timeframe import MINUTE, SECOND
from services.signal_agents.portfolio.machine import PortfolioMachine
from services.signal_agents.portfolio.sizing import Limits
from tests.playbook import START, Playbook

D = Decimal
BTC, ETH = "BTC-USDT", "ETH-USDT"
TIMER = f"intent.{BTC}"
SPEC = InstrumentSpec(
    instrument=BTC,
    base="BTC",
    quote="USDT",
    px_tick=D("0.01"),
    qty_step=D("0.001"),
    qty_min=D("0.001"),
    notional_min=D(10),
    taker_fee=D("0.0005"),
    maker_fee=D("0.0005"),
)
LIMITS = Limits(risk_per_trade=D("0.01"), position_max=D(1), stop_atr=D(2), target_atr=D(3), slip=D("0.0005"))
SETTINGS = PortfolioMachine.Settings(
    agents=("trend",),
    limits=LIMITS,
    exit_flat_bars=3,
    signal_age_max=200 * SECOND,
    quote_age_max=5 * SECOND,
    intent_valid=30 * SECOND,
    denial_cooldown=10 * MINUTE,
    exit_retry=5 * SECOND,
)
BAR = 15 * MINUTE


def opinion(stance: Literal["LONG", "SHORT", "FLAT"] = "LONG", instrument: str = BTC, **changes: Any) -> Signal:
    signal = Signal(
        instrument=instrument,
        timeframe="15m",
        ready=True,
        stance=stance,
        strength=0.5,
        close_px=60_000.0,
        atr=600.0,
        evidence={},
    )
    return msgspec.structs.replace(signal, **changes)


def said(bar: int, *signals: Signal, agent: str = "trend", **changes: Any) -> AgentSignals:
    """The agent's answer to the bar that closes `bar` steps after START, said at once."""
    end_ts = START + bar * BAR
    said = AgentSignals(
        agent_id=agent, end_ts=end_ts, signals=signals or (opinion(),), ts_init=end_ts, producer=f"agent.{agent}"
    )
    return msgspec.structs.replace(said, **changes)


def closed(bar: int, close_px: float, instrument: str = BTC) -> FeedBars:
    """The bar that closes `bar` steps after START, as the feed has it."""
    end_ts = START + bar * BAR
    told = Bar(
        instrument=instrument,
        venue="binance",
        timeframe="15m",
        ts_open=end_ts - BAR,
        ts_close=end_ts,
        open=close_px,
        high=close_px,
        low=close_px,
        close=close_px,
        volume=1.0,
    )
    return FeedBars(end_ts=end_ts, bars=(told,), ts_init=end_ts, producer="feed")


def marked(ts: int, bid: float, ask: float | None = None, instrument: str = BTC) -> FeedMarks:
    mark = Mark(
        instrument=instrument,
        bid_px=bid,
        ask_px=ask or bid + 0.01,
        last_px=bid,
        protective_px=bid,
        trust="TRUSTED",
        ts=ts,
    )
    return FeedMarks(venue="binance", as_of=ts, marks=(mark,), ts_init=ts)


def worth(equity: int | str = 10_000, balance: int | str = 10_000) -> EquityChanged:
    zero = D(0)
    return EquityChanged(
        balance=D(balance),
        equity=D(equity),
        realized_pnl=zero,
        unrealized_pnl=zero,
        high_water_mark=D(equity),
        drawdown=zero,
    )


def rules(*specs: InstrumentSpec) -> FeedStatus:
    return FeedStatus(venue="binance", state="LIVE", via="SOCKETS", reason="", health={}, specs=specs)


def approval(intent: OrderIntent, **changes: Any) -> OrderApproved:
    names = set(OrderApproved.__struct_fields__) - {"checks", "key_id", "signature", "id"}
    shared = {name: getattr(intent, name) for name in names}
    return OrderApproved(**(shared | {"checks": (), "producer": "risk", "ts_init": 0} | changes))


def denial(intent: OrderIntent) -> OrderDenied:
    return OrderDenied(
        intent_id=intent.intent_id,
        instrument=intent.instrument,
        side=intent.side,
        order_qty=intent.order_qty,
        reasons=("STALE_PRICE",),
        checks=(),
    )


def reported(intent: OrderIntent, exec_type: str, ord_status: str, qty: str = "0", **changes: Any) -> ExecutionReport:
    """A report on the intent's order; a TRADE fills `qty`, its exec_id is `fill-<qty>`."""
    is_fill = exec_type == "TRADE"
    report = ExecutionReport(
        cl_ord_id="c1",
        intent_id=intent.intent_id,
        venue_order_id="v1",
        exec_id=f"fill-{intent.side}-{qty}" if is_fill else "",
        role="EXIT" if intent.reduce_only else "ENTRY",
        exec_type=exec_type,  # type: ignore[arg-type]
        ord_status=ord_status,  # type: ignore[arg-type]
        instrument=intent.instrument,
        side=intent.side,
        order_qty=intent.order_qty,
        cum_qty=D(qty),
        leaves_qty=D(0),
        avg_px=None,
        last_qty=D(qty) if is_fill else None,
        last_px=intent.ref_px if is_fill else None,
        commission=D(0) if is_fill else None,
        commission_asset="USDT" if is_fill else "",
        liquidity_side="TAKER" if is_fill else "",
        reason="",
    )
    return msgspec.structs.replace(report, **changes)


def posted(signed_qty: str | Decimal, exec_id: str = "", instrument: str = BTC) -> PositionChanged:
    return PositionChanged(
        instrument=instrument,
        signed_qty=D(signed_qty),
        avg_entry_px=D(60_000),
        realized_pnl=D(0),
        commission=D(0),
        exec_id=exec_id,
        cl_ord_id="c1",
    )


def a_portfolio(settings: PortfolioMachine.Settings = SETTINGS) -> Playbook:
    """A portfolio that knows the venue's rules for BTC and ETH, and 10,000 of equity, all of it cash."""
    book = Playbook(PortfolioMachine(settings), writer="portfolio", beside=(DecisionsMade, AgentsScored))
    book.tell(rules(SPEC, msgspec.structs.replace(SPEC, instrument=ETH, base="ETH"))).expect()
    return book.tell(worth()).expect()


def a_holder(settings: PortfolioMachine.Settings = SETTINGS) -> tuple[Playbook, OrderIntent]:
    """A portfolio that entered at bar 1: target 61,800, stop 58,800, filled and booked."""
    book = a_portfolio(settings)
    entry = book.tell(said(1, correlation_id="story-of-bar-1")).only(OrderIntent)
    book.tell(approval(entry)).tell(reported(entry, "NEW", "NEW"))
    fill = reported(entry, "TRADE", "FILLED", str(entry.order_qty))
    book.tell(fill).tell(posted(entry.order_qty, fill.exec_id)).tell(worth(10_000, 5_000)).expect()
    return book, entry
