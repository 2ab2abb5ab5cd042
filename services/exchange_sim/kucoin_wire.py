"""How KuCoin writes what the venue knows of the account: orders, stops, fills and balances as JSON-ready dicts.

KuCoin keeps a stop apart, under an id of its own (`vs…`), until it is reached; what it then enters is an ordinary order with another id
and the same client id. Here they are one `BookedOrder`, shown as the one or the other.
"""

from __future__ import annotations

from decimal import Decimal

from libs.common.messages import Balance, VenueFill
from libs.common.money import ZERO, plain
from libs.trading.venue import BookedOrder
from services.exchange_sim.wire import Json, millis

FILL_ID_BASE, FILL_ID_STRIDE = 19_814_995_000_000, 3
TRADE_ID_BASE, TRADE_ID_STRIDE = 11_029_373_000_000_000, 7


def order_id(booked: BookedOrder) -> str:
    """The id of an ordinary order."""
    return f"{int(booked.venue_order_id):024x}"


def stop_id(booked: BookedOrder) -> str:
    """The id of a stop before it is reached."""
    return f"vs{int(booked.venue_order_id):022x}"


def is_stop(booked: BookedOrder) -> bool:
    """Whether it is (or was to its end) a stop that was never reached."""
    return booked.waits_for_trigger


def fill_id(fill: VenueFill) -> int:
    """Rises with gaps."""
    return FILL_ID_BASE + FILL_ID_STRIDE * int(fill.exec_id)


def trade_id(fill: VenueFill) -> int:
    """Rises with gaps."""
    return TRADE_ID_BASE + TRADE_ID_STRIDE * int(fill.exec_id)


def text(value: Decimal | None) -> str:
    """A number as KuCoin writes it; nothing is zero."""
    return f"{plain(value or ZERO):f}"


def type_of(booked: BookedOrder) -> str:
    """Limit or market."""
    return "market" if booked.limit_px is None else "limit"


def order_shown(booked: BookedOrder, symbol: str, quote: str, fills: list[VenueFill]) -> Json:
    """An ordinary order, as hf/orders shows it."""
    left = booked.leaves_qty
    return {
        "id": order_id(booked),
        "clientOid": booked.cl_ord_id,
        "symbol": symbol,
        "opType": "DEAL",
        "type": type_of(booked),
        "side": booked.side.lower(),
        "price": text(booked.limit_px),
        "size": text(booked.order_qty),
        "funds": "0",
        "dealSize": text(booked.cum_qty),
        "dealFunds": text(booked.cum_quote_qty),
        "remainSize": text(left if booked.is_open else ZERO),
        "remainFunds": "0",
        "cancelledSize": text(ZERO if booked.is_open else left),
        "cancelledFunds": "0",
        "fee": text(sum((fill.commission for fill in fills), ZERO)),
        "feeCurrency": quote,
        "stp": None,
        "timeInForce": booked.time_in_force,
        "postOnly": booked.ord_type == "LIMIT_MAKER",
        "hidden": False,
        "iceberg": False,
        "visibleSize": "0",
        "cancelAfter": 0,
        "channel": "API",
        "remark": None,
        "tags": None,
        "cancelExist": not booked.is_open and left > ZERO,
        "tradeType": "TRADE",
        "inOrderBook": booked.is_open,
        "active": booked.is_open,
        "tax": "0",
        "createdAt": millis(booked.ts_created),
        "lastUpdatedAt": millis(booked.ts_event),
    }


def stop_shown(booked: BookedOrder, symbol: str, quote: str, fee: Decimal) -> Json:
    """A stop that waits, as stop-order shows it."""
    return {
        "id": stop_id(booked),
        "symbol": symbol,
        "userId": "1",
        "status": "NEW",
        "type": type_of(booked),
        "side": booked.side.lower(),
        "price": None if booked.limit_px is None else text(booked.limit_px),
        "size": text(booked.order_qty),
        "funds": None,
        "stp": None,
        "timeInForce": booked.time_in_force,
        "cancelAfter": -1,
        "postOnly": False,
        "hidden": False,
        "iceberg": False,
        "visibleSize": None,
        "channel": "API",
        "clientOid": booked.cl_ord_id,
        "remark": None,
        "tags": None,
        "orderTime": booked.ts_created,
        "domainId": "kucoin",
        "tradeSource": "USER",
        "tradeType": "TRADE",
        "feeCurrency": quote,
        "takerFeeRate": str(fee),
        "makerFeeRate": str(fee),
        "createdAt": millis(booked.ts_created),
        "stop": "loss" if booked.side == "SELL" else "entry",
        "stopTriggerTime": None,
        "stopPrice": text(booked.stop_px),
    }


