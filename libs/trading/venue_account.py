"""The money side of the venue model: balances, orders and fills of one account, changed only in ways that conserve money.

An order reserves `reserve_px` per unit it still may fill, in the asset it would pay with: quote at the limit (or stop) price
for buys, base one for one for sells, nothing for MARKET orders, which are over before they could rest. A fill first returns the
reserve of its quantity, then pays; fees leave in the asset received, as at Binance without BNB, or (`fee_in_quote`, as at Kraken) always
in quote, and then a buy reserves its fee, too. Of a pair of which one order ends the
other only the dearer one reserves, until the other becomes active and takes a reserve of its own.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Literal

import msgspec

from libs.common.messages import Balance, InstrumentSpec, OrdStatus, Side, TimeInForce, VenueFill, VenueOrder
from libs.common.money import ZERO, floor_to_step, plain
from libs.trading.venue_book import TopOfBook
from libs.trading.venue_flow import Waiting
from libs.trading.venue_rules import NewOrder, VenueOrdType

MarketStatus = Literal["TRADING", "BREAK", "DELISTED"]
"""Whether an instrument is traded, listed but closed, or not known any more."""

COMMISSION_STEP = Decimal("0.00000001")
OPEN_STATUSES = ("NEW", "PARTIALLY_FILLED")


class BookedOrder(msgspec.Struct, kw_only=True):
    """An order with everything the venue keeps of it; `as_order` is what the rest of the system is shown."""

    cl_ord_id: str
    venue_order_id: str
    instrument: str
    side: Side
    ord_type: VenueOrdType
    time_in_force: TimeInForce
    order_qty: Decimal
    limit_px: Decimal | None
    stop_px: Decimal | None
    reserve_px: Decimal
    ts_created: int
    ts_event: int
    ord_status: OrdStatus = "NEW"
    cum_qty: Decimal = ZERO
    cum_quote_qty: Decimal = ZERO
    triggered: bool = False
    venue_list_id: str | None = None
    fee_in_quote: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the order can still fill or be cancelled."""
        return self.ord_status in OPEN_STATUSES

    @property
    def leaves_qty(self) -> Decimal:
        """What has not been filled (whether or not it still can be)."""
        return self.order_qty - self.cum_qty

    @property
    def waits_for_trigger(self) -> bool:
        """A stop that has not been reached: not in the book yet."""
        return self.stop_px is not None and not self.triggered

    def as_order(self) -> VenueOrder:
        """The order as the venue shows it now."""
        return VenueOrder(
            cl_ord_id=self.cl_ord_id,
            venue_order_id=self.venue_order_id,
            instrument=self.instrument,
            side=self.side,
            ord_type="LIMIT" if self.ord_type == "LIMIT_MAKER" else self.ord_type,
            ord_status=self.ord_status,
            order_qty=self.order_qty,
            cum_qty=self.cum_qty,
            limit_px=self.limit_px,
            stop_px=self.stop_px,
            ts_event=self.ts_event,
        )


class BookedPair(msgspec.Struct, kw_only=True):
    """Two orders of which one ends the other. `list_id` is the client's name for it; the venue's ids name its orders."""

    list_id: str
    venue_list_id: str
    instrument: str
    stop_order_id: str
    target_order_id: str
    ts_created: int


class Holding(msgspec.Struct, kw_only=True):
    """One asset: what is free and what resting orders hold."""

    free: Decimal = ZERO
    locked: Decimal = ZERO


