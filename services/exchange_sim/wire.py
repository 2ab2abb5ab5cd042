"""How Binance Spot writes what the venue knows: rules, orders, fills, balances and account events as JSON-ready dicts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from libs.common.instruments import symbol_of
from libs.common.messages import Balance, InstrumentSpec, VenueFill
from libs.common.timeframe import MILLISECOND
from libs.trading.venue import BookedOrder, VenueUpdate
from libs.trading.venue_account import MarketStatus
from services.exchange_sim.listing import Listing

Json = dict[str, Any]

NO_LIST = -1
MAX_QTY = "9000000.00000000"
MAX_PX = "1000000.00000000"
ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"]


def amount(value: Decimal | float | None) -> str:
    """Eight decimals, as everywhere at Binance; nothing is zero."""
    return f"{value or 0:.8f}"


def millis(ns: int) -> int:
    """Nanoseconds to Binance's milliseconds."""
    return ns // MILLISECOND


def exchange_info(
    listings: list[Listing], now: int, weight_limit: int, closed: Mapping[str, MarketStatus] | None = None
) -> Json:
    """The rules of all instruments; a `closed` one has its status, and one that is delisted is not there."""
    statuses = closed or {}
    return {
        "timezone": "UTC",
        "serverTime": millis(now),
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight_limit},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
        ],
        "exchangeFilters": [],
        "symbols": [
            _symbol(listing.spec, status)
            for listing in listings
            if (status := statuses.get(listing.spec.instrument, "TRADING")) != "DELISTED"
        ],
    }


def _symbol(spec: InstrumentSpec, status: MarketStatus) -> Json:
    return {
        "symbol": symbol_of(spec.instrument),
        "status": status,
        "baseAsset": spec.base,
        "baseAssetPrecision": 8,
        "quoteAsset": spec.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": False,
        "ocoAllowed": True,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(spec),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }


def _filters(spec: InstrumentSpec) -> list[Json]:
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": amount(spec.px_tick),
            "maxPrice": MAX_PX,
            "tickSize": amount(spec.px_tick),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": amount(spec.qty_min),
            "maxQty": MAX_QTY,
            "stepSize": amount(spec.qty_step),
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": amount(spec.notional_min),
            "applyMinToMarket": True,
            "maxNotional": MAX_QTY,
            "applyMaxToMarket": False,
            "avgPriceMins": 0,
        },
    ]


def order_shown(booked: BookedOrder) -> Json:
    """An order as the query endpoints show it."""
    return {
        **_order_core(booked),
        "stopPrice": amount(booked.stop_px),
        "icebergQty": amount(None),
        "time": millis(booked.ts_created),
        "updateTime": millis(booked.ts_event),
        "isWorking": not booked.waits_for_trigger,
        "workingTime": millis(booked.ts_created),
    }


def order_answered(booked: BookedOrder, updates: list[VenueUpdate]) -> Json:
    """The answer to a new order, in the FULL form: with the fills it had at once."""
    fills = [update.fill for update in updates if update.fill is not None]
    answer = {
        **_order_core(booked),
        "transactTime": millis(booked.ts_event),
        "workingTime": millis(booked.ts_created),
        "fills": [
            {
                "price": amount(fill.px),
                "qty": amount(fill.qty),
                "commission": amount(fill.commission),
                "commissionAsset": fill.commission_asset,
                "tradeId": int(fill.exec_id),
            }
            for fill in fills
        ],
    }
    return answer if booked.stop_px is None else {**answer, "stopPrice": amount(booked.stop_px)}


def order_cancelled(booked: BookedOrder, request_id: str) -> Json:
    """The answer to a cancel; `clientOrderId` is the cancel's own, `origClientOrderId` the order's."""
    return {
        **_order_core(booked),
        "origClientOrderId": booked.cl_ord_id,
        "clientOrderId": request_id,
        "transactTime": millis(booked.ts_event),
    }


def _order_core(booked: BookedOrder) -> Json:
    return {
        "symbol": symbol_of(booked.instrument),
        "orderId": int(booked.venue_order_id),
        "orderListId": list_number(booked),
        "clientOrderId": booked.cl_ord_id,
        "price": amount(booked.limit_px),
        "origQty": amount(booked.order_qty),
        "executedQty": amount(booked.cum_qty),
        "origQuoteOrderQty": amount(None),
        "cummulativeQuoteQty": amount(booked.cum_quote_qty),
        "status": booked.ord_status,
        "timeInForce": booked.time_in_force,
        "type": booked.ord_type,
        "side": booked.side,
        "selfTradePreventionMode": "NONE",
    }