def fill_shown(fill: VenueFill, booked: BookedOrder, symbol: str, fee: Decimal) -> Json:
    """An execution, as hf/fills shows it."""
    return {
        "id": fill_id(fill),
        "symbol": symbol,
        "tradeId": trade_id(fill),
        "orderId": order_id(booked),
        "counterOrderId": f"{int(fill.exec_id):023x}f",
        "side": fill.side.lower(),
        "liquidity": fill.liquidity_side.lower(),
        "forceTaker": False,
        "price": text(fill.px),
        "size": text(fill.qty),
        "funds": text(fill.px * fill.qty),
        "fee": text(fill.commission),
        "feeRate": str(fee),
        "feeCurrency": fill.commission_asset,
        "stop": "",
        "tradeType": "TRADE",
        "taxRate": "0",
        "tax": "0",
        "type": type_of(booked),
        "createdAt": millis(fill.ts_event),
    }


def account_shown(held: Balance, kind: str) -> Json:
    """One asset of the trade account, whichever name of it was asked for."""
    return {
        "id": f"trade-{held.asset}",
        "currency": held.asset,
        "type": kind,
        "balance": text(held.free + held.locked),
        "available": text(held.free),
        "holds": text(held.locked),
    }


def order_event(booked: BookedOrder, symbol: str, kind: str, fill: VenueFill | None, filled: Decimal, now: int) -> Json:
    """What /spotMarket/tradeOrders says of an ordinary order: `kind` is open, match, filled or canceled."""
    event = {
        "symbol": symbol,
        "orderType": type_of(booked),
        "side": booked.side.lower(),
        "orderId": order_id(booked),
        "clientOid": booked.cl_ord_id,
        "type": kind,
        "status": {"open": "open", "match": "match"}.get(kind, "done"),
        "orderTime": millis(booked.ts_created),
        "originSize": text(booked.order_qty),
        "size": text(booked.order_qty),
        "filledSize": text(filled),
        "remainSize": text(ZERO if kind in ("filled", "canceled") else booked.order_qty - filled),
        "canceledSize": text(booked.order_qty - filled if kind == "canceled" else ZERO),
        "price": text(booked.limit_px),
        "ts": now,
    }
    if fill is None:
        return event
    liquidity = fill.liquidity_side.lower()
    matched = {"matchPrice": text(fill.px), "matchSize": text(fill.qty), "tradeId": str(trade_id(fill))}
    return event | matched | {"liquidity": liquidity, "feeType": f"{liquidity}Fee"}


def stop_event(booked: BookedOrder, symbol: str, kind: str, now: int) -> Json:
    """What /spotMarket/advancedOrders says of a stop, without its client id: `kind` is open, triggered or cancel."""
    event = {
        "createdAt": millis(booked.ts_created),
        "orderId": stop_id(booked),
        "orderPrice": text(booked.limit_px),
        "orderType": "stop",
        "side": booked.side.lower(),
        "size": text(booked.order_qty),
        "stop": "loss" if booked.side == "SELL" else "entry",
        "stopPrice": text(booked.stop_px),
        "symbol": symbol,
        "tradeType": "TRADE",
        "ts": now,
        "type": kind,
    }
    return event | ({"triggerSuccess": True} if kind == "triggered" else {})


def balance_event(held: Balance, free: Decimal, locked: Decimal, why: str, now: int) -> Json:
    """What /account/balance says: `free` and `locked` are what there was before."""
    return {
        "accountId": f"trade-{held.asset}",
        "currency": held.asset,
        "total": text(held.free + held.locked),
        "available": text(held.free),
        "hold": text(held.locked),
        "availableChange": text(held.free - free),
        "holdChange": text(held.locked - locked),
        "relationEvent": why,
        "relationEventId": str(now),
        "relationContext": {},
        "time": str(millis(now)),
    }
