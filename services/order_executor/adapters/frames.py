"""Binance's raw answers as facts. Amounts stay the strings the venue wrote: no float ever touches money.

Every answer is converted against a type; what does not fit is `BadFrame`, never a None that travels on.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import (
    Balance,
    BalanceMoved,
    OrdStatus,
    OrdType,
    Side,
    VenueFill,
    VenueOrder,
    VenueReported,
)
from libs.common.money import ZERO

MS = 1_000_000
_STATUS: dict[str, OrdStatus] = {
    "PENDING_NEW": "NEW",
    "NEW": "NEW",
    "PARTIALLY_FILLED": "PARTIALLY_FILLED",
    "FILLED": "FILLED",
    "PENDING_CANCEL": "NEW",
    "CANCELED": "CANCELED",
    "REJECTED": "REJECTED",
    "EXPIRED": "EXPIRED",
    "EXPIRED_IN_MATCH": "EXPIRED",
}
_ORD_TYPES: dict[str, OrdType] = {
    "MARKET": "MARKET",
    "LIMIT": "LIMIT",
    "LIMIT_MAKER": "LIMIT",
    "STOP_LOSS": "STOP_LOSS",
    "STOP_LOSS_LIMIT": "STOP_LOSS_LIMIT",
}

T = TypeVar("T")


class BadFrame(ValueError):
    """An answer that is not what the venue promises; the text names the field, not its value."""


class _AnsweredFill(msgspec.Struct, rename="camel"):
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    trade_id: int


class RawOrder(msgspec.Struct, rename="camel"):
    """An order as POST, GET and DELETE show it."""

    symbol: str
    order_id: int
    client_order_id: str
    status: str
    side: Side
    type: str
    orig_qty: Decimal
    executed_qty: Decimal
    price: Decimal = ZERO
    stop_price: Decimal = ZERO
    orig_client_order_id: str = ""
    transact_time: int = 0
    update_time: int = 0
    fills: list[_AnsweredFill] = []


class RawPair(msgspec.Struct, rename="camel"):
    """Two orders of which one ends the other, as POST orderList/oco and DELETE show them."""

    list_client_order_id: str
    order_reports: list[RawOrder]


class RawTrade(msgspec.Struct, rename="camel"):
    """An execution as myTrades shows it; it does not name the client order id."""

    symbol: str
    id: int
    order_id: int
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    is_buyer: bool
    is_maker: bool


class _RawBalance(msgspec.Struct):
    asset: str
    free: Decimal
    locked: Decimal


class _RawAccount(msgspec.Struct):
    balances: list[_RawBalance]


class _RawTime(msgspec.Struct, rename="camel"):
    server_time: int


class _RawMove(msgspec.Struct):
    """A `balanceUpdate` of the user stream: asset, delta, event time, clear time."""

    a: str
    d: Decimal
    E: int
    T: int


class _RawReport(msgspec.Struct):
    """An `executionReport` of the user stream, in the venue's letters."""

    E: int
    s: str
    c: str
    S: Side
    o: str
    q: Decimal
    p: Decimal
    P: Decimal
    x: str
    X: str
    i: int
    l: Decimal  # noqa: E741
    z: Decimal
    L: Decimal
    n: Decimal
    T: int
    t: int
    m: bool
    C: str | None = None
    N: str | None = None


def symbol_of(instrument: str) -> str:
    """BTCUSDT for BTC-USDT."""
    return instrument.replace("-", "")


def as_order(raw: Any) -> RawOrder:
    """An order the venue has answered.

    Raises:
        BadFrame
    """
    return converted(raw, RawOrder)


def as_orders(raw: Any) -> list[RawOrder]:
    """Several orders.

    Raises:
        BadFrame
    """
    return converted(raw, list[RawOrder])


def as_pair(raw: Any) -> RawPair:
    """A pair the venue has answered.

    Raises:
        BadFrame
    """
    return converted(raw, RawPair)


def reports_of(raw: Any) -> list[RawOrder]:
    """The orders in the answer to a cancel: one, or both of its pair.

    Raises:
        BadFrame
    """
    return as_pair(raw).order_reports if isinstance(raw, dict) and "orderReports" in raw else [as_order(raw)]


def name_of(raw: RawOrder) -> str:
    """Its client id; a cancel's answer shows that as the original one."""
    return raw.orig_client_order_id or raw.client_order_id


def as_trades(raw: Any) -> list[RawTrade]:
    """Executions.

    Raises:
        BadFrame
    """
    return converted(raw, list[RawTrade])


def balances_of(raw: Any) -> tuple[Balance, ...]:
    """Everything the account owns (assets of which it owns nothing are left out).

    Raises:
        BadFrame
    """
    found = converted(raw, _RawAccount).balances
    return tuple(
        Balance(asset=each.asset, free=each.free, locked=each.locked) for each in found if each.free or each.locked
    )


def venue_time(raw: Any) -> int:
    """The venue's clock, milliseconds.

    Raises:
        BadFrame
    """
    return converted(raw, _RawTime).server_time


def venue_order(raw: RawOrder, instrument: str) -> VenueOrder:
    """An order as a fact. A cancel's answer has a client id of its own; the order's is then the original one.

    Raises:
        BadFrame: a status the venue is not known to have.
    """
    status = _STATUS.get(raw.status)
    if status is None:
        raise BadFrame(f"status is {raw.status[:30]!r}, which is not known")
    return _venue_order(raw, instrument, status)