def list_number(booked: BookedOrder) -> int:
    """The venue's number of the list an order is in, or what it shows of one that is in none."""
    return NO_LIST if booked.venue_list_id is None else int(booked.venue_list_id)


def fill_shown(fill: VenueFill, booked: BookedOrder) -> Json:
    """A fill of the order `booked` as myTrades shows it."""
    return {
        "symbol": symbol_of(fill.instrument),
        "id": int(fill.exec_id),
        "orderId": int(fill.venue_order_id),
        "orderListId": list_number(booked),
        "price": amount(fill.px),
        "qty": amount(fill.qty),
        "quoteQty": amount(fill.px * fill.qty),
        "commission": amount(fill.commission),
        "commissionAsset": fill.commission_asset,
        "time": millis(fill.ts_event),
        "isBuyer": fill.side == "BUY",
        "isMaker": fill.liquidity_side == "MAKER",
        "isBestMatch": True,
    }


def account_shown(balances: tuple[Balance, ...], now: int) -> Json:
    """The account endpoint's answer."""
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": "0.00100000",
            "taker": "0.00100000",
            "buyer": "0.00000000",
            "seller": "0.00000000",
        },
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": millis(now),
        "accountType": "SPOT",
        "balances": [
            {"asset": held.asset, "free": amount(held.free), "locked": amount(held.locked)} for held in balances
        ],
        "permissions": ["SPOT"],
        "uid": 1,
    }


def account_events(
    updates: list[VenueUpdate], booked: BookedOrder, balances: tuple[Balance, ...], now: int
) -> list[Json]:
    """What the user data stream says of one order's `updates`: a report each, then the balances they touched."""
    events: list[Json] = []
    quote_so_far = booked.cum_quote_qty
    for update in reversed(updates):  # from the total of now back to that of each update
        events.append(_execution_report(update, booked, quote_so_far, now))
        if update.fill is not None:
            quote_so_far -= update.fill.px * update.fill.qty
    events.reverse()
    events.append(_account_position(balances, booked.instrument.split("-"), now))
    return events


def transfer_events(asset: str, moved: Decimal, balances: tuple[Balance, ...], now: int) -> list[Json]:
    """What the user data stream says of a deposit or (less than 0) a withdrawal."""
    update = {"e": "balanceUpdate", "E": millis(now), "a": asset, "d": amount(moved), "T": millis(now)}
    return [update, _account_position(balances, [asset], now)]


def _account_position(balances: tuple[Balance, ...], assets: list[str], now: int) -> Json:
    held = [
        {"a": balance.asset, "f": amount(balance.free), "l": amount(balance.locked)}
        for balance in balances
        if balance.asset in assets
    ]
    return {"e": "outboundAccountPosition", "E": millis(now), "u": millis(now), "B": held}


def _execution_report(update: VenueUpdate, booked: BookedOrder, quote_so_far: Decimal, now: int) -> Json:
    order, fill = update.order, update.fill
    return {
        "e": "executionReport",
        "E": millis(now),
        "s": symbol_of(order.instrument),
        "c": order.cl_ord_id,
        "S": order.side,
        "o": booked.ord_type,
        "f": booked.time_in_force,
        "q": amount(order.order_qty),
        "p": amount(order.limit_px),
        "P": amount(order.stop_px),
        "F": amount(None),
        "g": list_number(booked),
        "C": order.cl_ord_id if update.exec_type == "CANCELED" else "",
        "x": update.exec_type,
        "X": order.ord_status,
        "r": "NONE",
        "i": int(order.venue_order_id),
        "l": amount(fill.qty if fill else None),
        "z": amount(order.cum_qty),
        "L": amount(fill.px if fill else None),
        "n": amount(fill.commission) if fill else "0",
        "N": fill.commission_asset if fill else None,
        "T": millis(order.ts_event),
        "t": int(fill.exec_id) if fill else -1,
        "I": int(fill.exec_id) * 2 if fill else int(order.venue_order_id),
        "w": booked.is_open and not booked.waits_for_trigger,
        "m": fill is not None and fill.liquidity_side == "MAKER",
        "M": False,
        "O": millis(booked.ts_created),
        "Z": amount(quote_so_far),
        "Y": amount(fill.px * fill.qty if fill else None),
        "Q": amount(None),
        "W": millis(booked.ts_created),
        "V": "NONE",
    }
