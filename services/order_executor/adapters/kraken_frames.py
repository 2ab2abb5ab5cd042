"""Kraken's raw REST answers as facts; what does not fit is `BadFrame`. Executions are known by their txid, at REST and on the sockets alike."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import msgspec

from libs.common.messages import Balance, OrdStatus, OrdType, Side, VenueFill, VenueOrder
from libs.common.money import ZERO, plain
from services.order_executor.adapters.frames import BadFrame, converted
from services.order_executor.adapters.kraken_names import asset_of

NS = 10**9
_SIDES: dict[str, Side] = {"buy": "BUY", "sell": "SELL"}
_STATUSES: dict[str, OrdStatus] = {
    "pending": "NEW",
    "pending_new": "NEW",
    "new": "NEW",
    "open": "NEW",
    "partially_filled": "PARTIALLY_FILLED",
    "closed": "FILLED",
    "filled": "FILLED",
    "canceled": "CANCELED",
    "expired": "EXPIRED",
}
_ORD_TYPES: dict[str, OrdType] = {
    "market": "MARKET",
    "limit": "LIMIT",
    "stop-loss": "STOP_LOSS",
    "stop-loss-limit": "STOP_LOSS_LIMIT",
}
NAMES: dict[OrdType, str] = {ours: name for name, ours in _ORD_TYPES.items()}
"""Kraken's words for our types."""

T = TypeVar("T")


class _Envelope(msgspec.Struct):
    result: Any


class _Descr(msgspec.Struct):
    pair: str
    type: str
    ordertype: str
    price: str = "0"
    price2: str = "0"


class RawOrder(msgspec.Struct):
    """An order as QueryOrders, OpenOrders and ClosedOrders show it; its txid is the key it stands under."""

    status: str
    descr: _Descr
    vol: Decimal
    vol_exec: Decimal
    opentm: Decimal
    closetm: Decimal = ZERO
    cl_ord_id: str | None = None
    trades: list[str] = []


class RawTrade(msgspec.Struct):
    """An execution as TradesHistory and QueryTrades show it; it does not name the client order id."""

    ordertxid: str
    pair: str
    time: Decimal
    type: str
    price: Decimal
    fee: Decimal
    vol: Decimal
    maker: bool = False


class Placed(msgspec.Struct):
    """What AddOrder answers: the order's id, and nothing of how it stands."""

    txid: list[str]


class Cancelled(msgspec.Struct):
    """What CancelOrder answers."""

    count: int = 0
    pending: bool = False


class OpenOrders(msgspec.Struct):
    """What OpenOrders answers."""

    open: dict[str, RawOrder]


class ClosedOrders(msgspec.Struct):
    """A page of ClosedOrders."""

    closed: dict[str, RawOrder]


class Trades(msgspec.Struct):
    """A page of TradesHistory, newest first."""

    trades: dict[str, RawTrade]


class _RawBalance(msgspec.Struct):
    balance: Decimal
    hold_trade: Decimal = ZERO


def result_of(raw: Any, kind: type[T]) -> T:
    """What Kraken has answered.

    Raises:
        BadFrame
    """
    return converted(converted(raw, _Envelope).result, kind)


def balances_of(raw: Any) -> tuple[Balance, ...]:
    """BalanceEx: everything the account owns (assets of which it owns nothing are left out).

    Raises:
        BadFrame
    """
    found = result_of(raw, dict[str, _RawBalance])
    return tuple(
        Balance(asset=asset_of(name), free=plain(held.balance - held.hold_trade), locked=plain(held.hold_trade))
        for name, held in found.items()
        if held.balance or held.hold_trade
    )


def venue_order(txid: str, raw: RawOrder, instrument: str) -> VenueOrder:
    """An order as a fact.

    Raises:
        BadFrame: a status or a side that Kraken is not known to have.
    """
    status = status_of(raw.status)
    px, px2 = _px(raw.descr.price), _px(raw.descr.price2)
    is_stop = raw.descr.ordertype.startswith("stop")
    limit_px, stop_px = (px2, px) if is_stop else (px, None)
    return VenueOrder(
        cl_ord_id=raw.cl_ord_id or "",
        venue_order_id=txid,
        instrument=instrument,
        side=side_of(raw.descr.type),
        ord_type=type_of(raw.descr.ordertype, limit_px, stop_px),
        ord_status="PARTIALLY_FILLED" if status == "NEW" and raw.vol_exec else status,
        order_qty=plain(raw.vol),
        cum_qty=plain(raw.vol_exec),
        limit_px=limit_px,
        stop_px=stop_px,
        ts_event=int((raw.closetm or raw.opentm) * NS),
    )


def venue_fill(txid: str, raw: RawTrade, instrument: str, cl_ord_id: str) -> VenueFill:
    """An execution as a fact; its fee is in quote, for so we ask.

    Raises:
        BadFrame
    """
    return VenueFill(
        exec_id=txid,
        cl_ord_id=cl_ord_id,
        venue_order_id=raw.ordertxid,
        instrument=instrument,
        side=side_of(raw.type),
        qty=plain(raw.vol),
        px=plain(raw.price),
        commission=plain(raw.fee),
        commission_asset=instrument.partition("-")[2],
        liquidity_side="MAKER" if raw.maker else "TAKER",
        ts_event=int(raw.time * NS),
    )


def status_of(word: str) -> OrdStatus:
    """Our word for how an order stands.

    Raises:
        BadFrame
    """
    status = _STATUSES.get(word)
    if status is None:
        raise BadFrame(f"status is {word[:30]!r}, which is not known")
    return status


def side_of(word: str) -> Side:
    """Our word for a side.

    Raises:
        BadFrame
    """
    side = _SIDES.get(word)
    if side is None:
        raise BadFrame("a side is neither buy nor sell")
    return side


def type_of(word: str, limit_px: Decimal | None, stop_px: Decimal | None) -> OrdType:
    """One of our types. Others are not of our making: they are described by the prices they have."""
    if word in _ORD_TYPES:
        return _ORD_TYPES[word]
    if stop_px is not None:
        return "STOP_LOSS" if limit_px is None else "STOP_LOSS_LIMIT"
    return "MARKET" if limit_px is None else "LIMIT"


def _px(text: str) -> Decimal | None:
    """A price; None where there is none, or where it follows the market ("+1.5%"), as only orders do that are not ours."""
    try:
        px = Decimal(text)
    except InvalidOperation:
        return None
    return plain(px) if px.is_finite() and px > 0 and text[0].isdecimal() else None
