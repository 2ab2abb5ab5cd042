"""KuCoin's raw answers as facts, converted against types as Binance's are (`frames`); what does not fit is `BadFrame`.

Symbols are our instruments. A stop has an id of its own until it is reached; then KuCoin shows an ordinary order with another id, of
type market or limit, under the same client id. Ordinary orders have no status word: `active` and the quantities say how they stand.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, TypeVar

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
from services.order_executor.adapters.frames import MS, BadFrame, converted
from services.order_executor.adapters.names import OrderNames

ORDERS, STOPS, BALANCES = "/spotMarket/tradeOrdersV2", "/spotMarket/advancedOrders", "/account/balance"
TRADE_ACCOUNTS = ("trade", "trade_hf")
"""What KuCoin calls the account that trades, now and formerly."""
OWN_MOVES = ("hold", "setted")
"""Why a balance moves when orders do: they tell that themselves."""

T = TypeVar("T")


class Ids(msgspec.Struct, rename="camel"):
    """All that POST answers with."""

    order_id: str
    client_oid: str = ""


class _RawOrder(msgspec.Struct, rename="camel"):
    id: str
    client_oid: str
    symbol: str
    side: Literal["buy", "sell"]
    type: str
    size: Decimal
    deal_size: Decimal
    active: bool
    created_at: int
    price: Decimal | None = None
    last_updated_at: int = 0


class _RawStop(msgspec.Struct, rename="camel"):
    id: str
    client_oid: str
    symbol: str
    side: Literal["buy", "sell"]
    type: str
    size: Decimal
    stop_price: Decimal
    created_at: int
    price: Decimal | None = None


class Stops(msgspec.Struct, rename="camel"):
    """A page of the stops that wait."""

    total_page: int
    items: list[_RawStop]


class RawFill(msgspec.Struct, rename="camel"):
    """An execution; it does not name the client id."""

    id: int
    order_id: str
    symbol: str
    side: Literal["buy", "sell"]
    liquidity: Literal["maker", "taker"]
    price: Decimal
    size: Decimal
    fee: Decimal
    fee_currency: str
    created_at: int


class Fills(msgspec.Struct, rename="camel"):
    """A page of executions, newest first; `last_id` leads to older ones."""

    items: list[RawFill]
    last_id: int = 0


class _RawHolding(msgspec.Struct):
    currency: str
    type: str
    available: Decimal
    holds: Decimal


class _OrderNews(msgspec.Struct, rename="camel"):
    """What the topic of orders says; matches carry no fee, so they are told without the execution."""

    symbol: str
    order_id: str
    client_oid: str
    side: Literal["buy", "sell"]
    type: str
    filled_size: Decimal
    ts: int
    order_type: str = ""
    origin_size: Decimal | None = None
    size: Decimal | None = None
    price: Decimal | None = None


class _StopNews(msgspec.Struct, rename="camel"):
    symbol: str
    order_id: str
    side: Literal["buy", "sell"]
    size: Decimal
    stop_price: Decimal
    type: str
    ts: int
    order_price: Decimal | None = None
    trigger_success: bool | None = None


class _Move(msgspec.Struct, rename="camel"):
    currency: str
    available_change: Decimal
    hold_change: Decimal
    relation_event: str
    relation_event_id: str
    time: int


def data_of(raw: Any, kind: type[T]) -> T:
    """The `data` of an answer as a `kind`.

    Raises:
        BadFrame
    """
    if not isinstance(raw, dict) or "data" not in raw:
        raise BadFrame("an answer without data")
    return converted(raw["data"], kind)


def order_of(raw: Any) -> VenueOrder | None:
    """One ordinary order; None: KuCoin has none.

    Raises:
        BadFrame
    """
    found = data_of(raw, _RawOrder | None)  # type: ignore[arg-type]
    return None if found is None else _order(found)


def orders_of(raw: Any) -> list[VenueOrder]:
    """Ordinary orders that KuCoin lists.

    Raises:
        BadFrame
    """
    return [_order(each) for each in data_of(raw, list[_RawOrder] | None) or []]  # type: ignore[arg-type]


def stop_of(raw: Any) -> VenueOrder | None:
    """The stop that waits under a client id; None: none does.

    Raises:
        BadFrame
    """
    found = data_of(raw, list[_RawStop] | _RawStop | None)  # type: ignore[arg-type]
    stops = found if isinstance(found, list) else [] if found is None else [found]
    return rested(stops[0]) if stops else None


def rested(raw: _RawStop) -> VenueOrder:
    """A stop that waits."""
    kind: OrdType = "STOP_LOSS" if raw.type == "market" else "STOP_LOSS_LIMIT"
    return VenueOrder(
        cl_ord_id=raw.client_oid,
        venue_order_id=raw.id,
        instrument=raw.symbol,
        side=_side(raw.side),
        ord_type=kind,
        ord_status="NEW",
        order_qty=raw.size,
        cum_qty=ZERO,
        limit_px=raw.price or None,
        stop_px=raw.stop_price,
        ts_event=raw.created_at * MS,
    )


def _order(raw: _RawOrder) -> VenueOrder:
    """An order; one that is over without having been filled was taken back, whoever did that."""
    status: OrdStatus = "PARTIALLY_FILLED" if raw.deal_size else "NEW"
    if not raw.active:
        status = "FILLED" if raw.deal_size >= raw.size else "CANCELED"
    return VenueOrder(
        cl_ord_id=raw.client_oid,
        venue_order_id=raw.id,
        instrument=raw.symbol,
        side=_side(raw.side),
        ord_type="MARKET" if raw.type == "market" else "LIMIT",
        ord_status=status,
        order_qty=raw.size,
        cum_qty=raw.deal_size,
        limit_px=raw.price or None,
        stop_px=None,
        ts_event=(raw.last_updated_at or raw.created_at) * MS,
    )


def fill_of(raw: RawFill, cl_ord_id: str) -> VenueFill:
    """An execution as a fact. Its id is that of KuCoin's record, which both sides of a trade have one of."""
    return VenueFill(
        exec_id=str(raw.id),
        cl_ord_id=cl_ord_id,
        venue_order_id=raw.order_id,
        instrument=raw.symbol,
        side=_side(raw.side),
        qty=raw.size,
        px=raw.price,
        commission=raw.fee,
        commission_asset=raw.fee_currency,
        liquidity_side="MAKER" if raw.liquidity == "maker" else "TAKER",
        ts_event=raw.created_at * MS,
    )


