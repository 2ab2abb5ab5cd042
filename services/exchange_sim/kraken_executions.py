"""The private channels of Kraken's sockets: `executions`, everything that happens to the account's orders there, and `balances`.

As at Kraken: an order is shown whole once, when it is `pending_new` or in a snapshot; what follows names only what changed, by order_id.
A `trade` says partially_filled even when it was the last one; that the order is done is said by `filled`. Numbers are JSON numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from libs.common.messages import Balance, VenueFill
from libs.common.money import ZERO
from libs.trading.venue import BookedOrder, VenueUpdate
from services.exchange_sim.kraken_orders import KrakenDesk
from services.exchange_sim.kraken_rest import rfc3339
from services.exchange_sim.kraken_wire import ord_type_name, order_id, trade_id
from services.exchange_sim.wire import Json

EXECUTIONS, BALANCES = "executions", "balances"
PRIVATE = (EXECUTIONS, BALANCES)
_STATUSES = {
    "NEW": "new",
    "PARTIALLY_FILLED": "partially_filled",
    "FILLED": "filled",
    "CANCELED": "canceled",
    "EXPIRED": "expired",
}


class KrakenNews:
    """Frames of one account."""

    def __init__(self, desk: KrakenDesk, balances: Callable[[], tuple[Balance, ...]]):
        self._desk = desk
        self._balances = balances

    def snapshot(self, channel: str) -> Json:
        """What a subscriber is told first: open orders, or all balances."""
        data = (
            [self._whole(each, "new") for each in self._desk.orders() if each.is_open]
            if channel == EXECUTIONS
            else [_balance(held) for held in self._balances()]
        )
        return {"channel": channel, "type": "snapshot", "data": data, "sequence": 1}

    def executions(self, updates: list[VenueUpdate]) -> Iterable[Json]:
        """What is told of `updates`, one by one."""
        for update in updates:
            order = update.order
            if order.instrument not in self._desk.pairs:
                continue
            booked = self._desk.booked(order.instrument, order.venue_order_id)
            if update.exec_type == "NEW":
                yield self._whole(booked, "pending_new") | {"cum_qty": 0, "cum_cost": 0}
            if update.fill is not None:
                yield self._trade(booked, update.fill)
                if order.ord_status == "FILLED":
                    yield self._short(booked, "filled", order.ts_event)
            else:
                yield self._short(booked, _STATUSES[order.ord_status], order.ts_event)

    def traded(self, fill: VenueFill) -> list[Json]:
        """What an execution of ours did to the balances."""
        base, _, quote = fill.instrument.partition(":")[2].partition("-")
        sign = 1 if fill.side == "BUY" else -1
        moves = {base: sign * fill.qty, quote: -sign * fill.px * fill.qty}
        held = {each.asset: each.free + each.locked for each in self._balances()}
        return [
            _ledger(asset, amount, held[asset], "trade", fill.ts_event, trade_id(fill.exec_id))
            for asset, amount in moves.items()
        ]

    def moved(self, asset: str, amount: Decimal, now: int, number: int) -> Json:
        """A deposit or a withdrawal."""
        held = next(each.free + each.locked for each in self._balances() if each.asset == asset)
        kind = "deposit" if amount > 0 else "withdrawal"
        return _ledger(asset, amount, held, kind, now, f"F{number:06d}")

    def _whole(self, booked: BookedOrder, exec_type: str) -> Json:
        told: Json = {
            "order_id": order_id(booked.venue_order_id),
            "cl_ord_id": booked.cl_ord_id,
            "order_userref": 0,
            "symbol": _symbol(booked.instrument),
            "side": booked.side.lower(),
            "order_type": ord_type_name(booked),
            "order_qty": float(booked.order_qty),
            "cum_qty": float(booked.cum_qty),
            "cum_cost": float(booked.cum_quote_qty),
            "time_in_force": booked.time_in_force,
            "exec_type": exec_type,
            "order_status": exec_type if exec_type == "pending_new" else _STATUSES[booked.ord_status],
            "fee_usd_equiv": 0.0,
            "fee_ccy_pref": "fciq",
            "timestamp": rfc3339(booked.ts_created),
        }
        if booked.limit_px is not None:
            told["limit_price"] = float(booked.limit_px)
        if booked.stop_px is not None:
            told["stop_price"] = float(booked.stop_px)
            told["triggers"] = {"reference": "last", "price": float(booked.stop_px), "price_type": "static"}
        return told

    def _trade(self, booked: BookedOrder, fill: VenueFill) -> Json:
        done = [each for each in self._desk.fills_of(booked) if int(each.exec_id) <= int(fill.exec_id)]
        return {
            "order_id": order_id(booked.venue_order_id),
            "cl_ord_id": booked.cl_ord_id,
            "order_userref": 0,
            "exec_id": trade_id(fill.exec_id),
            "exec_type": "trade",
            "trade_id": int(fill.exec_id),
            "symbol": _symbol(booked.instrument),
            "side": fill.side.lower(),
            "last_qty": float(fill.qty),
            "last_price": float(fill.px),
            "liquidity_ind": "m" if fill.liquidity_side == "MAKER" else "t",
            "cost": float(fill.px * fill.qty),
            "cum_qty": float(sum((each.qty for each in done), ZERO)),
            "order_status": "partially_filled",
            "order_type": ord_type_name(booked),
            "fee_usd_equiv": float(fill.commission),
            "fees": [{"asset": fill.commission_asset, "qty": float(fill.commission)}],
            "timestamp": rfc3339(fill.ts_event),
        }

    def _short(self, booked: BookedOrder, exec_type: str, ts: int) -> Json:
        told: Json = {
            "timestamp": rfc3339(ts),
            "order_id": order_id(booked.venue_order_id),
            "order_userref": 0,
            "exec_type": exec_type,
            "order_status": exec_type,
        }
        if exec_type != "new":
            told |= {"cum_qty": float(booked.cum_qty), "cum_cost": float(booked.cum_quote_qty)}
        return told


def _symbol(twin: str) -> str:
    return twin.partition(":")[2].replace("-", "/")


def _balance(held: Balance) -> Json:
    total = float(held.free + held.locked)
    wallet = {"type": "spot", "id": "main", "balance": total}
    return {"asset": held.asset, "asset_class": "currency", "balance": total, "wallets": [wallet]}


def _ledger(asset: str, amount: Decimal, balance: Decimal, kind: str, ts: int, ref_id: str) -> Json:
    return {
        "asset": asset,
        "asset_class": "currency",
        "amount": float(amount),
        "balance": float(balance),
        "fee": 0.0,
        "ledger_id": f"L{ref_id}-{asset}",
        "ref_id": ref_id,
        "timestamp": rfc3339(ts),
        "type": kind,
        "subtype": "",
        "category": kind,
        "wallet_type": "spot",
        "wallet_id": "main",
    }
