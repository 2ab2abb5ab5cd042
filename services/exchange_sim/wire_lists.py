"""How Binance Spot writes order lists: pairs of which one order ends the other (OCO), for REST and for the user data stream."""

from __future__ import annotations

from libs.common.instruments import symbol_of
from libs.trading.venue import BookedOrder
from libs.trading.venue_account import BookedPair
from services.exchange_sim.wire import Json, millis, order_answered, order_cancelled

Orders = tuple[BookedOrder, BookedOrder]
ACK_FIELDS = ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")
STATUSES = {True: ("EXEC_STARTED", "EXECUTING"), False: ("ALL_DONE", "ALL_DONE")}


def list_shown(pair: BookedPair, orders: Orders) -> Json:
    """A list as the query endpoints show it: which orders, and whether one of them is still open."""
    status_type, order_status = _statuses(orders)
    return {
        "orderListId": int(pair.venue_list_id),
        "contingencyType": "OCO",
        "listStatusType": status_type,
        "listOrderStatus": order_status,
        "listClientOrderId": pair.list_id,
        "transactionTime": millis(_last_change(orders)),
        "symbol": symbol_of(pair.instrument),
        "orders": [
            {
                "symbol": symbol_of(booked.instrument),
                "orderId": int(booked.venue_order_id),
                "clientOrderId": booked.cl_ord_id,
            }
            for booked in orders
        ],
    }


def list_answered(pair: BookedPair, orders: Orders, form: str) -> Json:
    """The answer to a new list; `form` is its newOrderRespType."""
    reports = [order_answered(booked, []) for booked in orders]
    if form == "ACK":
        reports = [{name: report[name] for name in ACK_FIELDS} for report in reports]
    elif form == "RESULT":
        reports = [{name: value for name, value in report.items() if name != "fills"} for report in reports]
    return {**list_shown(pair, orders), "orderReports": reports}


def list_cancelled(pair: BookedPair, orders: Orders, request_id: str) -> Json:
    """The answer to a cancel of a list, or of one of its orders."""
    return {**list_shown(pair, orders), "orderReports": [order_cancelled(booked, request_id) for booked in orders]}


def list_event(pair: BookedPair, orders: Orders, now: int) -> Json:
    """What the user data stream says of a list."""
    status_type, order_status = _statuses(orders)
    symbol = symbol_of(pair.instrument)
    return {
        "e": "listStatus",
        "E": millis(now),
        "s": symbol,
        "g": int(pair.venue_list_id),
        "c": "OCO",
        "l": status_type,
        "L": order_status,
        "r": "NONE",
        "C": pair.list_id,
        "T": millis(_last_change(orders)),
        "O": [{"s": symbol, "i": int(booked.venue_order_id), "c": booked.cl_ord_id} for booked in orders],
    }


def _statuses(orders: Orders) -> tuple[str, str]:
    return STATUSES[any(booked.is_open for booked in orders)]


def _last_change(orders: Orders) -> int:
    return max(booked.ts_event for booked in orders)