def balances_of(raw: Any) -> tuple[Balance, ...]:
    """Everything the trade account owns.

    Raises:
        BadFrame
    """
    totals: dict[str, tuple[Decimal, Decimal]] = {}
    for each in data_of(raw, list[_RawHolding]):
        if each.type in TRADE_ACCOUNTS:
            free, locked = totals.get(each.currency, (ZERO, ZERO))
            totals[each.currency] = (free + each.available, locked + each.holds)
    return tuple(Balance(asset=name, free=free, locked=held) for name, (free, held) in totals.items() if free or held)


def order_news(raw: Any, instruments: tuple[str, ...], names: OrderNames, now: int) -> VenueReported | None:
    """What the topic of orders says; None where it is not about our instruments, or not of an order that stands.

    Raises:
        BadFrame
    """
    news = converted(raw, _OrderNews)
    size = news.origin_size or news.size
    if news.symbol not in instruments or news.type == "received":
        return None
    if size is None:
        raise BadFrame("an order without a size")
    names.remember(news.symbol, news.order_id, news.client_oid)
    standing: OrdStatus = "PARTIALLY_FILLED" if news.filled_size else "NEW"
    ends: dict[str, OrdStatus] = {"filled": "FILLED", "canceled": "CANCELED"}
    order = VenueOrder(
        cl_ord_id=news.client_oid,
        venue_order_id=news.order_id,
        instrument=news.symbol,
        side=_side(news.side),
        ord_type="MARKET" if news.order_type == "market" else "LIMIT",
        ord_status=ends.get(news.type, standing),
        order_qty=size,
        cum_qty=news.filled_size,
        limit_px=news.price or None,
        stop_px=None,
        ts_event=_whole_ms(news.ts),
    )
    return _reported(order, (news.symbol, news.order_id, news.type, str(news.filled_size), news.ts), now)


def stop_news(raw: Any, instruments: tuple[str, ...], names: OrderNames, now: int) -> VenueReported | None:
    """A stop that ended without having been reached, or whose order KuCoin could not enter. All else says its order itself.

    Raises:
        BadFrame
    """
    news = converted(raw, _StopNews)
    cl_ord_id = names.find(news.symbol, news.order_id)
    failed = news.type == "triggered" and news.trigger_success is False
    if news.symbol not in instruments or cl_ord_id is None or not (failed or news.type.startswith("cancel")):
        return None
    order = VenueOrder(
        cl_ord_id=cl_ord_id,
        venue_order_id=news.order_id,
        instrument=news.symbol,
        side=_side(news.side),
        ord_type="STOP_LOSS_LIMIT" if news.order_price else "STOP_LOSS",
        ord_status="EXPIRED" if failed else "CANCELED",
        order_qty=news.size,
        cum_qty=ZERO,
        limit_px=news.order_price or None,
        stop_px=news.stop_price,
        ts_event=_whole_ms(news.ts),
    )
    return _reported(order, (news.symbol, news.order_id, news.type, news.ts), now)


def moved(raw: Any, now: int) -> BalanceMoved | None:
    """Money that came into the trade account or left it; None: an order moved it. Told twice, it has one id.

    Raises:
        BadFrame
    """
    move = converted(raw, _Move)
    account, _, why = move.relation_event.partition(".")
    amount = move.available_change + move.hold_change
    if account not in TRADE_ACCOUNTS or why in OWN_MOVES or not amount:
        return None
    if not amount.is_finite():
        raise BadFrame("a change of a balance is not a number")
    return BalanceMoved(
        id=derive_id("balance", move.currency, str(amount), move.relation_event_id, move.time),
        ts_event=move.time * MS,
        ts_init=now,
        asset=move.currency,
        amount=amount,
    )


def _reported(order: VenueOrder, content: tuple[Any, ...], now: int) -> VenueReported:
    told = derive_id("report", *content)
    return VenueReported(
        id=told, ts_event=order.ts_event, ts_init=now, instrument=order.instrument, order=order, fill=None
    )


def _side(word: str) -> Side:
    return "BUY" if word == "buy" else "SELL"


def _whole_ms(ns: int) -> int:
    """As precise as REST is, so that neither looks older than the other."""
    return ns // MS * MS