class VenueAccount(msgspec.Struct, kw_only=True):
    """The full state of the account and of the books it trades against; round-trips through JSON.

    `waiting` is there only where a fill model makes orders wait; without one, snapshots do not know the word.
    """

    holdings: dict[str, Holding]
    orders: list[BookedOrder] = []
    fills: list[VenueFill] = []
    books: dict[str, TopOfBook] = {}
    last_order_id: int = 0
    last_exec_id: int = 0
    waiting: Waiting | msgspec.UnsetType = msgspec.UNSET
    pairs: list[BookedPair] = []
    closed_markets: dict[str, MarketStatus] = {}

    def holding(self, asset: str) -> Holding:
        """The holding of `asset`, created empty when it is new."""
        return self.holdings.setdefault(asset, Holding())

    def balances(self) -> tuple[Balance, ...]:
        """All assets by name."""
        return tuple(
            Balance(asset=asset, free=plain(held.free), locked=plain(held.locked))
            for asset, held in sorted(self.holdings.items())
        )

    def book_order(
        self,
        order: NewOrder,
        spec: InstrumentSpec,
        now: int,
        *,
        venue_list_id: str | None = None,
        reserves: bool = True,
        fee_in_quote: bool = False,
    ) -> BookedOrder:
        """Enter an order that passed every check, and lock its reserve, unless the other one of its pair `reserves`."""
        self.last_order_id += 1
        booked = BookedOrder(
            cl_ord_id=order.cl_ord_id,
            venue_order_id=str(self.last_order_id),
            instrument=order.instrument,
            side=order.side,
            ord_type=order.ord_type,
            time_in_force=order.time_in_force,
            order_qty=plain(order.order_qty),
            limit_px=order.limit_px if order.limit_px is None else plain(order.limit_px),
            stop_px=order.stop_px if order.stop_px is None else plain(order.stop_px),
            reserve_px=with_fee(reserve_px(order), order.side, spec, fee_in_quote=fee_in_quote) if reserves else ZERO,
            ts_created=now,
            ts_event=now,
            venue_list_id=venue_list_id,
            fee_in_quote=fee_in_quote,
        )
        self.orders.append(booked)
        self._move_reserve(booked, spec, booked.order_qty)
        return booked

    def book_fill(
        self, booked: BookedOrder, spec: InstrumentSpec, px: Decimal, qty: Decimal, *, maker: bool, now: int
    ) -> VenueFill:
        """Settle `qty` at `px`: return the reserve, pay, receive less the fee. Exact: nothing is rounded but the fee."""
        self._move_reserve(booked, spec, -qty)
        buys = booked.side == "BUY"
        notional = px * qty
        received, received_asset = (qty, spec.base) if buys else (notional, spec.quote)
        paid, paid_asset = (notional, spec.quote) if buys else (qty, spec.base)
        fee_base, fee_asset = (notional, spec.quote) if booked.fee_in_quote else (received, received_asset)
        fee = (fee_base * (spec.maker_fee if maker else spec.taker_fee)).quantize(COMMISSION_STEP, ROUND_DOWN)
        self.holding(paid_asset).free -= paid
        self.holding(received_asset).free += received
        self.holding(fee_asset).free -= fee
        booked.cum_qty += qty
        booked.cum_quote_qty += notional
        booked.ord_status = "PARTIALLY_FILLED" if booked.leaves_qty > 0 else "FILLED"
        booked.ts_event = now
        self.last_exec_id += 1
        fill = VenueFill(
            exec_id=str(self.last_exec_id),
            cl_ord_id=booked.cl_ord_id,
            venue_order_id=booked.venue_order_id,
            instrument=booked.instrument,
            side=booked.side,
            qty=plain(qty),
            px=plain(px),
            commission=plain(fee),
            commission_asset=fee_asset,
            liquidity_side="MAKER" if maker else "TAKER",
            ts_event=now,
        )
        self.fills.append(fill)
        return fill

    def affordable(self, booked: BookedOrder, spec: InstrumentSpec, px: Decimal, qty: Decimal) -> Decimal:
        """`qty`, or less where the money is gone: a buy stop that gapped, a MARKET that waited and locked nothing."""
        if booked.side == "SELL":
            free = qty if booked.reserve_px else self.holding(spec.base).free
            return min(qty, floor_to_step(free, spec.qty_step))
        px = with_fee(px, booked.side, spec, fee_in_quote=booked.fee_in_quote)
        if px <= booked.reserve_px:
            return qty
        free = self.holding(spec.quote).free + booked.reserve_px * qty
        return min(qty, floor_to_step(free / px, spec.qty_step))

    def close_order(self, booked: BookedOrder, spec: InstrumentSpec, status: OrdStatus, now: int) -> None:
        """End an open order without a fill and unlock what it still held."""
        self._move_reserve(booked, spec, -booked.leaves_qty)
        booked.ord_status = status
        booked.ts_event = now

    def take_reserve(self, booked: BookedOrder, spec: InstrumentSpec) -> None:
        """Lock for an order what it needs by itself: the other one of its pair, which has ended, may have done so before."""
        self._move_reserve(booked, spec, -booked.leaves_qty)
        booked.reserve_px = reserve_px(booked)
        self._move_reserve(booked, spec, booked.leaves_qty)

    def _move_reserve(self, booked: BookedOrder, spec: InstrumentSpec, qty: Decimal) -> None:
        held = self.holding(spec.quote if booked.side == "BUY" else spec.base)
        amount = booked.reserve_px * qty
        held.free -= amount
        held.locked += amount


def reserve_px(order: NewOrder | BookedOrder) -> Decimal:
    """What one unit of `order` locks by itself, in the asset it pays with."""
    if order.ord_type == "MARKET":
        return ZERO
    if order.side == "SELL":
        return Decimal(1)
    return order.limit_px or order.stop_px or ZERO


def with_fee(px: Decimal, side: Side, spec: InstrumentSpec, *, fee_in_quote: bool) -> Decimal:
    """What a unit at `px` costs its buyer at most: with the fee, where that is paid in quote."""
    return px * (1 + spec.taker_fee) if fee_in_quote and side == "BUY" else px