def open_order(raw: RawOrder, instrument: str) -> VenueOrder:
    """An order that the venue lists as open: whatever word it has for how it stands, it is."""
    resting: OrdStatus = "PARTIALLY_FILLED" if raw.executed_qty else "NEW"
    return _venue_order(raw, instrument, _STATUS.get(raw.status, resting))


def _venue_order(raw: RawOrder, instrument: str, status: OrdStatus) -> VenueOrder:
    return VenueOrder(
        cl_ord_id=raw.orig_client_order_id or raw.client_order_id,
        venue_order_id=str(raw.order_id),
        instrument=instrument,
        side=raw.side,
        ord_type=_type_of(raw.type, raw.price, raw.stop_price),
        ord_status=status,
        order_qty=raw.orig_qty,
        cum_qty=raw.executed_qty,
        limit_px=raw.price or None,
        stop_px=raw.stop_price or None,
        ts_event=(raw.transact_time or raw.update_time) * MS,
    )


def answered_fills(raw: RawOrder, instrument: str) -> tuple[VenueFill, ...]:
    """The executions in the answer to a submission; who took liquidity at once is a taker."""
    return tuple(
        VenueFill(
            exec_id=str(each.trade_id),
            cl_ord_id=raw.client_order_id,
            venue_order_id=str(raw.order_id),
            instrument=instrument,
            side=raw.side,
            qty=each.qty,
            px=each.price,
            commission=each.commission,
            commission_asset=each.commission_asset,
            liquidity_side="TAKER",
            ts_event=raw.transact_time * MS,
        )
        for each in raw.fills
    )


def venue_fill(raw: RawTrade, instrument: str, cl_ord_id: str) -> VenueFill:
    """An execution as a fact."""
    return VenueFill(
        exec_id=str(raw.id),
        cl_ord_id=cl_ord_id,
        venue_order_id=str(raw.order_id),
        instrument=instrument,
        side="BUY" if raw.is_buyer else "SELL",
        qty=raw.qty,
        px=raw.price,
        commission=raw.commission,
        commission_asset=raw.commission_asset,
        liquidity_side="MAKER" if raw.is_maker else "TAKER",
        ts_event=raw.time * MS,
    )


def reported(raw: Any, instruments: dict[str, str], now: int) -> VenueReported | None:
    """One report of the user stream; None if it is about an instrument we do not trade (`instruments`: by symbol).

    Its id follows from its content, so that the same report told twice is recognised as one.

    Raises:
        BadFrame
    """
    report = converted(raw, _RawReport)
    instrument = instruments.get(report.s)
    if instrument is None:
        return None
    cl_ord_id = report.C or report.c
    status = _STATUS.get(report.X)
    is_fill = report.x == "TRADE"
    if status is None and not is_fill:
        raise BadFrame(f"X is {report.X[:30]!r}, which is not known")
    return VenueReported(
        id=derive_id("report", report.s, report.i, report.x, report.X, report.t, str(report.z)),
        ts_event=report.T * MS,
        ts_init=now,
        instrument=instrument,
        order=None if status is None else _reported_order(report, instrument, cl_ord_id, status),
        fill=_reported_fill(report, instrument, cl_ord_id) if is_fill else None,
    )


def moved(raw: Any, now: int) -> BalanceMoved:
    """A `balanceUpdate`: a deposit or a withdrawal. Told twice, it has one id.

    Raises:
        BadFrame
    """
    move = converted(raw, _RawMove)
    if not move.d.is_finite():
        raise BadFrame("d is not a number")
    return BalanceMoved(
        id=derive_id("balance", move.a, str(move.d), move.E, move.T),
        ts_event=move.T * MS,
        ts_init=now,
        asset=move.a,
        amount=move.d,
    )


def _reported_order(report: _RawReport, instrument: str, cl_ord_id: str, status: OrdStatus) -> VenueOrder:
    return VenueOrder(
        cl_ord_id=cl_ord_id,
        venue_order_id=str(report.i),
        instrument=instrument,
        side=report.S,
        ord_type=_type_of(report.o, report.p, report.P),
        ord_status=status,
        order_qty=report.q,
        cum_qty=report.z,
        limit_px=report.p or None,
        stop_px=report.P or None,
        ts_event=report.T * MS,
    )


def _reported_fill(report: _RawReport, instrument: str, cl_ord_id: str) -> VenueFill:
    return VenueFill(
        exec_id=str(report.t),
        cl_ord_id=cl_ord_id,
        venue_order_id=str(report.i),
        instrument=instrument,
        side=report.S,
        qty=report.l,
        px=report.L,
        commission=report.n,
        commission_asset=report.N or "",
        liquidity_side="MAKER" if report.m else "TAKER",
        ts_event=report.T * MS,
    )


def converted(raw: Any, kind: type[T]) -> T:
    """`raw` as a `kind`.

    Raises:
        BadFrame
    """
    try:
        return msgspec.convert(raw, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadFrame(f"{type(raw).__name__}: {str(error)[:150]}") from None


def _type_of(word: str, price: Decimal, stop_price: Decimal) -> OrdType:
    """One of our types. Others are not of our making: they are described by the prices they have."""
    known = _ORD_TYPES.get(word)
    if known is not None:
        return known
    if stop_price:
        return "STOP_LOSS_LIMIT" if price else "STOP_LOSS"
    return "LIMIT" if price else "MARKET"
