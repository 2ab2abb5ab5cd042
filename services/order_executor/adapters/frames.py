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
    return _converted(raw, RawOrder)


def as_orders(raw: Any) -> list[RawOrder]:
    """Several orders.

    Raises:
        BadFrame
    """
    return _converted(raw, list[RawOrder])


def as_trades(raw: Any) -> list[RawTrade]:
    """Executions.

    Raises:
        BadFrame
    """
    return _converted(raw, list[RawTrade])


def balances_of(raw: Any) -> tuple[Balance, ...]:
    """Everything the account owns (assets of which it owns nothing are left out).

    Raises:
        BadFrame
    """
    found = _converted(raw, _RawAccount).balances
    return tuple(
        Balance(asset=each.asset, free=each.free, locked=each.locked) for each in found if each.free or each.locked
    )


def venue_order(raw: RawOrder, instrument: str) -> VenueOrder:
    """An order as a fact. A cancel's answer has a client id of its own; the order's is then the original one.

    Raises:
        BadFrame: a status or a type the venue is not known to have.
    """
    return VenueOrder(
        cl_ord_id=raw.orig_client_order_id or raw.client_order_id,
        venue_order_id=str(raw.order_id),
        instrument=instrument,
        side=raw.side,
        ord_type=_known(_ORD_TYPES, raw.type, "type"),
        ord_status=_known(_STATUS, raw.status, "status"),
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
    report = _converted(raw, _RawReport)
    instrument = instruments.get(report.s)
    if instrument is None:
        return None
    cl_ord_id = report.C or report.c
    order = VenueOrder(
        cl_ord_id=cl_ord_id,
        venue_order_id=str(report.i),
        instrument=instrument,
        side=report.S,
        ord_type=_known(_ORD_TYPES, report.o, "o"),
        ord_status=_known(_STATUS, report.X, "X"),
        order_qty=report.q,
        cum_qty=report.z,
        limit_px=report.p or None,
        stop_px=report.P or None,
        ts_event=report.T * MS,
    )
    return VenueReported(
        id=derive_id("report", report.s, report.i, report.x, report.X, report.t, str(report.z)),
        ts_event=report.T * MS,
        ts_init=now,
        instrument=instrument,
        order=order,
        fill=_reported_fill(report, instrument, cl_ord_id) if report.x == "TRADE" else None,
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


def _converted(raw: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(raw, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadFrame(f"{type(raw).__name__}: {str(error)[:150]}") from None


def _known(table: dict[str, T], word: str, field: str) -> T:
    try:
        return table[word]
    except KeyError:
        raise BadFrame(f"{field} is {word[:30]!r}, which is not known") from None
