"""The lines of an operator's screen: one struct for each kind, and how it is made of an event. Money is exact, market data are floats, times are ns UTC; `trace` is
what to ask the story of."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.messages import AlertRaised, ExecutionReport, OrderSubmitting
from libs.common.money import ZERO


class Price(msgspec.Struct):
    """What an instrument costs."""

    instrument: str
    bid_px: float
    ask_px: float
    last_px: float
    trust: str
    ts: int


class Zone(msgspec.Struct, frozen=True):
    """A band of prices that matters: SUPPORT or RESISTANCE."""

    lo: float
    hi: float
    role: str


class OrderLine(msgspec.Struct, kw_only=True):
    """An order as it stands; `px` is its limit or stop (None: at market)."""

    cl_ord_id: str
    instrument: str
    side: str
    role: str
    status: str
    order_qty: Decimal
    cum_qty: Decimal = ZERO
    avg_px: Decimal | None = None
    px: Decimal | None = None
    ts: int = 0
    trace: str = ""


class PositionLine(msgspec.Struct, kw_only=True):
    """What is held of an instrument, in base; money in quote. `stop_px` and `target_px` are those of its resting orders,
    `stopped_qty` what they cover; dust is too little for the venue to sell."""

    instrument: str
    signed_qty: Decimal
    avg_entry_px: Decimal
    mark_px: Decimal | None
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal
    stop_px: Decimal | None
    target_px: Decimal | None
    stopped_qty: Decimal
    is_covered: bool
    is_dust: bool
    trace: str


class SignalLine(msgspec.Struct, kw_only=True):
    """An agent's last opinion of an instrument."""

    agent_id: str
    instrument: str
    timeframe: str
    ready: bool
    stance: str
    strength: float
    ts: int
    trace: str


class DecisionLine(msgspec.Struct, kw_only=True):
    """What was decided, and who drove it; `fallback` says why not the model."""

    instrument: str
    action: str
    reason: str
    size_factor: float
    driver: str
    fallback: str
    ts: int
    trace: str


class FillLine(msgspec.Struct, kw_only=True):
    """An execution."""

    instrument: str
    side: str
    role: str
    qty: Decimal
    px: Decimal
    commission: Decimal | None
    commission_asset: str
    ts: int
    trace: str


class DenialLine(msgspec.Struct, kw_only=True):
    """A wish that the gate refused."""

    instrument: str
    side: str
    qty: Decimal
    reasons: tuple[str, ...]
    ts: int
    trace: str


class AlertLine(msgspec.Struct, kw_only=True):
    """Something a person should know."""

    seq: int
    producer: str
    code: str
    severity: str
    text: str
    instrument: str
    ts: int
    trace: str


class LogLine(msgspec.Struct, frozen=True):
    """One line of the narrated log."""

    seq: int
    ts: int
    producer: str
    text: str
    trace: str


def order_line(sent: OrderSubmitting) -> OrderLine:
    """An order as it was sent, before anybody has said anything of it."""
    return OrderLine(
        cl_ord_id=sent.cl_ord_id,
        instrument=sent.instrument,
        side=sent.side,
        role=sent.role,
        status="PENDING_NEW",
        order_qty=sent.order_qty,
        px=sent.stop_px if sent.stop_px is not None else sent.limit_px,
        ts=sent.ts_init,
        trace=f"order:{sent.cl_ord_id}",
    )


def fill_line(report: ExecutionReport) -> FillLine:
    """An execution; where the report does not say what this one was, what the order has had of it so far."""
    qty, px = report.last_qty, report.last_px
    if px is None:
        px = report.cum_qty if report.avg_px is None else report.avg_px
    return FillLine(
        instrument=report.instrument,
        side=report.side,
        role=report.role,
        qty=report.cum_qty if qty is None else qty,
        px=px,
        commission=report.commission,
        commission_asset=report.commission_asset,
        ts=report.ts_init,
        trace=f"exec:{report.instrument}:{report.exec_id}",
    )


def alert_line(seq: int, raised: AlertRaised) -> AlertLine:
    """An alert, which stands at `seq`."""
    return AlertLine(
        seq=seq,
        producer=raised.producer,
        code=raised.code,
        severity=raised.severity,
        text=raised.text,
        instrument=raised.instrument,
        ts=raised.ts_init,
        trace=f"message:{raised.id}",
    )
