"""Orders, executions and balances as Kraken's REST shows them, and its words for what the paper account refuses.

Ids are made of the account's own numbers, and cannot be put in order: those of orders look like OXXXXX-XXXXX-XXXXXX, of executions like
TXXXXX-XXXXX-XXXXXX.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from libs.common.messages import VenueFill
from libs.common.money import ZERO, plain
from libs.common.timeframe import SECOND
from libs.trading.venue import BookedOrder, VenueRejected
from libs.trading.venue_rules import (
    CANCEL_REFUSED,
    FILTER_FAILURE,
    INVALID_SYMBOL,
    NO_FUNDS,
    NO_SUCH_ORDER,
    VenueOrdType,
)
from services.exchange_sim.wire import Json

ORD_TYPES: dict[str, VenueOrdType] = {
    "market": "MARKET",
    "limit": "LIMIT",
    "stop-loss": "STOP_LOSS",
    "stop-loss-limit": "STOP_LOSS_LIMIT",
}
_NAMES = {"LIMIT_MAKER": "limit", **{ours: name for name, ours in ORD_TYPES.items()}}
_STATUSES = {"FILLED": "closed", "CANCELED": "canceled", "EXPIRED": "expired"}
_REFUSALS = (
    (NO_FUNDS, "EOrder:Insufficient funds"),
    ("Duplicate order sent.", "EOrder:Duplicate cl_ord_id"),
    ("Market is closed.", "EService:Market in cancel_only mode"),
    ("immediately match and take", "EOrder:Post only order"),
    ("would trigger immediately", "EOrder:Invalid price"),
    ("PRICE_FILTER", "EOrder:Invalid price"),
    ("LOT_SIZE", "EOrder:Order minimum not met"),
    ("NOTIONAL", "EOrder:Cost minimum not met"),
)
_CODES = {
    INVALID_SYMBOL: "EQuery:Unknown asset pair",
    CANCEL_REFUSED: "EOrder:Unknown order",
    NO_SUCH_ORDER: "EOrder:Unknown order",
    FILTER_FAILURE: "EOrder:Invalid order",
}
_KRAKENS = re.compile(r"E[A-Z][A-Za-z]+:.+")


def order_id(number: str) -> str:
    """Kraken's name of the account's order `number`."""
    return _name("O", number)


def trade_id(number: str) -> str:
    """Kraken's name of the account's execution `number`."""
    return _name("T", number)


def ord_type_name(booked: BookedOrder) -> str:
    """Kraken's word for the type of an order."""
    return _NAMES[booked.ord_type]


def refusal_of(error: VenueRejected) -> str:
    """Kraken's words for a refusal; a text that is Kraken's already (of a scripted fault) stays as it is."""
    if _KRAKENS.fullmatch(error.message):
        return error.message
    known = next((words for part, words in _REFUSALS if part in error.message), None)
    return known or _CODES.get(error.code, "EGeneral:Invalid arguments")


def order_shown(booked: BookedOrder, fills: list[VenueFill], pair: str, *, trades: bool) -> Json:
    """An order of OpenOrders, ClosedOrders or QueryOrders."""
    name, limit_px = ord_type_name(booked), booked.limit_px or ZERO
    px, px2 = (booked.stop_px, limit_px) if booked.stop_px is not None else (limit_px, ZERO)
    words = f"{booked.side.lower()} {plain(booked.order_qty):f} {pair} @ {_price_words(booked)}"
    shown: Json = {
        "refid": None,
        "userref": 0,
        "cl_ord_id": booked.cl_ord_id,
        "status": _STATUSES.get(booked.ord_status, "open"),
        "opentm": booked.ts_created / SECOND,
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": pair,
            "type": booked.side.lower(),
            "ordertype": name,
            "price": f"{px:f}",
            "price2": f"{px2:f}",
            "leverage": "none",
            "order": words,
            "close": "",
        },
        "vol": f"{booked.order_qty:.8f}",
        "vol_exec": f"{booked.cum_qty:.8f}",
        "cost": f"{booked.cum_quote_qty:f}",
        "fee": f"{sum((fill.commission for fill in fills), ZERO):f}",
        "price": f"{booked.cum_quote_qty / booked.cum_qty if booked.cum_qty else ZERO:.5f}",
        "stopprice": "0.00000",
        "limitprice": "0.00000",
        "misc": "",
        "oflags": "fciq",
    }
    if trades and fills:
        shown["trades"] = [trade_id(fill.exec_id) for fill in fills]
    if not booked.is_open:
        shown |= {"closetm": booked.ts_event / SECOND, "reason": None if booked.ord_status == "FILLED" else "ended"}
    return shown


def trade_shown(fill: VenueFill, booked: BookedOrder, pair: str) -> Json:
    """An execution of TradesHistory or QueryTrades; it does not name the client order id."""
    return {
        "ordertxid": order_id(fill.venue_order_id),
        "postxid": "TKH2SE-M7IF5-CFI7LT",
        "pair": pair,
        "time": fill.ts_event / SECOND,
        "type": fill.side.lower(),
        "ordertype": ord_type_name(booked),
        "price": f"{fill.px:f}",
        "cost": f"{fill.px * fill.qty:f}",
        "fee": f"{fill.commission:f}",
        "vol": f"{fill.qty:.8f}",
        "margin": "0.00000",
        "leverage": "0",
        "misc": "",
        "trade_id": int(fill.exec_id),
        "maker": fill.liquidity_side == "MAKER",
    }


def fees_shown(percent: Any) -> Json:
    """One pair of TradeVolume, in percent."""
    same = f"{percent:.4f}"
    return {"fee": same, "minfee": same, "maxfee": same, "nextfee": None, "nextvolume": None, "tiervolume": None}


def _price_words(booked: BookedOrder) -> str:
    """At which price, in words."""
    if booked.stop_px is not None:
        limit = "" if booked.limit_px is None else f" -> limit {booked.limit_px:f}"
        return f"stop loss {booked.stop_px:f}{limit}"
    return "market" if booked.limit_px is None else f"limit {booked.limit_px:f}"


def _name(kind: str, number: str) -> str:
    text = base64.b32encode(hashlib.sha256(f"{kind} {number}".encode()).digest()).decode()
    return f"{kind}{text[:5]}-{text[5:10]}-{text[10:16]}"
